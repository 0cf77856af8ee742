# A part of the relay (wire.py): the loop, and the program.


class Relay:
    def __init__(self, name, spool, options):
        self.name, self.id = name, os.urandom(16)
        self.store = Store(spool, options.get("quota"))
        self.keep = options.get("keep", 7 * 86400)
        self.idle = options.get("idle", 600)
        self.connect_time = options.get("connect", CONNECT_TIME)
        self.poller = Poll() if options.get("poll") or not hasattr(select, "epoll") else Epoll()
        self.sockets, self.children, self.links = {}, {}, {}
        self.replaced = collections.OrderedDict()
        self.greeting, self.dialing, self.lingering = set(), set(), {}
        self.windows, self.resolving, self.names, self.answers = 0, 0, collections.deque(), collections.deque()
        self.used = time.monotonic()
        self.environ = clean(os.environb)
        self.umask = os.umask(0o077)
        os.umask(self.umask)
        self.over = False

    # -- descriptors

    def add(self, fd, owner):
        os.set_blocking(fd, False)
        end = End(fd, owner)
        self.poller.add(end)
        return end

    def add_socket(self, sock, owner):
        sock.setblocking(False)
        self.sockets[sock.fileno()] = sock
        return self.add(sock.fileno(), owner)

    def forget_end(self, end):
        self.poller.drop(end)
        return self.sockets.pop(end.fd, None)

    def forget_fd(self, fd):
        end = self.poller.ends.get(fd)
        if end is not None:
            self.poller.drop(end)
        sock = self.sockets.pop(fd, None)
        try:
            if sock is not None:
                sock.close()
            else:
                os.close(fd)
        except OSError:
            pass

    def close(self, end):
        sock = self.forget_end(end)
        if end.fd < 0:
            return
        if sock is not None:
            sock.close()
        else:
            os.close(end.fd)
        end.fd, end.owner = -1, None
        end.readable = end.writable = False

    # -- memory

    def grant(self, wanted):
        """Window for a new stream; there is always a little."""
        return self.more(wanted) or self.more(MIN_WINDOW, WINDOWS + MAX_STREAMS * MIN_WINDOW)

    def more(self, wanted, limit=WINDOWS):
        if self.windows + wanted > limit:
            return 0
        self.windows += wanted
        return wanted

    def release(self, window):
        self.windows -= window

    # -- links

    def new_link(self, laptop, lid):
        self.replace(laptop, lid)
        self.tell_others(laptop, lid)
        link = self.links[lid] = Link(self, laptop, lid)
        return link

    def replace(self, laptop, lid):
        """That laptop's holder has ended: it has a new link now."""
        for old in [x for x in self.links.values() if x.laptop == laptop and x.lid != lid]:
            self.replaced[old.lid] = True
            while len(self.replaced) > 256:
                self.replaced.popitem(last=False)
            self.drop(old, "a newer one has replaced it", BYE_REPLACED)

    def tell_others(self, laptop, lid):
        for name in os.listdir("."):
            if name.endswith(".sock") and name != self.name + ".sock":
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.setblocking(False)
                try:
                    sock.connect(name)
                    sock.send(b"F" + laptop + lid)
                except OSError:
                    pass
                sock.close()

    def drop(self, link, why, code=BYE_ERROR):
        if self.links.get(link.lid) is link:
            del self.links[link.lid]
        if link.carrier is not None and why is not None:
            link.carrier.bye(code, why)
        link.close()
        self.used = time.monotonic()

    def linger(self, stream):
        self.lingering[stream] = time.monotonic() + LINGER

    # -- names: the one thing that cannot be asked without waiting

    def resolve(self, dialing, host, port):
        self.names.append((dialing, host, port))
        self.next_names()

    def next_names(self):
        import threading

        while self.names and self.resolving < 16:
            asked = self.names.popleft()
            self.resolving += 1
            try:
                threading.Thread(target=self.look_up, args=asked, daemon=True).start()
            except RuntimeError as e:  # no more threads
                self.answer(asked[0], [], str(e))

    def look_up(self, dialing, host, port):
        places, error = [], "no address of " + host
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            places = [(f[0], f[4]) for f in found][:8]
        except (OSError, UnicodeError) as e:
            error = getattr(e, "strerror", None) or str(e)
        self.answer(dialing, places, error)

    def answer(self, dialing, places, error):
        self.answers.append((dialing, places, error))
        os.write(self.wake, b"n")

    # -- the loop

    def run(self, listener):
        self.listener, self.place = listener, os.stat(self.name + ".sock").st_ino
        self.looked = self.touched = time.monotonic()
        signals, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        self.add(signals, self)
        self.door = self.add_socket(listener, self)
        self.signals = signals
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        more = False
        while not self.over:
            for end in self.poller.wait(0 if more else self.timeout()):
                self.guard(end.owner, end.owner.happened, end)
            now = time.monotonic()
            more = False
            for link in list(self.links.values()):
                if link.blocked and (not link.live(now) or any(s.always for s in link.blocked)):
                    link.unblock()
                more = self.guard(link, link.work, now) or more
            self.sweep(now)

    def guard(self, owner, do, arg):
        """What goes wrong with one link ends that link only."""
        try:
            return do(arg)
        except Exception as e:
            link = owner if isinstance(owner, Link) else getattr(owner, "link", None)
            if link is None and isinstance(owner, Dialing):
                link = owner.stream.link
            if link is None:
                if isinstance(arg, End) and owner is not self:
                    self.close(arg)
                return False
            last_words(self.name)
            self.drop(link, str(e) or repr(e))
            return False

    def stop(self, *_):
        self.over = True

    def timeout(self):
        now = time.monotonic()
        at = [now + min(LOOK, self.idle / 2, self.keep / 2)]
        for link in self.links.values():
            at += link.wakes(now)
        at += [dialing.wakes() for dialing in self.dialing]
        if self.lingering:
            at.append(now + 1)
        return max(0, min(at) - now)

    def happened(self, end):
        if not end.readable:
            return
        if end.fd == self.signals:
            self.signalled(end)
            return
        while end.readable:
            try:
                sock, _ = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                end.readable = False
            except OSError:  # no descriptor left: look() tries again
                return
            else:
                self.used = time.monotonic()
                Door(self, sock)

    def signalled(self, end):
        while end.readable and end.read(4096):
            pass
        for pid in list(self.children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                child = self.children.pop(pid)
                self.guard(child, child.ended, status)
        while self.answers:
            dialing, places, error = self.answers.popleft()
            self.resolving -= 1
            self.next_names()
            if dialing.stream.dialing is dialing:
                self.guard(dialing, lambda _: dialing.resolved(places, error), None)

    def look(self, now):
        """What a cleaner of old files may have done, and a full table."""
        self.looked = now
        if self.door.readable:
            self.happened(self.door)
        try:
            is_ours = os.stat(self.name + ".sock").st_ino == self.place
            if is_ours and now - self.touched > 3600:
                self.touched = now
                os.utime(self.name + ".sock")
            return
        except OSError:
            pass
        lock = None
        try:
            lock = os.open(self.name + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            listener = listen(self.name + ".sock")
            self.close(self.door)
            self.listener, self.place = listener, os.stat(self.name + ".sock").st_ino
            self.door = self.add_socket(listener, self)
        except OSError:
            pass
        if lock is not None:
            os.close(lock)

    def sweep(self, now):
        if now - self.looked >= min(LOOK, self.idle):
            self.look(now)
        for dialing in list(self.dialing):
            self.guard(dialing, dialing.tick, now)
        for stream in [s for s, until in self.lingering.items() if now > until or not s.queue or s.deaf]:
            stream.close(abort=now > self.lingering[stream])
        for link in list(self.links.values()):
            if link.carrier is None:
                quiet = now - link.left
                if quiet > self.keep or quiet > self.idle and not link.streams and not link.log:
                    self.drop(link, None)
        for carrier in [c for c in self.greeting if now - c.born > 60]:
            carrier.close()
        if self.links or self.greeting:
            self.used = now
        elif now - self.used > self.idle:
            self.retire(now)

    def retire(self, now):
        """Ends, unless somebody is just starting to use this relay."""
        lock = os.open(self.name + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(self.name + ".sock")
            self.over = True
        except OSError:
            self.used = now
        finally:
            os.close(lock)


def clean(env):
    """What a process of ours may know of the sign-in that started the relay."""
    return {k: v for k, v in env.items() if not k.startswith((b"SSH_", b"NBR_")) and k not in (b"TMUX", b"TMUX_PANE")}


def listen(name):
    folder = os.stat(".")
    if folder.st_uid != os.getuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        raise OSError(errno.EPERM, "its directory is not ours alone")
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o077)
    sock.bind(name)
    os.umask(umask)
    sock.listen(64)
    sock.setblocking(False)
    return sock


def last_words(name):
    """What ended a link, for whoever looks into what was lost by it."""
    import traceback

    try:
        with open(name + ".log", "a") as f:
            if f.tell() < 64 << 10:
                f.write(time.strftime("%Y-%m-%d %H:%M:%S\n") + traceback.format_exc())
    except OSError:
        pass


def more_descriptors(wanted):
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        want = wanted or (hard if hard != resource.RLIM_INFINITY else 65536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(want, 65536), hard))
    except (ImportError, OSError, ValueError):
        pass


def main(argv):
    os.closerange(3, 4096)  # what the sign-in left open
    name, spool = argv[2], argv[3]
    options = {k: float(v) if k != "quota" else int(v) for k, _, v in (o.partition("=") for o in argv[4:])}
    try:
        listener = listen(name + ".sock")
        relay = Relay(name, spool, options)
    except OSError as e:
        os.write(1, (e.strerror or str(e)).encode())
        sys.exit(1)
    more_descriptors(int(options.get("files", 0)))
    os.write(1, b"ok")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    try:
        relay.run(listener)
    except Exception:
        last_words(name)
        raise


if __name__ == "__main__" and sys.argv[1:2] == ["serve"]:
    main(sys.argv)
