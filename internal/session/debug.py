# Runs a Python program under debugpy: FILE or -m MODULE, and its arguments.
# debugpy listens on this machine alone; its port is written down beside this
# file, and the program waits for a client.
import os
import runpy
import socket
import sys

here = sys.path.pop(0)
import debugpy

FIRST, LAST = 5678, 5699  # editors know the first one


def free():
    for port in range(FIRST, LAST + 1):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    return 0


port = debugpy.listen(("127.0.0.1", free()))[1]
with open(here + "/debug.tmp", "w") as f:
    f.write("%d\n" % port)
os.rename(here + "/debug.tmp", here + "/debug")
debugpy.wait_for_client()
if sys.argv[1] == "-m":
    sys.path.insert(0, "")
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    sys.argv = sys.argv[1:]
    if os.path.isfile(sys.argv[0]):
        sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    runpy.run_path(sys.argv[0], run_name="__main__")
