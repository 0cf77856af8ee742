# A part of the relay (wire.py): ports here whose connections the holder takes.


class Listening:
    """A port of this machine. Each connection to it is told on the stream by
    its number and waits to be taken by a stream of its own."""

    def __init__(self, stream, fields):
        self.stream, self.link, self.relay = stream, stream.link, stream.link.relay
        host, port = one(fields, T_HOST), int(one(fields, T_PORT))
        if host not in (b"localhost", b"127.0.0.1") or not 0 < port < 65536:
            raise OSError(errno.EACCES, "only ports of 127.0.0.1 are listened on")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            sock.listen(MAX_WAITING)
            told, self.tell = os.pipe()
        except OSError:
            sock.close()
            raise
        os.set_blocking(self.tell, False)
        self.end = self.relay.add_socket(sock, self)
        stream.start(self.relay.add(told, stream), None)
        stream.dialing = self  # its end is ours
        self.waiting = set()

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
        os.close(self.tell)
        for number in self.waiting:
            sock = self.link.arrivals.pop(number, None)
            if sock is not None:
                sock.close()


def accept(stream, fields):
    """Give a connection that waits to a stream."""
    link = stream.link
    sock = link.arrivals.pop(int(one(fields, T_NUMBER)), None)
    if sock is None:
        raise OSError(errno.ENOENT, "that connection is gone")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end = link.relay.add_socket(sock, stream)
    stream.start(end, end)
