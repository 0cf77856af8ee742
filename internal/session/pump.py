# Runs one command with two pipes and appends what it writes to the log, which
# is stdout here, in the order in which it is read. Where that goes over from
# one pipe to the other is written to the index, a number on each line, before
# the bytes are: a reader of the log knows of each byte which it was.
import os
import select
import sys
import time

try:
    import _signal as signal  # what is around it takes longer to load than all the rest
except ImportError:
    import signal

PIECE = 65536
MOST = 1 << 20  # that a pipe can hold when the command has ended


class Pump:
    def __init__(self, here):
        self.here = here
        self.at = os.fstat(1).st_size
        self.now = None  # whose byte was the last; it begins with stdout
        self.index = os.open(here + "/index", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # Written over in place: that works when the disk is full.
        self.said = os.open(here + "/trouble", os.O_WRONLY | os.O_CREAT, 0o600)
        self.trouble = ""
        self.tell("")
        self.asked = self.over = False

    def tell(self, text):
        try:
            os.pwrite(self.said, text.encode("ascii", "replace")[:199].ljust(199) + b"\n", 0)
        except OSError:
            pass

    def write(self, fd, data):
        """All of it; as long as that cannot be, the command is held back."""
        while data:
            try:
                data = data[os.write(fd, data):]
                if self.trouble:
                    self.trouble = ""
                    self.tell("")
            except OSError as e:
                if self.asked and self.over:
                    os._exit(74)
                if self.trouble != e.strerror:
                    self.trouble = e.strerror
                    self.tell(e.strerror)
                time.sleep(0.5)

    def take(self, fd, which):
        """One piece: its length, 0 at the end, None when there is nothing now."""
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            return None
        if data:
            if which != (self.now or 0):
                self.write(self.index, b"%d\n" % self.at)
            self.now = which
            self.write(1, data)
            self.at += len(data)
        return len(data)

    def until_end(self, sources, child, woken):
        """Its status, as soon as it has ended, with what was in the pipes then."""
        while sources:
            for fd in select.select(list(sources) + [woken], [], [])[0]:
                if fd == woken:
                    os.read(woken, 512)
                elif self.take(fd, sources[fd]) == 0:
                    del sources[fd]
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
        else:
            status = os.waitpid(child, 0)[1]
        self.over = True
        left = {fd: MOST for fd in sources}
        while left:
            for fd in list(left):
                n = self.take(fd, sources[fd])
                left[fd] -= n or 0
                if n == 0:
                    del sources[fd]
                if not n or left[fd] <= 0:
                    del left[fd]
        return status

    def on(self, sources):
        """What the command has left running may still write."""
        while sources:
            for fd in select.select(list(sources), [], [])[0]:
                if self.take(fd, sources[fd]) == 0:
                    del sources[fd]


def command(argv, out, err):
    # sh, which says as a person expects it that there is no such command.
    argv = [b"/bin/sh", b"-c", b'exec "$@"', b"sh"] + argv
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execv(argv[0], argv)
    finally:
        os._exit(126)


def on_pipes(pump, argv, woken):
    (out, out_to), (err, err_to) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        command(argv, out_to, err_to)
    os.close(out_to)
    os.close(err_to)
    os.set_blocking(out, False)
    os.set_blocking(err, False)
    sources = {out: 0, err: 1}
    return sources, pump.until_end(sources, child, woken)


def main():
    here, locale, door, argv = sys.argv[1], sys.argv[2], sys.argv[3], [os.fsencode(a) for a in sys.argv[4:]]
    if not locale:  # else the interpreter's own choice would be the command's
        os.environ.pop("LC_CTYPE", None)
    pump = Terminal(here) if door else Pump(here)

    def heed(number, frame):
        pump.asked = True

    # Caught, not ignored: the one who is asked to end is the command.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, heed)
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    if door:
        sources, status = {}, on_terminal(pump, door, 24, 80, argv, woken)
    else:
        sources, status = on_pipes(pump, argv, woken)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        names = {getattr(signal, n): n[3:] for n in reversed(dir(signal)) if n.startswith("SIG") and n[3] != "_"}
        name = names.get(number, str(number))
        os.write(os.open(here + "/signal", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), name.encode())
        code = 128 + number
    else:
        code = os.WEXITSTATUS(status)
    if sources and os.fork() == 0:
        signal.set_wakeup_fd(-1)
        pump.on(sources)
    os._exit(code)
