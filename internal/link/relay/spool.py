# A part of the relay (wire.py): what waits for the line.


class Store:
    """What all spools share: the folder, the quota, the memory."""

    def __init__(self, folder, quota=None):
        self.folder, self.fixed = folder, quota
        self.memory = self.disk = self.count = 0
        self.quota = quota or 10 << 30
        self.asked = None

    def allow(self, n):
        now = time.monotonic()
        if self.fixed is None and (self.asked is None or now - self.asked > 2):
            self.asked = now
            try:
                s = os.statvfs(self.folder)
                self.quota = min(10 << 30, (s.f_bavail * s.f_frsize + self.disk) // 10)
            except OSError:
                self.quota = 0
        return self.disk + n <= self.quota

    def segment(self):
        """A file without a name: nothing is left of it when the relay ends."""
        self.count += 1
        path = os.path.join(self.folder, "spool.%d.%d" % (os.getpid(), self.count))
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
        return fd


class Spool:
    """A queue of bytes: files, then what is not yet in a file."""

    __slots__ = ("store", "size", "full", "files", "tail", "kept")

    def __init__(self, store):
        self.store = store
        self.size = self.kept = 0
        self.full = False  # nothing more should be put
        self.files = collections.deque()  # [fd, read up to, written up to]
        self.tail = collections.deque()

    def put(self, data):
        self.tail.append(data)
        self.size += len(data)
        self.kept += len(data)
        self.store.memory += len(data)
        if self.kept >= TAIL or self.store.memory >= TAILS:
            try:
                self.flush()
            except OSError:
                self.full = True

    def flush(self):
        data = memoryview(b"".join(self.tail))
        if not self.store.allow(len(data)):
            raise OSError(errno.EDQUOT, "spool quota")
        if not self.files or self.files[-1][2] >= SEGMENT:
            self.files.append([self.store.segment(), 0, 0])
        last = self.files[-1]
        try:
            while len(data):
                n = os.pwrite(last[0], data, last[2])
                last[2] += n
                self.store.disk += n
                self.store.memory -= n
                self.kept -= n
                data = data[n:]
        finally:
            self.tail.clear()
            if len(data):
                self.tail.append(bytes(data))

    def take(self, n):
        """At most n of the oldest bytes."""
        data = self.oldest(n)
        self.size -= len(data)
        # Not while files remain: what they free would be filled up in memory.
        if self.full and self.kept < TAIL // 2 and self.store.memory < TAILS:
            self.full = False
        return data

    def oldest(self, n):
        while self.files:
            first = self.files[0]
            data = os.pread(first[0], min(n, first[2] - first[1]), first[1])
            first[1] += len(data)
            if first[1] == first[2]:
                self.close_first()
            if data:
                return data
        data = self.tail.popleft()
        if len(data) > n:
            self.tail.appendleft(data[n:])
            data = data[:n]
        self.kept -= len(data)
        self.store.memory -= len(data)
        return data

    def close_first(self):
        fd, _, written = self.files.popleft()
        os.close(fd)
        self.store.disk -= written

    def drop(self):
        while self.files:
            self.close_first()
        self.store.memory -= self.kept
        self.size = self.kept = 0
        self.tail.clear()
