# A part of the relay (wire.py): connections on their way.


class Dialing:
    """A connection on its way: names first, then address by address. What may
    be reached is decided by the addresses that are then tried."""

    def __init__(self, stream, kind, flags, fields):
        self.stream, self.relay, self.own = stream, stream.link.relay, flags & OWN
        self.until = time.monotonic() + self.relay.connect_time
        self.again = self.end = self.ranges = None
        if kind == UNIX:
            self.places = [(socket.AF_UNIX, one(fields, T_PATH))]
        else:
            host, port = one(fields, T_HOST).decode("ascii", "replace"), int(one(fields, T_PORT))
            self.places = numeric(host, port)
            if kind == BEYOND:
                self.ranges = ranges(fields.get(T_RANGE, []))
                self.places = self.beyond(self.places)
        if self.places:
            self.next()
        else:
            self.relay.resolve(self, host, port)
        self.relay.dialing.add(self)  # last: one that has failed already is nobody's

    def resolved(self, places, error):
        try:
            self.places = self.beyond(places)
            self.next(OSError(errno.EHOSTUNREACH, error))
        except OSError as e:
            self.stream.link.failed(self.stream, e)

    def beyond(self, places):
        """Of these what the stream may reach: all, or not this machine itself."""
        if self.ranges is None:
            return places
        kept = [p for p in places if not own(p) or within(p, self.ranges)]
        if places and not kept:
            raise NotAllowed(errno.EACCES, "it is this machine's own, and not allowed")
        return kept

    def attempt(self, error):
        try:
            self.next(error)
        except OSError as e:
            self.stream.link.failed(self.stream, e)

    def next(self, error=None):
        """Try the next place; an OSError when there is none."""
        while self.places:
            family, place = self.places[0]
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                try:
                    code = sock.connect_ex(place)
                except BaseException:
                    sock.close()
                    raise
            except OSError as e:
                error = e
                self.places.pop(0)
                continue
            if code in (0, errno.EINPROGRESS):
                self.end = self.relay.add_socket(sock, self)
                return
            sock.close()
            error = OSError(code, os.strerror(code))
            if code == errno.EAGAIN and time.monotonic() < self.until:
                # The queue of a unix socket is full: its server is busy.
                self.again = time.monotonic() + 0.05
                return
            self.places.pop(0)
        raise error or OSError(errno.EADDRNOTAVAIL, "no address")

    def happened(self, end):
        if not end.writable:
            return
        sock = self.relay.sockets[end.fd]
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.relay.close(end)
            self.end = None
            self.places.pop(0)
            self.attempt(OSError(code, os.strerror(code)))
            return
        if self.own and sock.family != socket.AF_UNIX and not ours(sock.getpeername()[1]):
            self.stream.link.failed(self.stream, OSError(errno.EACCES, "the port is another user's"))
            return
        self.relay.dialing.discard(self)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream, stream.dialing = self.stream, None
        stream.start(end, end)
        stream.link.opened(stream)
        stream.happened(end)

    def wakes(self):
        return self.until if self.again is None else self.again

    def tick(self, now):
        if now > self.until:
            self.stream.link.failed(self.stream, OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        elif self.again is not None and now >= self.again:
            self.again = None
            self.attempt(None)

    def cancel(self):
        self.relay.dialing.discard(self)
        if self.end is not None:
            self.relay.close(self.end)
            self.end = None


class NotAllowed(OSError):
    pass


def own(place):
    """Loopback, link-local, and what leads to them: 0.0.0.0, ::, mapped addresses."""
    family, (host, *_) = place
    b = socket.inet_pton(family, host.partition("%")[0])
    if len(b) == 16 and b[:12] in (bytes(12), bytes(10) + b"\xff\xff"):
        b = b[12:]
    if len(b) == 4:
        return b[0] in (0, 127) or b[:2] == b"\xa9\xfe"
    return b[0] == 0xFE and b[1] & 0xC0 == 0x80


def ranges(values):
    if not values:
        return []
    import ipaddress

    return [ipaddress.ip_network(v.decode("ascii", "replace"), strict=False) for v in values]


def within(place, nets):
    if not nets:
        return False
    import ipaddress

    address = ipaddress.ip_address(place[1][0].partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in net for net in nets)


def one(fields, tag):
    values = fields.get(tag, [])
    if len(values) != 1:
        raise OSError(errno.EINVAL, "the address is malformed")
    return values[0]


def ours(port):
    """Whether all who listen on a port are this account, or root: a container's
    port is root's, and root can do everything here anyway. Where that cannot be
    asked they are taken to be."""
    uids = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(name) as f:
                rows = [line.split() for line in f]
        except OSError:
            continue
        uids |= {int(row[7]) for row in rows[1:] if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    return bool(uids) and uids <= {os.getuid(), 0} or not os.path.exists("/proc/net/tcp")


def numeric(host, port):
    if not 0 < port < 65536:
        raise OSError(errno.EINVAL, "no port: %d" % port)
    if host == "localhost":
        return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
            return [(family, (host, port))]
        except OSError:
            pass
    return []
