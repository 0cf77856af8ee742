"""The far half of the link. PROTOCOL.md says what it speaks.

One relay serves one account on one machine. It holds the sockets and the
processes, and keeps what they give while the line is down. A carrier is a pair
of descriptors that an attach program hands over on the relay's unix socket.

The program is the files of this folder put together: boot.go has their order.

    relay.py serve NAME SPOOL [OPTION=SECONDS_OR_BYTES ...]

The working directory, 0700 and ours, gets NAME.sock. Python 3.8 and later, no
other module.
"""

import collections
import errno
import fcntl
import os
import select
import signal
import socket
import stat
import struct
import sys
import time

VERSION = 1
MAGIC = b"nbrL"
HEAD = struct.Struct(">IIQ")
HELLO = struct.Struct(">4sBBBB16s16sQHHI")
WELCOME = struct.Struct(">4sBBBB16sQQ")
TAKE = struct.Struct(">4sBBBBQQ")
PONG_BODY = struct.Struct(">QQQQ")

OPEN, OPENED, DATA, FIN, RESET, WINDOW, SIZE, SIGNAL, EXIT = range(1, 10)
ACK, PING, PONG, BYE = range(16, 20)
SEQUENCED = 16  # kinds below it are in the log

CLOSED, ABORTED, FAR_RESET, REFUSED, SPOOL_FULL, LIMIT, NOT_ALLOWED = range(7)
OK, BAD_VERSION, UNKNOWN, REPLACED, STALE, BUSY, BAD_POSITION = range(7)
BYE_ERROR, BYE_REPLACED = 0, 1
TCP, UNIX, EXEC, BEYOND, LISTEN, ACCEPT = 1, 2, 3, 4, 5, 6
ALWAYS, PTY, OWN = 1, 2, 4
T_HOST, T_PORT, T_PATH, T_ARG, T_ENV, T_DIR, T_SIZE, T_RANGE, T_NUMBER = range(1, 10)

PIECE = 64 << 10
MAX_PAYLOAD = PIECE
BULK = 4 * PIECE  # of a stream that is alone
MAX_LOG = 8 << 20
LOG_EXCESS = 1 << 20  # for what is no data; a peer that lets it fill never acknowledges
MAX_UNSENT = 512 << 10
MAX_BATCH = 256 << 10
ACK_BYTES = 1 << 20
ACK_TIME = 0.1
F_SETPIPE_SZ = 1031  # of Linux; an error elsewhere
STUCK = 3.0  # nothing heard for so long though something waits: read on into the spool
STALLED = 0.25
MIN_WINDOW, FIRST_WINDOW, MAX_WINDOW = 16 << 10, 256 << 10, 4 << 20
WINDOWS = 16 << 20  # of all streams
TAIL, TAILS = 256 << 10, 4 << 20  # spool in memory: of one stream, of all
SEGMENT = 64 << 20
PTY_SPOOL = 1 << 20
MAX_STREAMS, MAX_LINKS, MAX_GREETING, MAX_WAITING = 1024, 64, 16, 64
CONNECT_TIME = 30.0
LINGER = 60.0
LOOK = 5.0


class ProtocolError(Exception):
    pass


def frame(kind, stream, pos, payload=b""):
    return HEAD.pack(kind << 24 | len(payload), stream, pos) + payload


class Parser:
    """Cuts what comes into frames. Data is passed on before its frame is whole.

    to.data(stream, pos, bytes, counted): counted is the length of the frame
    with its head when this was its last part, else 0. to.frame(kind, stream,
    pos, payload)."""

    def __init__(self, to):
        self.to = to
        self.buf = bytearray(4 * PIECE + MAX_PAYLOAD + HEAD.size)
        self.have = 0
        self.need = 0  # of the payload of the data frame that has begun
        self.stream = self.pos = self.whole = 0

    def space(self):
        return memoryview(self.buf)[self.have:]

    def filled(self, n):
        """n bytes were put into space()."""
        end, at = self.have + n, 0
        view = memoryview(self.buf)
        while at < end:
            if self.need:
                at += self.part(view[at:min(end, at + self.need)])
                continue
            if end - at < HEAD.size:
                break
            word, stream, pos = HEAD.unpack_from(self.buf, at)
            kind, size = word >> 24, word & 0xFFFFFF
            self.check(kind, size)
            if kind == DATA:
                at += HEAD.size
                self.stream, self.pos, self.need, self.whole = stream, pos, size, size + HEAD.size
                continue
            if end - at < HEAD.size + size:
                break
            payload = bytes(view[at + HEAD.size:at + HEAD.size + size])
            at += HEAD.size + size
            self.to.frame(kind, stream, pos, payload)
        self.have = end - at
        if at and self.have:
            self.buf[:self.have] = self.buf[at:end]

    def part(self, view):
        n = len(view)
        self.need -= n
        self.to.data(self.stream, self.pos, view, 0 if self.need else self.whole)
        self.pos += n
        return n

    @staticmethod
    def check(kind, size):
        if not (OPEN <= kind <= EXIT or ACK <= kind <= BYE):
            raise ProtocolError("frame of unknown kind %d" % kind)
        if size > MAX_PAYLOAD or (kind == DATA and size == 0):
            raise ProtocolError("frame of kind %d is %d bytes long" % (kind, size))

    def feed(self, data):
        data = memoryview(data)
        while len(data):
            n = min(len(data), len(self.buf) - self.have)
            self.space()[:n] = data[:n]
            self.filled(n)
            data = data[n:]


def parse_open(payload):
    """kind, flags, and the fields as {tag: [bytes, ...]}."""
    if len(payload) < 4:
        raise ProtocolError("an open frame is too short")
    kind, flags, fields, at = payload[0], payload[1], {}, 4
    while at < len(payload):
        if len(payload) < at + 3:
            raise ProtocolError("a field of an open frame is cut off")
        tag, size = payload[at], payload[at + 1] << 8 | payload[at + 2]
        value = payload[at + 3:at + 3 + size]
        if len(value) != size or b"\0" in value and tag != T_SIZE:
            raise ProtocolError("a field of an open frame is malformed")
        fields.setdefault(tag, []).append(value)
        at += 3 + size
    return kind, flags, fields
