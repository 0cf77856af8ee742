# argv: the relays' directory, and "1" to remove what dead ones left there.
import fcntl, os, re, socket, stat, sys

os.chdir(sys.argv[1])
here = os.stat(".")
if here.st_uid != os.getuid() or stat.S_IMODE(here.st_mode) & 0o077:
    sys.exit()
relays = {}
for name in os.listdir("."):
    m = re.match(r"(relay-[0-9a-f]{12})\.(?:py|sock|lock|log)(?:\.[0-9]+)?\Z", name)
    if m:
        relays.setdefault(m.group(1), []).append(name)


def lives(relay):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(2)
    try:
        sock.connect(relay + ".sock")
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except OSError:
        pass
    finally:
        sock.close()
    return True


def look(relay, names):
    try:  # whoever starts one holds it
        lock = os.open(relay + ".lock", os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        lock = None
    try:
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lives(relay):
            print("live", relay)
            return
        names = [n for n in names if not n.endswith(".lock")]
        size = sum(os.lstat(n).st_blocks for n in names) // 2
        if sys.argv[2:3] == ["1"]:
            for name in names:
                os.unlink(name)
        if names:
            print("dead", size)
    finally:
        if lock is not None:
            os.close(lock)


for relay, names in sorted(relays.items()):
    try:
        look(relay, names)
    except OSError:  # held by who starts one, or no longer there
        print("live", relay)
