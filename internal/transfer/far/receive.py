# The half that receives. A part of what wire.py begins.


def beside(path, name):
    return os.path.join(os.path.dirname(path), b".nbremote-" + name)


def named(path, end):
    return beside(path, hashlib.sha256(os.path.basename(path)).hexdigest()[:16].encode() + end)


def part(path):
    return named(path, b".part")


class Mark:
    """Stands beside a folder that a source is copied to under another name, until
    it is whole: the same copy, given again, goes on in it and not into it."""

    def __init__(self, dest, name):
        self.dest, self.name, self.path = dest, name, named(dest, b".copy")

    def stands(self):
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        with os.fdopen(fd, "rb") as f:
            return f.read(4096) == self.name

    def set(self):
        self.take()
        try:
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as f:
                f.write(self.name)
        except OSError:
            pass

    def take(self):
        try:
            os.unlink(self.path)
        except OSError:
            pass


def identity(path):
    try:
        s = os.lstat(path)
    except OSError as e:
        if e.errno == errno.ENOENT:
            return None
        raise
    return s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns


class Incoming:
    """A file on its way: until it is whole it has another name."""

    def __init__(self, path, mode, mtime, size):
        self.path, self.mode, self.mtime, self.size = path, mode, mtime, size
        self.fd, self.temp, self.at, self.crc, self.left = None, None, 0, 0, b""
        self.was = identity(path)

    def claim(self):
        """Take over what an earlier copy has left."""
        left = part(self.path)
        try:
            s = os.lstat(left)
            if not stat.S_ISREG(s.st_mode) or s.st_uid != os.geteuid() or s.st_size > self.size:
                return
            temp = beside(self.path, os.urandom(8).hex().encode())
            os.rename(left, temp)
        except OSError:
            return
        self.temp = temp
        try:
            self.fd = os.open(temp, os.O_RDWR | os.O_NOFOLLOW)
            self.left, self.at = read_all(self.fd, s.st_size).hexdigest().encode(), s.st_size
        except OSError:
            self.drop()
            self.at = 0

    def begin(self, at):
        if at and at == self.at and self.fd is not None:
            os.lseek(self.fd, at, os.SEEK_SET)
            return
        self.at = 0
        if self.fd is not None:
            os.lseek(self.fd, 0, os.SEEK_SET)
            os.ftruncate(self.fd, 0)
            return
        self.temp = beside(self.path, os.urandom(8).hex().encode())
        self.fd = os.open(self.temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, self.mode)

    def write(self, data):
        self.crc = crc32(data, self.crc)
        self.at += len(data)
        data = memoryview(data)
        while data:
            data = data[os.write(self.fd, data):]

    def finish(self, crc):
        if crc != b"%08x" % self.crc:
            self.at = 0  # nothing to go on with
            raise OSError(errno.EIO, "its checksum is another here: it was damaged on the way")
        os.utime(self.fd, ns=(self.mtime, self.mtime))
        if self.at >= KEEP:
            os.fsync(self.fd)
        if identity(self.path) != self.was:
            raise OSError(errno.EEXIST, "something else has come there meanwhile")
        os.close(self.fd)
        self.fd = None
        os.rename(self.temp, self.path)
        self.temp = None
        try:
            os.unlink(part(self.path))  # of what it was before
        except OSError:
            pass

    def drop(self):
        """It will not be whole, now."""
        if self.fd is not None:
            os.close(self.fd)
        if self.temp is not None:
            try:
                if self.at >= KEEP:
                    os.rename(self.temp, part(self.path))
                else:
                    os.unlink(self.temp)
            except OSError:
                pass
        self.fd = self.temp = None


class Receiver:
    def __init__(self, spec):
        self.dest, self.force = home(spec[b"dest"][0]), b"force" in spec
        self.folder = b"folder" in spec  # it has to be one
        self.base, self.paths, self.files, self.made, self.links = None, {}, [], [], []
        self.already, self.done, self.got, self.told = 0, 0, 0, 0.0
        self.now = self.into = self.mark = None
        self.whole = True
        self.ours = set()  # folders that an earlier half of this copy made

    def place(self, name):
        """Where the next source goes."""
        if self.base is None:
            going_on = not self.folder and not self.dest.endswith(b"/") and Mark(self.dest, name).stands()
            self.into = os.path.isdir(self.dest) and not going_on
        if self.into:
            self.base = os.path.join(self.dest, name) if name else self.dest
            return
        if self.folder or self.base is not None:
            raise Fail(b"not-found", b"find the folder " + self.dest + b": there is none")
        if os.path.lexists(self.dest) and not os.path.isfile(self.dest) and not os.path.isdir(self.dest):
            raise Fail(b"other", b"write to " + self.dest + b": it is no file and no folder")
        self.base = self.dest.rstrip(b"/")
        self.mark = Mark(self.base, name)
        above = os.path.dirname(self.base)
        if not os.path.isdir(above):
            raise Fail(b"not-found", b"find the folder " + above + b": there is none")

    def path(self, name):
        """Its path here; None: the folder that it is in could not be made."""
        above, slash, last = name.rpartition(b"/")
        if not slash:
            return self.base
        if self.paths.get(above) is None:
            return None
        return os.path.join(self.paths[above], last)

    def list(self):
        while True:
            name, value = take()
            if name == b"listed":
                break
            if name == b"source":
                self.place(value)
                continue
            if name == b"made":
                self.ours.add(value)
                continue
            mode, mtime, size, entry = value.split(b" ", 3)
            mode, mtime, size = int(mode, 8), int(mtime), int(size)
            entry, _, to = entry.partition(b"\0")
            path = self.path(entry)
            try:
                if name == b"dir":
                    self.paths[entry] = self.directory(path, entry, mode, mtime)
                elif name == b"file":
                    self.file(path, mode, mtime, size)
                elif path is not None:
                    self.links.append((path, to))
            except OSError as e:
                self.failed(path, e)
                if name == b"file":
                    self.files.append(None)
        out.field(b"wanted")
        out.flush()

    def failed(self, path, e):
        self.whole = False
        if e.errno in FULL:
            raise Fail(b"missing", b"write " + path + b": " + words(e))
        out.trouble(b"exists" if e.errno == errno.EEXIST else b"other", path, words(e))

    def directory(self, path, entry, mode, mtime):
        if path is None:
            return None
        try:
            os.mkdir(path, mode | 0o700)
            self.ours.add(entry)
            out.field(b"made", entry)
            if self.mark and path == self.base:
                self.mark.set()
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode) and path != self.dest:
                raise OSError(errno.EEXIST, "it is there, and no folder")
        if entry in self.ours:
            self.made.append((path, mode, mtime))
        return path

    def file(self, path, mode, mtime, size):
        number, one = b"%d" % len(self.files), None
        if path is not None:
            try:
                s = os.lstat(path)
            except FileNotFoundError:
                s = None
            one = Incoming(path, mode, mtime, size)
            if s is None:
                pass
            elif not stat.S_ISREG(s.st_mode):
                if stat.S_ISDIR(s.st_mode) or not self.force:
                    raise OSError(errno.EEXIST, "it is there, and no file")
            elif (s.st_size, s.st_mtime_ns) == (size, mtime):
                self.already += 1
                one = None
            elif self.force:
                pass
            elif s.st_size == size:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    total = read_all(fd, size).hexdigest().encode()
                finally:
                    os.close(fd)
                out.field(b"same", number + b" " + total)
                self.files.append(one)
                return
            else:
                raise OSError(errno.EEXIST, "another file is there")
        if one is not None:
            one.claim()
            out.field(b"want", number + b" %d " % one.at + one.left)
        self.files.append(one)

    def receive(self):
        while True:
            name, value = take()
            if name == b"data":
                self.got += len(value)
                self.tell()
                if self.now is not None:
                    self.try_to(self.now.write, value)
            elif name == b"begin":
                number, at = value.split()
                self.now = self.files[int(number)]
                self.got += int(at)
                self.try_to(self.now.begin, int(at))
            elif name == b"end":
                total, _, state = value.partition(b" ")
                if self.now is not None and total != b"-" and self.try_to(self.now.finish, total):
                    self.done += 1
                elif self.now is not None:
                    self.now.drop()
                    self.whole = False
                self.now = None
            elif name == b"same":
                number, same = value.split()
                if same == b"yes":
                    self.already += 1
                else:
                    out.trouble(b"exists", self.files[int(number)].path, b"another file is there")
            elif name == b"sent":
                return

    def try_to(self, what, value):
        try:
            what(value)
            return True
        except OSError as e:
            self.now, now = None, self.now
            if e.errno in FULL:
                now.at = 0  # room is what is wanted
            now.drop()
            self.failed(now.path, e)
            return False

    def tell(self):
        now = time.monotonic()
        if now - self.told > 0.2:
            self.told = now
            out.field(b"at", b"%d %d" % (self.done, self.got))
            out.flush()

    def finish(self):
        for path, to in self.links:
            try:
                if os.path.islink(path) and os.readlink(path) == to:
                    self.already += 1
                    continue
                if os.path.islink(path) and self.force:
                    os.unlink(path)
                os.symlink(to, path)
                self.done += 1
            except FileExistsError:
                out.trouble(b"exists", path, b"something else is there")
            except OSError as e:
                self.failed(path, e)
        for path, mode, mtime in reversed(self.made):
            try:
                os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & mode)
                os.utime(path, ns=(mtime, mtime))
            except OSError as e:
                self.failed(path, e)
        if self.mark and self.whole:
            self.mark.take()
        out.field(b"done", b"%d %d %d" % (self.done, self.already, self.got))
        out.flush()

    def leave(self):
        for one in self.files:
            if one is not None:
                one.drop()
