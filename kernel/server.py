# The kernel through a running Jupyter, as its page would start it. The
# websocket is RFC 6455 as far as one client needs it.
import base64, http.client, socket, struct

LIMIT = 8 << 20  # bytes of one answer
ID = re.compile(r"^[0-9a-fA-F-]{8,64}$")


class Refused(Exception):
    """The server does not let us ask."""


class Server:
    def __init__(self, job):
        self.job, self.host = job, "localhost"
        if job["network"] != "unix":
            self.host = job["addr"]

    def connect(self, wait):
        if self.job["network"] == "unix":
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.settimeout(wait)
            s.connect(self.job["addr"])
            return s
        host, _, port = self.job["addr"].rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), wait)

    def ask(self, method, path, body=None, wait=30):
        """Gives the status and what the JSON says."""
        http_ = http.client.HTTPConnection(self.host)
        try:
            http_.sock = self.connect(wait)
            head = {"Host": self.host, "Authorization": "token " + self.job["token"], "Connection": "close"}
            http_.request(method, self.job["base"] + path, body and json.dumps(body), head)
            answer = http_.getresponse()
            text = answer.read(LIMIT)
        except (OSError, http.client.HTTPException) as err:
            raise Refused("the Jupyter there does not answer: %s" % err)
        finally:
            http_.close()
        if answer.status in (301, 302, 401, 403):
            raise Refused("the Jupyter there does not let us in (status %d)" % answer.status)
        try:
            return answer.status, json.loads(text.decode("utf-8")) if text else None
        except ValueError:
            return answer.status, None

    def spec(self, name):
        """As the page's list has it: a name that is asked for alone may be one that is not shown."""
        status, body = self.ask("GET", "api/kernelspecs")
        if status != 200 or not isinstance(body, dict):
            raise Refused("the Jupyter there does not list its kernels (status %d)" % status)
        return (body.get("kernelspecs", {}).get(name) or {}).get("spec")

    def sweep(self):
        """Ends trials of which only the kernel is left: a trial goes after its kernel."""
        _, kernels = self.ask("GET", "api/kernels")
        for one in kernels if isinstance(kernels, list) else ():
            name, kernel = str(one.get("name")), str(one.get("id"))
            if name.startswith("nbremote-trial-") and ID.match(kernel) and self.spec(name) is None:
                self.delete(kernel)

    def delete(self, kernel):
        # Killed before: a graceful end would take a second of the user's time.
        for pid in processes(kernel):
            end(pid)
        try:
            for _ in range(10):
                if self.ask("DELETE", "api/kernels/" + kernel)[0] < 500:
                    break
                time.sleep(0.2)  # a Jupyter fails to end one that it still starts
        except Refused:
            pass

    def prove(self, name, deadline):
        """Starts a kernel and asks it; it is deleted when this returns."""
        began, kernel = time.monotonic(), None
        try:
            with HELD:
                kernel = self.start(name, max(1, deadline - began))
            channel = Channel(self, kernel, deadline)
            try:
                facts = question(channel.ask, deadline)
            finally:
                channel.close()
            facts["took"] = time.monotonic() - began
            return facts
        except Late:
            raise Failure("it gives no answer in time")
        finally:
            with HELD:
                if kernel:
                    self.delete(kernel)

    def start(self, name, wait):
        status, body = self.ask("POST", "api/kernels", {"name": name}, wait)
        if status != 201 or not isinstance(body, dict) or not ID.match(str(body.get("id"))):
            raise Failure("it does not start", [str((body or {}).get("message") or "status %d" % status)])
        return body["id"]


def processes(kernel):
    """Those that were given the kernel's connection file; none where that cannot be seen."""
    found, word = [], ("kernel-%s.json" % kernel).encode("ascii")
    for pid in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if pid.isdigit() and word in f.read(65536):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


class Channel:
    """A websocket to one kernel."""

    def __init__(self, server, kernel, until):
        self.server, self.kernel, self.kept, self.looked, self.missed = server, kernel, b"", time.monotonic(), 0
        self.session = base64.b16encode(os.urandom(16)).decode("ascii").lower()
        self.sock = server.connect(10)
        self.sock.settimeout(0.1)
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        self.sock.sendall((
            "GET %sapi/kernels/%s/channels?session_id=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: token %s\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
            % (server.job["base"], kernel, self.session, server.host, server.job["token"], key)).encode("ascii"))
        while b"\r\n\r\n" not in self.kept:
            self.more(until)
        head, _, self.kept = self.kept.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Failure("the Jupyter there opens no channel to it", [head.split(b"\r\n")[0].decode("latin-1")])

    def close(self):
        self.sock.close()

    def more(self, until):
        try:
            got = self.sock.recv(65536)
        except socket.timeout:
            got = None
        if got == b"" or len(self.kept) > LIMIT:
            raise Failure("the Jupyter there closed the channel to it")
        self.kept += got or b""
        if got is None and time.monotonic() > until:
            raise Late()
        if got is None and time.monotonic() - self.looked > 0.4:
            self.look()

    def look(self):
        """A server takes seconds to see that a kernel died, and then starts it again."""
        self.looked = time.monotonic()
        if os.path.isdir("/proc/self"):
            self.missed = 0 if processes(self.kernel) else self.missed + 1
            dead = self.missed > 1
        else:
            status, body = self.server.ask("GET", "api/kernels/" + self.kernel)
            dead = status == 404 or (body or {}).get("execution_state") in ("dead", "restarting", "autorestarting")
        if dead:
            raise Failure("it does not start")

    def take(self, count, until):
        while len(self.kept) < count:
            self.more(until)
        part, self.kept = self.kept[:count], self.kept[count:]
        return part

    def receive(self, until):
        first, size = struct.unpack("!BB", self.take(2, until))
        if size & 127 == 126:
            size = struct.unpack("!H", self.take(2, until))[0]
        elif size & 127 == 127:
            size = struct.unpack("!Q", self.take(8, until))[0]
        if size > LIMIT:
            raise Failure("the Jupyter there sends too much")
        return first & 15, self.take(size, until)

    def send(self, kind, text):
        mask = os.urandom(4)
        size = struct.pack("!B", 128 | len(text)) if len(text) < 126 else struct.pack("!BH", 254, len(text))
        self.sock.sendall(struct.pack("!B", 128 | kind) + size + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))

    def ask(self, code, expressions, until):
        sent = base64.b16encode(os.urandom(16)).decode("ascii").lower()
        self.send(1, json.dumps({
            "header": {"msg_id": sent, "username": "nbremote", "session": self.session, "msg_type": "execute_request", "version": "5.3",
                       "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
            "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
            "content": {"code": code, "silent": True, "store_history": False, "user_expressions": expressions,
                        "allow_stdin": False, "stop_on_error": True},
        }).encode("ascii"))
        while True:
            kind, text = self.receive(until)
            if kind == 8:
                raise Failure("the Jupyter there closed the channel to it")
            if kind == 9:
                self.send(10, text)
            if kind != 1:
                continue
            message = json.loads(text.decode("utf-8"))
            if message.get("msg_type") == "execute_reply" and (message.get("parent_header") or {}).get("msg_id") == sent:
                return message["content"]
