# A part of the relay (wire.py): ports and sockets here whose connections the holder takes.


class Listening:
    """A port or a socket of this machine. Each connection to it is told on the
    stream by its number and waits to be taken by a stream of its own."""

    def __init__(self, stream, fields):
        self.stream, self.link, self.relay = stream, stream.link, stream.link.relay
        self.path = self.inode = None
        sock = self.on_path(fields) if T_PATH in fields else self.on_port(fields)
        try:
            sock.listen(MAX_WAITING)
            told, self.tell = os.pipe()
        except OSError:
            sock.close()
            self.remove()
            raise
        os.set_blocking(self.tell, False)
        self.end = self.relay.add_socket(sock, self)
        stream.start(self.relay.add(told, stream), None)
        stream.dialing = self  # its end is ours
        self.waiting = set()

    def on_port(self, fields):
        host, port = one(fields, T_HOST), int(one(fields, T_PORT))
        if host not in (b"localhost", b"127.0.0.1") or not 0 < port < 65536:
            raise OSError(errno.EACCES, "only ports of 127.0.0.1 are listened on")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return sock

    def on_path(self, fields):
        """A socket that this account alone can connect to, in the home where its
        path is not absolute. One that nobody listens on any more is replaced."""
        path = os.path.join(self.relay.environ.get(b"HOME", b"/"), one(fields, T_PATH))
        if is_stale(path):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        try:
            sock.bind(path)
            self.path, self.inode = path, os.lstat(path).st_ino
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(umask)
        return sock

    def remove(self):
        """Take our own socket away, and no other of its name."""
        try:
            if self.path is not None and os.lstat(self.path).st_ino == self.inode:
                os.unlink(self.path)
        except OSError:
            pass

    def happened(self, end):
        while end.readable:
            try:
                sock, _ = self.relay.sockets[end.fd].accept()
            except (BlockingIOError, InterruptedError):
                end.readable = False
            except OSError:  # no descriptor left
                return
            else:
                self.arrived(sock)

    def arrived(self, sock):
        self.waiting = {n for n in self.waiting if n in self.link.arrivals}
        self.link.arrived += 1
        number = self.link.arrived
        try:
            if len(self.waiting) >= MAX_WAITING:
                raise OSError(errno.EAGAIN, "too many wait")
            os.write(self.tell, struct.pack(">Q", number))
        except OSError:
            sock.close()
            return
        self.waiting.add(number)
        self.link.arrivals[number] = sock

    def cancel(self):
        if self.end is None:
            return
        self.relay.close(self.end)
        self.end = None
        self.remove()
        os.close(self.tell)
        for number in self.waiting:
            sock = self.link.arrivals.pop(number, None)
            if sock is not None:
                sock.close()


def is_stale(path):
    """Whether a path is a socket of this account on which nobody listens."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISSOCK(there.st_mode) or there.st_uid != os.getuid():
        return False
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    code = sock.connect_ex(path)
    sock.close()
    return code == errno.ECONNREFUSED


def accept(stream, fields):
    """Give a connection that waits to a stream."""
    link = stream.link
    sock = link.arrivals.pop(int(one(fields, T_NUMBER)), None)
    if sock is None:
        raise OSError(errno.ENOENT, "that connection is gone")
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end = link.relay.add_socket(sock, stream)
    stream.start(end, end)
