# Runs on the host for as long as its stdin is open, and says on stdout, when it
# changes, on which ports processes listen that a session of nbremote began:
# PORT=NAME, with spaces between, a line each time. Ports that the system has
# chosen are left out (ipykernel's, debugpy's, those of Dask's workers), and
# Jupyter's own. A line of numbers on stdin are ports of Jupyters that it did not
# begin and whose processes are meant too. It writes to no port.
import os, select, time

# Seconds between two looks, of its life (whoever wants more begins it anew), and
# the most ports that it says.
EVERY, LIFE, MOST = 2.5, 3600, 40
HERE = {
    "00000000", "0100007F", "7F000001", 32 * "0", "00000000000000000000000001000000", "00000000000000000000000000000001",
    "0000000000000000FFFF000000000000", "0000000000000000FFFF00000100007F",
}


def read(pid, name):
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as f:
            return f.read()
    except OSError:
        return b""


def listening(random, pages):
    """The account's listening sockets: inode to port."""
    found, uid = {}, str(os.getuid())
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            f = open(name)
        except OSError:
            continue
        with f:
            next(f, None)
            for line in f:
                row = line.split()
                if row[3] != "0A":  # those that listen come first
                    break
                address, _, port = row[1].partition(":")
                port = int(port, 16)
                if row[7] == uid and address in HERE and port >= 1024 and (port in pages or not random[0] <= port <= random[1]):
                    found[row[9]] = port
    return found


def owners(inodes):
    """The processes that have some sockets: inode to pids."""
    found, names = {i: [] for i in inodes}, {"socket:[%s]" % i: i for i in inodes}
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        folder = "/proc/%s/fd/" % pid
        try:
            for fd in os.listdir(folder):
                inode = names.get(os.readlink(folder + fd))
                if inode:
                    found[inode].append(int(pid))
        except OSError:
            pass
    return found


def is_begun(pid, roots):
    """Whether a session began a process: its Jupyter, whose runtime directory is in
    the environment of all below it, or the wrapper of its command; or whether it is
    below one of roots. Jupyter itself is not meant."""
    if variable(pid, b"NBREMOTE_TOKEN_FILE") or pid in roots:
        return False
    folder, session = os.path.split(variable(pid, b"JUPYTER_RUNTIME_DIR"))
    if os.path.basename(folder)[:4] in ("nbre", "nbr.") and len(session) == 7 and session[0] == "s":
        return True
    for _ in range(64):
        words = read(pid, "stat").rpartition(b")")[2].split()
        pid = int(words[1]) if len(words) > 1 else 0
        if pid < 2:
            break
        if pid in roots or b"./wrap.sh" in read(pid, "cmdline").split(b"\0"):
            return True
    return False


def variable(pid, name):
    for item in read(pid, "environ").split(b"\0"):
        if item.startswith(name + b"="):
            return os.fsdecode(item[len(name) + 1:])
    return ""


def of_kernel(pid, port):
    """Whether a port is one of those by which Jupyter talks to a kernel."""
    for arg in read(pid, "cmdline").split(b"\0"):
        if arg.endswith(b".json"):
            import json

            try:
                with open(arg) as f:
                    if port in [v for k, v in json.load(f).items() if k.endswith("_port")]:
                        return True
            except (OSError, ValueError, AttributeError):
                pass
    return False


def program(pid):
    name = read(pid, "comm").decode("ascii", "replace").strip()
    return "".join(c for c in name if c.isalnum() and c < "\x7f" or c in "._-")


def name_of(pids, port, roots):
    """The program whose port it is to be told; None: it is not."""
    if any(of_kernel(pid, port) for pid in pids) or not all(is_begun(pid, roots) for pid in pids):
        return None
    return program(pids[0])


def look(random, known, pages):
    """What is to be told now. What was found out about a socket is kept in known,
    unless it is not known yet whose it is."""
    now = listening(random, pages)
    for inode in set(known) - set(now):
        del known[inode]
    new = [i for i in now if i not in known]
    if new:
        found = owners(new + [i for i in now if now[i] in pages])
        roots = {pid for i, pids in found.items() if now[i] in pages for pid in pids}
        for inode in new:
            if found[inode]:
                known[inode] = name_of(found[inode], now[inode], roots)
    told = {port: known[i] for i, port in now.items() if known.get(i) is not None and port not in pages}
    return " ".join("%d=%s" % (port, told[port]) for port in sorted(told)[:MOST])


def main():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        random = [int(word) for word in f.read().split()]
    known, said, until, pages = {}, None, time.monotonic() + LIFE, set()
    while time.monotonic() < until:
        began = time.monotonic()
        text = look(random, known, pages)
        if text != said:
            said = text
            os.write(1, text.encode() + b"\n")
        pause = max(EVERY, 50 * (time.monotonic() - began))
        if select.select([0], [], [], pause)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            pages = {int(word) for word in data.split(b"\n")[-2:][0].split()}
            known.clear()  # whose they are is another question now


main()
