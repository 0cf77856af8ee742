# A part of the relay (wire.py): what a descriptor is ready for.


class End:
    """A descriptor and what it is known to be ready for. Whoever finds that it
    is not ready after all clears the mark."""

    __slots__ = ("fd", "owner", "readable", "writable", "hung_up")

    def __init__(self, fd, owner):
        self.fd, self.owner = fd, owner
        self.readable = self.writable = self.hung_up = False

    def drained(self):
        """A read of a pipe or a socket, not of a terminal, gave less than it
        could: the next is worth a try when more is announced. An end that was
        announced together with what was read is not announced again."""
        if not self.hung_up:
            self.readable = False

    def read(self, n):
        """What is there, at most n bytes; None: nothing now; b"": the end."""
        try:
            return os.read(self.fd, n)
        except (BlockingIOError, InterruptedError):
            self.readable = False
        except OSError as e:
            if e.errno == errno.EIO:  # a terminal that nobody has open
                return b""
            raise

    def write(self, pieces):
        """How much of pieces was taken, maybe 0."""
        try:
            return os.writev(self.fd, pieces)
        except (BlockingIOError, InterruptedError):
            self.writable = False
            return 0


class Epoll:
    """Tells each change once."""

    def __init__(self):
        self.epoll = select.epoll()
        self.ends = {}

    def add(self, end):
        self.epoll.register(end.fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        self.ends[end.fd] = end

    def drop(self, end):
        if self.ends.pop(end.fd, None) is not None:
            self.epoll.unregister(end.fd)

    def wait(self, timeout):
        try:
            events = self.epoll.poll(timeout, 64)
        except InterruptedError:
            return
        for fd, mask in events:
            end = self.ends.get(fd)
            if end is None:
                continue
            if mask & ~select.EPOLLOUT:
                end.readable = True
            if mask & ~(select.EPOLLIN | select.EPOLLRDHUP):
                end.writable = True
            if mask & ~(select.EPOLLIN | select.EPOLLOUT):
                end.hung_up = True
            yield end


class Poll:
    """The same for systems without epoll: asks only for what is not known."""

    def __init__(self):
        self.ends = {}

    def add(self, end):
        self.ends[end.fd] = end

    def drop(self, end):
        self.ends.pop(end.fd, None)

    def wait(self, timeout):
        poll = select.poll()
        for fd, end in self.ends.items():
            mask = (0 if end.readable else select.POLLIN) | (0 if end.writable else select.POLLOUT)
            if mask:
                poll.register(fd, mask)
        try:
            events = poll.poll(timeout * 1000)
        except InterruptedError:
            return
        for fd, mask in events:
            end = self.ends.get(fd)
            if end is None:
                continue
            if mask & ~select.POLLOUT:
                end.readable = True
            if mask & ~select.POLLIN:
                end.writable = True
            yield end
