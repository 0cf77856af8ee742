# Could the relay run here, and can something be written in the home? What is
# written has no name and is gone at once.
import sys

print("version " + sys.version.split()[0])
if sys.version_info < (3, 8):
    sys.exit()
import collections, errno, fcntl, hashlib, os, select, signal, socket, stat, struct, time

print("relay")
try:
    f = os.open(sys.argv[1], os.O_RDWR | getattr(os, "O_TMPFILE"), 0o600)
    for _ in range(16):
        os.write(f, b"x" * 4096)
    print("write ok")
except AttributeError:
    pass
except OSError as e:
    print("write " + errno.errorcode.get(e.errno, "?"))
