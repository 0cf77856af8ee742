# The half that sends. A part of what wire.py begins.


class Sender:
    def __init__(self):
        self.files, self.room = [], memoryview(bytearray(PIECE))

    def list(self, sources):
        number = 0
        for given in sources:
            paths = [home(given)]
            if not os.path.lexists(paths[0]) and glob.has_magic(given):
                paths = sorted(glob.glob(paths[0])) or paths
            for path in paths:
                self.top(path, b"%d" % number)
                number += 1
        out.field(b"listed")
        out.flush()

    def top(self, path, number):
        try:
            s = os.stat(path)
        except OSError as e:
            kind = b"not-found" if e.errno in (errno.ENOENT, errno.ENOTDIR) else b"other"
            out.trouble(kind, path, words(e))
            return
        name = os.path.basename(path.rstrip(b"/"))
        out.field(b"source", b"" if name in (b".", b"..") or os.path.normpath(path) == os.path.normpath(home(b"~")) else name)
        todo = [(path, number, s)]
        while todo:
            path, name, s = todo.pop()
            if stat.S_ISDIR(s.st_mode):
                todo += reversed(list(self.folder(path, name, s)))
            else:
                self.one(path, name, s)

    def entry(self, kind, name, s, size=0):
        out.field(kind, b"%o %d %d %s" % (s.st_mode & 0o777, s.st_mtime_ns, size, name))

    def folder(self, path, name, s):
        try:
            with os.scandir(path) as found:
                inside = sorted((e.name for e in found))
        except OSError as e:
            out.trouble(b"other", path, words(e))
            inside = []
        self.entry(b"dir", name, s)
        for one in inside:
            try:
                yield os.path.join(path, one), name + b"/" + one, os.lstat(os.path.join(path, one))
            except OSError as e:
                out.trouble(b"other", os.path.join(path, one), words(e))

    def one(self, path, name, s):
        if stat.S_ISREG(s.st_mode):
            self.files.append((path, s))
            self.entry(b"file", name, s, s.st_size)
        elif stat.S_ISLNK(s.st_mode):
            try:
                to = os.readlink(path)
            except OSError as e:
                return out.trouble(b"other", path, words(e))
            self.entry(b"link", name + b"\0" + to, s)
        else:
            out.trouble(b"skipped", path, b"no file, folder or link")

    def answer(self):
        """What of it is wanted."""
        wishes = []
        while True:
            name, value = take()
            if name == b"wanted":
                return wishes
            wishes.append((name, value.split()))

    def send(self, wishes):
        for name, wish in wishes:
            path, s = self.files[int(wish[0])]
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError as e:
                out.field(b"begin", wish[0] + b" 0")
                out.field(b"end", b"- " + words(e))
                continue
            try:
                if name == b"same":
                    same = read_all(fd, s.st_size).hexdigest().encode() == wish[1]
                    out.field(b"same", wish[0] + (b" yes" if same else b" no"))
                else:
                    self.file(fd, s, wish)
            finally:
                os.close(fd)
        out.field(b"sent")
        out.flush()

    def file(self, fd, s, wish):
        at, crc = int(wish[1]), 0
        if at:
            if read_all(fd, at).hexdigest().encode() != wish[2]:
                at = 0
                os.lseek(fd, 0, os.SEEK_SET)
        out.field(b"begin", wish[0] + b" %d" % at)
        state = b"ok"
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EINVAL, "it is no file any more")
            while at < before.st_size:
                got = os.readv(fd, [self.room[:min(PIECE, before.st_size - at)]])
                if not got:
                    break
                crc = crc32(self.room[:got], crc)
                at += got
                out.data(self.room[:got])
            now = os.fstat(fd)
            if at != now.st_size or (now.st_mtime_ns, now.st_size) != (s.st_mtime_ns, s.st_size):
                state = b"changed"
        except OSError as e:
            out.field(b"end", b"- " + words(e))
            return
        out.field(b"end", b"%08x " % crc + state)
