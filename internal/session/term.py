# Shows the terminal of a script at this one, until the script ends: socket,
# log, and "1" if Ctrl-\ leaves it running.
import os
import select
import signal
import socket
import struct
import sys
import termios
import tty

LEFT = 91


def show(data):
    while data:
        data = data[os.write(1, data):]


def size(conn, kind=b"s"):
    try:
        columns, rows = os.get_terminal_size(0)
        conn.sendall(kind + struct.pack(">HH", rows, columns))
    except OSError:
        pass


def main():
    path, log, leaves = sys.argv[1], sys.argv[2], len(sys.argv) > 3
    conn = socket.socket(socket.AF_UNIX)
    try:
        conn.connect(path)
    except OSError:  # it has ended
        with open(log, "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - (256 << 10)))
            show(f.read())
        return 0
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGWINCH, lambda number, frame: None)
    size(conn, b"s" if leaves else b"i")
    while True:
        ready = select.select([0, conn, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 512)
            size(conn)
        if conn in ready:
            data = conn.recv(65536)
            if not data:
                return 0
            show(data)
        if 0 in ready:
            typed = os.read(0, 1024)
            if not typed or leaves and b"\x1c" in typed:
                return LEFT
            conn.sendall(b"d" + struct.pack(">H", len(typed)) + typed)


before = None
try:
    before = termios.tcgetattr(0)
    tty.setraw(0)
except termios.error:
    pass
code = 1
try:
    code = main()
except OSError:
    pass
finally:
    if before:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
os._exit(code)
