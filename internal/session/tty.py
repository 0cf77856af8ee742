# A part of pump.py: one terminal in the place of two pipes. What the command
# shows is written to the log, and to whoever is connected to the socket; they
# send b"d", a length of two bytes and what was typed, or b"s" and the size, or
# b"i" and one that counts as long as nobody has said another.
import fcntl
import socket
import struct
import termios

BEHIND = 4 << 20  # bytes for one who does not take them, who is left then
KEYS = 1 << 20  # that wait for a command which takes none
SHOWN = 256 << 10  # of the log, for one who comes later


class Viewer:
    def __init__(self, pump, conn, shown):
        self.pump = pump
        self.conn, self.out, self.typed, self.keys = conn, shown, b"", b""
        conn.setblocking(False)

    def send(self):
        try:
            while self.out:
                self.out = self.out[self.conn.send(self.out):]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return len(self.out) < BEHIND

    def receive(self, master):
        """False: nobody is there any more."""
        try:
            data = self.conn.recv(PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.typed += data
        while len(self.typed) >= 5 and self.typed[:1] in b"si" or len(self.typed) >= 3 and self.typed[:1] == b"d":
            first, second = struct.unpack(">HH", self.typed[1:5].ljust(4, b"\0"))
            if self.typed[:1] != b"d":
                if self.typed[:1] == b"s" or not self.pump.sized:
                    resize(master, first, second)
                self.pump.sized = self.pump.sized or self.typed[:1] == b"s"
                self.typed = self.typed[5:]
            elif len(self.typed) < 3 + first:
                break
            else:
                self.keys += self.typed[3:3 + first]
                self.typed = self.typed[3 + first:]
        return bool(data)


def resize(master, rows, columns):
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    except OSError:
        pass


class Terminal(Pump):
    def listen(self, path):
        self.path, self.viewers, self.keys, self.sized = path, {}, b"", False
        for old in (path, path + "n"):
            try:
                os.unlink(old)
            except OSError:
                pass
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(path + "n")
        self.door.listen(8)
        self.door.setblocking(False)
        os.rename(path + "n", path)  # who finds it can connect

    def shown(self):
        with open(self.here + "/log", "rb") as f:
            f.seek(max(0, self.at - SHOWN))
            return f.read(SHOWN)

    def take(self, fd, which):
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            return None
        except OSError:  # nobody has the other side open
            return 0
        if data:
            self.write(1, data)
            self.at += len(data)
            for viewer in self.viewers.values():
                viewer.out += data
        return len(data)

    def serve(self, master, child, woken):
        status, ended = None, False
        while not ended:
            slow = [v.conn for v in self.viewers.values() if v.out] + ([master] if self.keys else [])
            ready, free, _ = select.select([master, woken, self.door] + [v.conn for v in self.viewers.values()], slow, [], None if status is None else 0)
            if woken in ready:
                os.read(woken, 512)
            if status is None:
                pid, got = os.waitpid(child, os.WNOHANG)
                status = got if pid else None
                self.over = status is not None
            # What runs on in the background does not keep a terminal.
            ended = status is not None and master not in ready
            if master in ready and self.take(master, 0) == 0:
                if status is None:
                    status = os.waitpid(child, 0)[1]
                ended = True
            if self.door in ready:
                try:
                    conn = self.door.accept()[0]
                    self.viewers[conn] = Viewer(self, conn, self.shown())
                except OSError:
                    pass
            for conn, viewer in list(self.viewers.items()):
                if conn in ready and not viewer.receive(master) or not viewer.send():
                    conn.close()
                    del self.viewers[conn]
                self.keys, viewer.keys = (self.keys + viewer.keys)[:KEYS], b""
            if master in free:
                self.type(master)
        self.part()
        return status

    def type(self, master):
        try:
            self.keys = self.keys[os.write(master, self.keys[:1024]):]
        except BlockingIOError:
            pass
        except OSError:
            self.keys = b""

    def part(self):
        os.unlink(self.path)
        end = time.time() + 5
        while self.viewers and time.time() < end:
            select.select([], [v.conn for v in self.viewers.values()], [], 0.5)
            for conn, viewer in list(self.viewers.items()):
                if not viewer.send() or not viewer.out:
                    conn.close()
                    del self.viewers[conn]


def ident(here, pid):
    """As ident.sh has it, where there is a /proc."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as f, open(here + "/child", "rb") as own:
            return b" ".join([b"%d" % pid, f.read().rpartition(b")")[2].split()[19]] + own.read().split()[2:4])
    except (OSError, IndexError):
        return b""


def on_terminal(pump, path, rows, columns, argv, woken):
    master, slave = os.openpty()
    resize(master, rows, columns)
    pump.listen(path)
    child = os.fork()
    if child == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        os.dup2(slave, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        command(argv, slave, slave)
    os.close(slave)
    os.set_blocking(master, False)
    os.write(os.open(pump.here + "/term", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), ident(pump.here, child))
    return pump.serve(master, child, woken)
