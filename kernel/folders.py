# Where kernelspecs lie, and how one gets there: under another name, whole, by
# a rename. Runs under Python 3.6 and later.
import sys
sys.path[:] = [p for p in sys.path if p]
import errno, json, os, re, shutil, signal, threading, time

try:
    import fcntl
except ImportError:
    fcntl = None


class Outcome(Exception):
    """How it went: what main prints."""

    def __init__(self, state, **more):
        Exception.__init__(self, state)
        self.answer = dict(more, state=state)


class Held:
    """with HELD: what is begun is known, or ended, before a signal ends this."""

    depth, number = 0, None

    def __enter__(self):
        self.depth += 1

    def __exit__(self, *_):
        self.depth -= 1
        if not self.depth and self.number:
            sys.exit(128 + self.number)

    def stop(self, number, _):
        for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)
        self.number = number
        if not self.depth:
            sys.exit(128 + number)


HELD = Held()


def server_environ(pid):
    try:
        with open("/proc/%d/environ" % pid, "rb") as f:
            pairs = [p for p in f.read().split(b"\0") if b"=" in p]
    except OSError:
        return None
    return dict(os.fsdecode(p).split("=", 1) for p in pairs)


def server_prefix(pid):
    """The environment that the server itself runs in, as its own command line tells."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            first = os.fsdecode(f.read(65536).split(b"\0")[0])
    except OSError:
        return None
    return os.path.dirname(os.path.dirname(first)) if os.path.isabs(first) else None


def data_dir(env):
    home = env.get("HOME") or os.path.expanduser("~")
    if env.get("JUPYTER_DATA_DIR"):
        return env["JUPYTER_DATA_DIR"]
    if sys.platform == "darwin":
        platform = env.get("JUPYTER_PLATFORM_DIRS", "0").lower() not in ("", "0", "no", "n", "false", "off")
        return os.path.join(home, "Library/Application Support/Jupyter" if platform else "Library/Jupyter")
    return os.path.join(env.get("XDG_DATA_HOME") or os.path.join(home, ".local/share"), "jupyter")


def seen_folders(env, prefix):
    """All that a Jupyter with this environment may read."""
    tops = [p for p in env.get("JUPYTER_PATH", "").split(os.pathsep) if p] + [data_dir(env)]
    if prefix:
        tops.append(os.path.join(prefix, "share/jupyter"))
    tops += ["/usr/local/share/jupyter", "/usr/share/jupyter"]
    return [os.path.join(top, "kernels") for top in tops]


def find_in(folder, name):
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    for one in names:
        path = os.path.join(folder, one)
        if one.lower() == name and os.path.isfile(os.path.join(path, "kernel.json")):
            return path
    return None


def read_spec(path):
    try:
        with open(os.path.join(path, "kernel.json"), "rb") as f:
            spec = json.loads(f.read(1 << 20).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return spec if isinstance(spec, dict) else {}


SAME = ["argv", "env"]  # and display_name where one was wished for


def same(old, new):
    return all(old.get(key) == new.get(key) for key in SAME)


def brief(spec, path):
    argv = spec.get("argv")
    return {
        "argv0": str(argv[0]) if isinstance(argv, list) and argv else "",
        "dir": path or "", "display_name": str(spec.get("display_name", "")),
    }


def cannot(path, err):
    return Outcome("unwritable", dir=path, why=err.strerror or str(err), full=err.errno in (errno.ENOSPC, errno.EDQUOT))


class Trial:
    """A kernelspec of a name that nobody knows, until it is published or removed."""

    def __init__(self, folder, name, spec, tmp):
        self.folder, self.path, self.name, self.made = folder, os.path.join(folder, name), name, []
        try:
            with open(os.path.join(tmp, "trial"), "wb") as f:
                f.write(os.fsencode(self.path))
        except OSError:
            pass  # it only says what to remove should this be killed
        for left in range(5, -1, -1):
            try:
                return self.write(spec)
            except OSError as err:
                self.remove()
                if not left or not isinstance(err, FileNotFoundError):
                    raise cannot(folder, err)
                # Another one, which had made the folder, has just taken it away again.

    def write(self, spec):
        self.make()
        self.sweep()
        os.mkdir(self.path, 0o755)
        os.chmod(self.path, 0o755)
        fd = os.open(os.path.join(self.path, "kernel.json"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        with os.fdopen(fd, "wb") as f:
            f.write(json.dumps(spec, indent=1).encode("ascii") + b"\n")
            f.flush()
            os.fchmod(fd, 0o644)
            os.fsync(fd)

    def make(self):
        """The folder and those above it, which others may be making too."""
        missing, self.made, path = [], [], self.folder
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            try:
                os.mkdir(path, 0o700 if path.endswith(("/.local", "/.local/share")) else 0o755)
                self.made.insert(0, path)
            except FileExistsError:
                pass

    def sweep(self):
        """Trials that were killed in the middle, an hour ago or more."""
        for one in os.listdir(self.folder):
            path = os.path.join(self.folder, one)
            try:
                old = one.startswith("nbremote-trial-") and time.time() - os.lstat(path).st_mtime > 3600
            except FileNotFoundError:
                continue
            if old:
                shutil.rmtree(path, ignore_errors=True)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
        for path in self.made:
            try:
                os.rmdir(path)
            except OSError:
                return

    def publish(self, name, spec, force, seen):
        """Gives it its name, if seen() then holds; else all is as before.

        Status False: another had put the same there.
        """
        lock = lock_folder(self.folder)
        final, aside, old = os.path.join(self.folder, name), self.path + "-old", find_in(self.folder, name)
        try:
            if old and same(read_spec(old), spec):
                self.remove()
                return False
            if old and not force:
                raise Outcome("taken", old=brief(read_spec(old), old))
            try:
                if old:
                    os.rename(old, aside)
                os.rename(self.path, final)
            except OSError as err:
                raise cannot(self.folder, err)
            seen()
        except BaseException:
            if not os.path.isdir(self.path) and os.path.isdir(final):
                os.rename(final, self.path)
            if old and os.path.isdir(aside):
                os.rename(aside, old)
            raise
        finally:
            if lock is not None:
                os.close(lock)
        shutil.rmtree(aside, ignore_errors=True)
        return True


def lock_folder(folder):
    """Some network file systems know no locks: then the rename alone decides."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    for _ in range(100):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except (OSError, AttributeError) as err:
            if getattr(err, "errno", None) not in (errno.EWOULDBLOCK, errno.EAGAIN):
                break
            time.sleep(0.1)
    return fd
