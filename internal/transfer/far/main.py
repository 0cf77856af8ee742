# What the host's half does. A part of what wire.py begins.


def ended(*_):
    raise EOFError


def widen():
    """Fewer turns with a relay at the other end."""
    try:
        import fcntl

        for fd in (0, 1):
            fcntl.fcntl(fd, 1031, 1 << 20)  # F_SETPIPE_SZ of Linux
    except (ImportError, OSError):
        pass


def end_earlier(copy):
    """Ends the earlier half of this copy, which may not know yet that its line
    is gone, and waits until it has given up what it had."""
    for _ in range(100):
        alive = [pid for pid in processes(copy) if pid != os.getpid()]
        if not alive:
            return
        for pid in alive:
            try:
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
            except OSError:
                pass
        time.sleep(0.05)


def processes(copy):
    """Of the copy with that name. Where there is no /proc there are none."""
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(path + "/cmdline", "rb") as f:
                argv = f.read().split(b"\0")
            if argv[-2:-1] == [copy] and os.stat(path).st_uid == os.geteuid():
                yield int(path[6:])
        except (OSError, ValueError):
            pass


def main():
    widen()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ended)
    out.field(b"hello")
    out.flush()
    spec = {}
    while b"go" not in spec:
        name, value = take()
        spec.setdefault(name, []).append(value)
    if b"again" in spec:
        end_earlier(os.fsencode(sys.argv[1]))
    receiver = None
    try:
        if b"from" in spec:
            sender = Sender()
            sender.list(spec[b"from"])
            sender.send(sender.answer())
            return
        receiver = Receiver(spec)
        receiver.list()
        receiver.receive()
        receiver.finish()
    except Fail as e:
        out.field(b"nbremote.class", e.args[0])
        out.field(b"nbremote.fail", e.args[1])
        out.flush()
    finally:
        if receiver is not None:
            receiver.leave()


try:
    main()
except (EOFError, BrokenPipeError):
    sys.exit(1)
