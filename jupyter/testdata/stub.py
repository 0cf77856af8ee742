# A Jupyter made small: it guards /api/status, writes the runtime file, and
# ends on TERM. STUB_* in the environment say what it should do wrong.
import json, os, signal, socketserver, sys, time
from http.server import BaseHTTPRequestHandler

env = os.environ
token = open(env["NBREMOTE_TOKEN_FILE"]).read().strip()
time.sleep(float(env.get("STUB_SLEEP", "0")))
sock, port = env.get("NBREMOTE_SOCK", ""), int(env["NBREMOTE_PORT"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "-"

    def do_GET(self):
        good = self.headers.get("Authorization") == "token " + token
        body = b'{"started": "x", "kernels": 0}' if good else b"{}"
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self):
        conn, _ = super().get_request()
        return conn, ("-", 0)


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


late = float(env.get("STUB_BIND_LATE", "0"))
if late:
    server = Unix(sock, Handler, False) if sock else Tcp(("127.0.0.1", port), Handler, False)
    port = 0 if sock else port
elif sock:
    server = Unix(sock, Handler)
    port = 0
else:
    for port in range(port, port + 50):
        try:
            server = Tcp(("127.0.0.1", port), Handler)
            break
        except OSError:
            print("The port %d is already in use, trying another port." % port)
name = os.path.join(env["JUPYTER_RUNTIME_DIR"], "jpserver-%d.json" % os.getpid())
with open(name, "w") as f:
    json.dump({"base_url": "/", "hostname": "127.0.0.1", "password": False, "pid": os.getpid(), "port": port,
               "root_dir": os.getcwd(), "secure": False, "sock": sock, "token": token, "version": "2.0.0"}, f, indent=2)
if late: # as Jupyter does it: it binds when its event loop comes to it
    time.sleep(late)
    server.server_bind()
    time.sleep(late) # a socket file is there before anybody listens
    server.server_activate()
print("argv", sys.argv[1:])
print("env", json.dumps(dict(env)))
print("umask %03o" % os.umask(0o22))
sys.stdout.flush()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
with open("stub-starts", "a") as f:
    f.write("%d\n" % os.getpid())
server.serve_forever()
