# The host's half of a copy. What goes over the pipe, in both directions, are
# fields: NAME LENGTH newline VALUE newline. transfer.go has their order.
import errno
import glob
import hashlib
import os
import signal
import stat
import sys
import time
from binascii import crc32

PIECE = 262144
KEEP = 1 << 20  # of a file that did not arrive whole: from here on it is kept, to go on with
FULL = (errno.ENOSPC, errno.EDQUOT)


class Fail(Exception):
    """The end of it all: a class and a text."""


class Out:
    def __init__(self):
        self.parts, self.size = [], 0

    def field(self, name, value=b""):
        self.parts += (b"%s %d\n" % (name, len(value)), value, b"\n")
        self.size += len(value) + 32
        if self.size >= PIECE:
            self.flush()

    def data(self, piece):
        """A piece of a file, which is not kept."""
        if len(piece) < 65536:
            return self.field(b"data", bytes(piece))
        self.parts.append(b"data %d\n" % len(piece))
        self.flush()
        self.write(piece)
        self.parts.append(b"\n")

    def flush(self):
        data = memoryview(b"".join(self.parts))
        self.parts, self.size = [], 0
        self.write(data)

    @staticmethod
    def write(data):
        while data:
            data = data[os.write(1, data):]

    def trouble(self, kind, path, text):
        self.field(b"trouble", kind + b" " + path + b"\0" + text)


out = Out()
source = os.fdopen(0, "rb", 1 << 20)


def take():
    """The next field; the end of the pipe ends us."""
    head = source.readline(100).split()
    if len(head) != 2:
        raise EOFError
    value = source.read(int(head[1]))
    if len(value) != int(head[1]) or source.read(1) != b"\n":
        raise EOFError
    return head[0], value


def words(e):
    return os.fsencode(e.strerror or str(e))


def home(path):
    if path == b"~" or path.startswith(b"~/"):
        path = b"." + path[1:]
    return os.path.join(os.path.expanduser(b"~"), path)


def read_all(fd, size):
    total = hashlib.sha256()
    while size > 0:
        data = os.read(fd, min(PIECE, size))
        if not data:
            break
        total.update(data)
        size -= len(data)
    return total
