# A part of the relay (wire.py): processes, with pipes or a terminal.


class Child:
    """A process with pipes, or with a terminal."""

    def __init__(self, link, main, flags, fields):
        self.link, self.main, self.relay = link, main, link.relay
        self.pty, self.status, self.told, self.signals = bool(flags & PTY), None, False, True
        argv = fields.get(T_ARG)
        if not argv:
            raise OSError(errno.EINVAL, "no command")
        self.master = None
        ours, theirs = self.terminal(fields) if self.pty else self.pipes()
        try:
            env, folder = environment(self.relay.environ, fields), fields.get(T_DIR, [None])[0]
            self.pid = spawn(argv, env, folder, self.relay.umask, theirs, self.pty)
        except OSError:
            for fd in set(ours):
                os.close(fd)
            raise
        finally:
            for fd in set(theirs):
                os.close(fd)
        self.connect(ours)
        self.relay.children[self.pid] = self

    def terminal(self, fields):
        master, slave = os.openpty()
        self.master = master
        size = fields.get(T_SIZE, [b"\0\x18\0\x50"])[0]
        if len(size) == 4:
            self.resize(*struct.unpack(">HH", size))
        return [master], [slave, slave, slave]

    @staticmethod
    def pipes():
        made = []
        try:
            for _ in range(3):
                made.append(os.pipe())
        except OSError:
            for pair in made:
                os.close(pair[0]), os.close(pair[1])
            raise
        (stdin, to), (out, stdout), (err, stderr) = made
        return [to, out, err], [stdin, stdout, stderr]

    def connect(self, ours):
        main = self.main
        main.child, main.waits = self, True
        if self.pty:
            end = self.relay.add(ours[0], main)
            main.cap = PTY_SPOOL
            main.start(end, end)
            return
        to, out, err = ours
        main.start(self.relay.add(out, main), self.relay.add(to, main))
        extra = Stream(self.link, main.sid + 1, main.limit)
        extra.child, extra.waits, extra.always = self, True, main.always
        self.link.streams[extra.sid] = extra
        extra.start(self.relay.add(err, extra), None)

    def ended(self, status):
        self.status = status
        if self.main.gone:
            return
        code, name = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 255, b""
        if os.WIFSIGNALED(status):
            try:
                name = signal.Signals(os.WTERMSIG(status)).name[3:].encode()
            except ValueError:
                name = b"%d" % os.WTERMSIG(status)
        self.link.push(frame(EXIT, self.main.sid, code, name), b"")
        self.told = True
        if self.pty and self.main.reading:
            # What runs on in the background does not keep a terminal.
            self.main.src.readable = True
            self.link.enqueue(self.main)
        elif not self.pty and not self.main.deaf:
            self.main.hush()
        self.main.maybe_over()

    def resize(self, rows, cols):
        if self.master is not None and not self.main.gone:
            import termios

            try:
                fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
            except OSError:
                pass

    def signal(self, number):
        if self.status is None:
            try:
                os.killpg(self.pid, number)
            except OSError:
                pass

    def hang_up(self):
        self.signal(signal.SIGHUP)


def environment(base, fields):
    env = dict(base)
    for item in fields.get(T_ENV, []):
        name, _, value = item.partition(b"=")
        env[name] = value
    return env


def spawn(argv, env, folder, umask, fds, pty):
    """The pid of a session of its own; an OSError when it cannot be run."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.umask(umask)
            if pty:
                import termios

                fcntl.ioctl(fds[0], termios.TIOCSCTTY, 0)
            # Above 2 first: a pipe may sit where another must go.
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds]
            for at, fd in enumerate(high):
                os.dup2(fd, at, inheritable=True)
            for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder or env.get(b"HOME", b"/"))
            os.execvpe(argv[0], argv, env)
        except OSError as e:
            os.write(tell, b"%d" % e.errno)
        finally:
            os._exit(127)
    os.close(tell)
    with os.fdopen(told, "rb") as f:
        error = f.read()
    if error:
        os.waitpid(pid, 0)
        raise OSError(int(error), os.strerror(int(error)))
    return pid
