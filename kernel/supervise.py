# Keeps one kernel of somebody's laptop: starts it by its kernelspec, tells the
# laptop what becomes of it, and ends it when the laptop has been gone for long.
# Its directory is the session's; what it prints, and the kernel, is the log.
import sys
sys.path[:] = [p for p in sys.path if p]
import json, os, select, signal, socket, string, subprocess, time

CHANNELS = ["shell", "iopub", "stdin", "control", "hb"]
SHUTDOWN = 10  # seconds that a kernel has to end by itself
TERM = 3  # and after TERM
MOST = 1 << 20


def memory_kills():
    """How often the system has killed for want of memory; None: not known."""
    found = None
    places = ["/proc/vmstat"]
    try:
        with open("/proc/self/cgroup") as f:
            for line in f:
                if line.startswith("0::/"):
                    places.append("/sys/fs/cgroup" + line[3:].strip() + "/memory.events")
    except OSError:
        pass
    for place in places:
        try:
            with open(place) as f:
                for line in f:
                    if line.startswith("oom_kill "):
                        found = (found or 0) + int(line.split()[1])
        except (OSError, ValueError):
            pass
    return found


def words(log):
    """The last lines of what the kernel printed."""
    try:
        with open(log, "rb") as f:
            f.seek(0, 2)
            f.seek(max(0, f.tell() - 4096))
            text = f.read(4096).decode("utf-8", "replace")
    except OSError:
        return []
    return [line[:400] for line in text.splitlines() if line.strip()][-20:]


class Kernel:
    """One run of it."""

    def __init__(self, here, wish, key, scheme):
        self.key, self.scheme = key, scheme
        self.file = os.path.join(here, "kernel.json")
        self.killed, self.up, self.until, self.asked = memory_kills(), False, None, None
        spec = self.spec(wish["spec"])
        self.sockets = os.path.join(here, "k") if wish.get("sockets") else ""
        self.ports = self.free_ports()
        self.write(wish)
        environ = dict(os.environ)
        for name in ("JPY_SESSION_NAME", "JPY_PARENT_PID", "PYTHONEXECUTABLE"):
            environ.pop(name, None)
        given = dict(os.environ)
        for name, value in (spec.get("env") or {}).items():
            environ[name] = string.Template(str(value)).safe_substitute(given)
        if wish.get("session"):
            environ["JPY_SESSION_NAME"] = wish["session"]
        environ["JPY_PARENT_PID"] = str(os.getpid())
        self.process = subprocess.Popen(
            self.argv(spec, wish["spec"]), stdin=subprocess.DEVNULL, cwd=wish["dir"], env=environ,
            start_new_session=True)

    def spec(self, place):
        with open(os.path.join(place, "kernel.json"), "rb") as f:
            spec = json.loads(f.read(1 << 20).decode("utf-8"))
        if not isinstance(spec, dict) or not isinstance(spec.get("argv"), list) or not spec["argv"]:
            raise ValueError("its kernel.json says nothing to start")
        self.message = spec.get("interrupt_mode") == "message"
        return spec

    def argv(self, spec, place):
        top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(place))))
        values = {"connection_file": self.file, "resource_dir": place, "prefix": top}
        argv = []
        for word in spec["argv"]:
            word = str(word)
            for name, value in values.items():
                word = word.replace("{%s}" % name, value)
            argv.append(word)
        bare = argv[0].startswith("python") and not argv[0][6:].strip("0123456789.")
        own = os.path.join(top, "bin", argv[0])
        if bare and os.access(own, os.X_OK):
            argv[0] = own  # Jupyter takes a bare python for the one it runs by
        return argv

    def free_ports(self):
        if self.sockets:
            return {name: i + 1 for i, name in enumerate(CHANNELS)}
        held = []
        for _ in CHANNELS:
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            held.append(s)
        ports = dict(zip(CHANNELS, [s.getsockname()[1] for s in held]))
        for s in held:
            s.close()
        return ports

    def write(self, wish):
        said = {name + "_port": port for name, port in self.ports.items()}
        at, transport = (self.sockets, "ipc") if self.sockets else ("127.0.0.1", "tcp")
        said.update(ip=at, transport=transport, key=self.key, signature_scheme=self.scheme, kernel_name=wish["name"])
        if wish.get("session"):
            said["jupyter_session"] = wish["session"]
        try:
            os.unlink(self.file)
        except OSError:
            pass
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as f:
            json.dump(said, f)

    def listens(self):
        for name in ("shell", "iopub", "control"):
            s = socket.socket(socket.AF_UNIX if self.sockets else socket.AF_INET)
            try:
                s.settimeout(1)
                s.connect("%s-%d" % (self.sockets, self.ports[name]) if self.sockets else ("127.0.0.1", self.ports[name]))
            except OSError:
                return False
            finally:
                s.close()
        self.up = True
        return True

    def signal(self, number):
        # The group, as Jupyter does; its number is the kernel's as long as that is not waited for.
        if self.process.returncode is None:
            try:
                os.killpg(self.process.pid, number)
            except OSError:
                pass

    def end(self, number, wait):
        """Asks it to end, and ends it when it has not after that time."""
        if number:
            self.signal(number)
        until = time.monotonic() + wait
        self.until = until if self.until is None else min(self.until, until)
        self.asked = signal.SIGKILL if number else signal.SIGTERM

    def tick(self):
        if self.until is not None and time.monotonic() >= self.until:
            self.signal(self.asked)
            self.asked, self.until = signal.SIGKILL, time.monotonic() + TERM

    def how(self):
        code = self.process.returncode
        said = {"event": "end", "exit": code if code >= 0 else 128 - code, "words": words("log")}
        if code < 0:
            said["signal"] = signal.Signals(-code).name[3:] if -code in set(signal.Signals) else str(-code)
        now = memory_kills()
        said["memory"] = code == -signal.SIGKILL and self.asked is None and now is not None and now > (self.killed or 0)
        said["asked"] = self.asked is not None
        return said


class Supervisor:
    def __init__(self, here):
        self.here = here
        wished = os.path.join(here, "wish")
        with open(wished) as f:
            self.wish = json.load(f)
        os.unlink(wished)
        self.client, self.buffer, self.gone = None, b"", time.monotonic()
        self.listener = socket.socket(socket.AF_UNIX)
        path = os.path.join(here, "c")
        early = path + "0"
        try:
            os.unlink(early)
        except OSError:
            pass
        self.listener.bind(early)
        os.chmod(early, 0o600)
        self.listener.listen(8)
        os.rename(early, path)  # who sees it may connect
        self.trouble = self.kernel = None
        self.last = self.wish.pop("key")  # of the window that had it last
        self.launch(self.last, self.wish.pop("scheme"))

    def launch(self, key, scheme):
        try:
            self.kernel = Kernel(self.here, self.wish, key, scheme)
        except (OSError, ValueError) as e:
            self.trouble = str(e)
            print(self.trouble, flush=True)

    def tell(self, said):
        self.tell_to(self.client, said)

    def tell_to(self, client, said):
        if client is None:
            return
        try:
            client.sendall(json.dumps(said).encode() + b"\n")
        except OSError:
            pass

    # Who comes: the proxy that began this; the same once more after its own
    # connection was lost (resume); a new one of the same window, which was
    # killed to have the kernel started anew (the key is the same); or a new
    # window, which adopts a kernel that nobody has.
    def hello(self, client, said):
        k, key = self.kernel, said.get("key")
        if k is None:
            self.tell_to(client, {"event": "end", "exit": 1, "words": [self.trouble]})
            self.done = True
            return
        state = "adopted"
        if key == self.last:
            state = "new" if self.first or said.get("resume") else "again"
        elif self.client is not None or said.get("resume"):
            self.tell_to(client, {"state": "busy"})
            client.close()
            return
        if self.client is not None:
            self.client.close()
        if state == "again":
            k.signal(signal.SIGKILL)
            k.process.wait()
            self.launch(key, k.scheme)
            k = self.kernel
        self.first, self.client, self.buffer, self.last = False, client, b"", key
        answer = {"state": state, "ports": k.ports, "message": k.message, "pid": k.process.pid, "scheme": k.scheme, "pings": True, "sockets": k.sockets}
        if state == "adopted":
            answer["key"] = k.key
        self.tell(answer)
        if k.up:
            self.tell({"event": "up"})

    def hear(self, said):
        do = said.get("do")
        if do == "ping":
            self.tell({"event": "pong", "n": said.get("n")})
        elif do == "signal":
            self.kernel.signal(int(said.get("number", signal.SIGINT)))
        elif do == "stopping":
            self.kernel.end(0, SHUTDOWN)
        elif do == "stop":
            self.kernel.end(signal.SIGTERM, TERM)

    def take(self):
        try:
            data = self.client.recv(65536)
        except OSError:
            data = b""
        if not data or len(self.buffer) > MOST:
            self.client.close()
            self.client, self.gone = None, time.monotonic()
            return
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            try:
                self.hear(json.loads(line.decode()))
            except (ValueError, AttributeError):
                pass

    def greet(self):
        client = self.listener.accept()[0]
        client.settimeout(5)
        try:
            line = b""
            while not line.endswith(b"\n") and len(line) < MOST:
                data = client.recv(65536)
                if not data:
                    raise OSError("gone")
                line += data
            said = json.loads(line.decode())
            client.settimeout(30)
        except (OSError, ValueError):
            client.close()
            return
        self.hello(client, said)

    def wait(self, woken):
        """Until something is to be done."""
        k, limit = self.kernel, None
        if k and not k.up:
            limit = 0.02
        if k and k.until is not None:
            limit = max(0, min(limit or 3600, k.until - time.monotonic()))
        if self.client is None:
            left = max(0, self.gone + self.keep() - time.monotonic())
            limit = left if limit is None else min(limit, left)
        sources = [self.listener, woken] + ([self.client] if self.client else [])
        return select.select(sources, [], [], limit)[0]

    def keep(self):
        if self.kernel is None:
            return 30
        return 60 if self.first else float(self.wish["keep"])

    def run(self, woken):
        self.first, self.done = True, False
        while not self.done:
            for one in self.wait(woken):
                if one is woken:
                    os.read(woken, 512)
                elif one is self.listener:
                    self.greet()
                elif one is self.client:
                    self.take()
            k = self.kernel
            if k is None:
                if self.client is None and time.monotonic() > self.gone + self.keep():
                    return 1
                continue
            if k.process.poll() is not None:
                how = k.how()
                self.tell(how)
                return how["exit"]
            if not k.up and k.listens():
                self.tell({"event": "up"})
            if self.client is None and k.asked is None and time.monotonic() >= self.gone + self.keep():
                print("nobody has come for this kernel: it is ended", flush=True)
                k.end(signal.SIGTERM, TERM)
            k.tick()
        return 1


def main():
    supervisor = Supervisor(sys.argv[1])

    def ended(number, frame):
        if supervisor.kernel:
            supervisor.kernel.end(signal.SIGTERM, TERM)

    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # ignored, it would be so in the kernel
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    if supervisor.kernel and supervisor.kernel.process.poll() is not None:
        os.write(wake, b"x")
    try:
        code = supervisor.run(woken)
    finally:
        for name in ["c", "kernel.json"] + ["k-%d" % (i + 1) for i in range(len(CHANNELS))]:
            try:
                os.unlink(os.path.join(supervisor.here, name))
            except OSError:
                pass
    sys.exit(code)


main()
