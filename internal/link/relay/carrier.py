# A part of the relay (wire.py): a pair of descriptors that leads to the holder.


class Carrier:
    """A byte pipe to a peer. It greets, then it may take a link over."""

    def __init__(self, relay, conn, fds):
        self.relay, self.link, self.wanted, self.dead = relay, None, None, False
        self.conn = relay.add_socket(conn, self)
        for fd in fds:
            os.set_blocking(fd, False)
        widen(fds[1])
        self.input, self.output = relay.add(fds[0], self), relay.add(fds[1], self)
        self.parser = Parser(self)
        self.greeting = b""
        self.control, self.batch = [], []
        self.born = time.monotonic()

    def happened(self, end):
        """Everything else is done when the link's turn comes."""
        if end is self.conn and end.readable:
            # The attach program has ended; what came before may be a farewell.
            for _ in range(64):
                if self.link is None or not self.receive():
                    break
            self.lost()
        elif self.link is None and not self.dead:
            self.greet()

    def receive(self):
        """True: there may be more."""
        parser, end = self.parser, self.input
        if not end.readable:
            return False
        space = parser.space()
        try:
            n = os.readv(end.fd, [space])
        except (BlockingIOError, InterruptedError):
            end.readable = False
            return False
        except OSError:
            n = 0
        if n == 0:
            self.lost()
            return False
        self.link.heard = time.monotonic()
        if n < len(space):
            end.drained()
        parser.filled(n)
        return end.readable and not self.dead

    def data(self, *args):
        if not self.dead:
            self.link.data(*args)

    def frame(self, *args):
        if not self.dead:
            self.link.frame(*args)

    def transmit(self, link):
        out = self.output
        while out.writable and not self.dead:
            if not self.batch and not self.gather(link):
                return
            try:
                n = out.write(self.batch)
            except OSError:
                self.lost()
                return
            self.written(n)

    def gather(self, link):
        batch = self.batch
        if self.control:
            batch.append(b"".join(self.control))
            self.control.clear()
        size, full = 0, link.unsent_bytes >= MAX_UNSENT or link.log_bytes >= MAX_LOG
        while link.unsent and size < MAX_BATCH and len(batch) < 60:
            end, head, data = link.unsent.popleft()
            batch.append(head)
            if data:
                batch.append(data)
            size += len(head) + len(data)
            link.taken = end
        link.unsent_bytes -= size
        if full and link.room():
            link.unblock()
        return batch

    def written(self, n):
        batch, done = self.batch, 0
        while done < len(batch) and n >= len(batch[done]):
            n -= len(batch[done])
            done += 1
        del batch[:done]
        if n:
            batch[0] = memoryview(batch[0])[n:]

    # -- the handshake

    def greet(self, first=b""):
        self.greeting += first
        try:
            while self.link is None and not self.dead and self.step():
                pass
        except ProtocolError:
            self.lost()

    def step(self):
        """One message of the handshake, or a read; false: not now."""
        if len(self.greeting) < 5:
            return self.more()
        if self.greeting[:4] != MAGIC or self.greeting[4] not in (1, 3):
            raise ProtocolError("no greeting")
        form = HELLO if self.greeting[4] == 1 else TAKE
        if len(self.greeting) < form.size:
            return self.more()
        message, self.greeting = form.unpack(self.greeting[:form.size]), self.greeting[form.size:]
        if form is HELLO:
            self.hello(*message[2:])
        else:
            self.take(*message[2:])
        return True

    def more(self):
        if not self.input.readable:
            return False
        try:
            # No byte more than the handshake has: the rest is for the parser.
            data = self.input.read(4096)
        except OSError:
            data = b""
        if data == b"":
            self.lost()
        if not data:
            return False
        self.greeting += data
        return True

    def hello(self, low, high, create, laptop, lid, epoch, channel, channels, _):
        link = self.relay.links.get(lid)
        status = OK
        if not low <= VERSION <= high or channels != 1:
            status = BAD_VERSION
        elif lid in self.relay.replaced:
            status = REPLACED
        elif link is None and not create & 1:
            status = UNKNOWN
        elif link is None and len(self.relay.links) >= MAX_LINKS:
            status = BUSY
        elif link is not None and (epoch <= link.epoch or link.laptop != laptop):
            status = STALE
        self.wanted = (laptop, lid, epoch) if status == OK else None
        self.say(WELCOME.pack(MAGIC, 2, VERSION, status, 0, self.relay.id, epoch, 0))

    def take(self, version, _a, _b, epoch, pos):
        if self.wanted is None or version != VERSION or self.wanted[2] != epoch:
            raise ProtocolError("take without welcome")
        laptop, lid, _ = self.wanted
        link = self.relay.links.get(lid) or self.relay.new_link(laptop, lid)
        if epoch <= link.epoch:
            self.say(TAKE.pack(MAGIC, 4, VERSION, STALE, 0, epoch, 0))
            return
        link.epoch = epoch
        if link.carrier is not None:
            link.carrier.close()
            link.carrier = None
        if not link.resume(pos):
            self.say(TAKE.pack(MAGIC, 4, VERSION, BAD_POSITION, 0, epoch, link.base))
            self.relay.drop(link, None)
            return
        self.say(TAKE.pack(MAGIC, 4, VERSION, OK, 0, epoch, link.received))
        if self.dead:  # nobody is there any more to read that
            link.lost()
            return
        self.link, link.carrier, link.heard = link, self, time.monotonic()
        self.relay.greeting.discard(self)
        rest, self.greeting = self.greeting, b""
        link.unblock()
        try:
            self.parser.feed(rest)
        except ProtocolError as e:
            self.relay.drop(link, str(e))

    def say(self, message):
        """The handshake is short enough for any pipe."""
        try:
            if os.write(self.output.fd, message) != len(message):
                self.lost()
        except OSError:
            self.lost()

    def bye(self, code, text):
        if not self.batch:
            try:
                os.write(self.output.fd, frame(BYE, 0, code, text.encode()[:512]))
            except OSError:
                pass

    def lost(self):
        link, self.link = self.link, None
        self.close()
        if link is not None and link.carrier is self:
            link.lost()

    def close(self):
        if self.dead:
            return
        self.dead = True
        self.relay.greeting.discard(self)
        for end in (self.input, self.output, self.conn):
            self.relay.close(end)
        # Its buffer goes at once: nothing points back to us any more.
        self.parser, self.batch, self.control = None, [], []


def widen(pipe):
    """Room for a whole batch in the pipe to sshd, where that can be asked for:
    each time it is full costs two changes of process."""
    try:
        fcntl.fcntl(pipe, F_SETPIPE_SZ, MAX_BATCH)
    except OSError:
        pass


class Door:
    """A connection to the relay's socket that has not said what it is."""

    def __init__(self, relay, sock):
        self.relay, self.sock = relay, sock
        self.end = relay.add_socket(sock, self)

    def happened(self, end):
        if not end.readable:
            return
        try:
            message, anc, _, _ = self.sock.recvmsg(512, socket.CMSG_SPACE(64))
        except (BlockingIOError, InterruptedError):
            end.readable = False
            return
        except OSError:
            message, anc = b"", []
        fds = []
        for level, kind, data in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += struct.unpack("%di" % (len(data) // 4), data[:len(data) // 4 * 4])
        for fd in fds:
            os.set_inheritable(fd, False)
        self.relay.forget_end(end)
        if message[:1] == b"A" and len(fds) == 2:
            self.attach(message[1:], fds)
            return
        for fd in fds:
            os.close(fd)
        if message[:1] == b"F" and len(message) == 33:
            self.relay.replace(message[1:17], message[17:])
        self.sock.close()

    def attach(self, hello, fds):
        try:
            carrier = Carrier(self.relay, self.sock, fds)
            self.sock.send(b"k")
        except OSError:
            for fd in fds + [self.sock.fileno()]:
                self.relay.forget_fd(fd)
            return
        greeting = self.relay.greeting
        greeting.add(carrier)
        if len(greeting) > MAX_GREETING:
            min(greeting, key=lambda c: c.born).close()
        carrier.greet(hello)
