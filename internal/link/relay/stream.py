# A part of the relay (wire.py): one stream.


class Stream:
    """One direction or both between the peer and a far socket or process."""

    __slots__ = (
        "link", "sid", "src", "sent", "limit", "spool", "reading", "ending", "always", "cap", "waits", "stalled", "queued",
        "dst", "got", "used", "granted", "window", "tuned", "queue", "waiting", "fin_got", "deaf", "child", "dialing", "gone",
    )

    def __init__(self, link, sid, limit):
        self.link, self.sid = link, sid
        self.src = self.dst = self.child = self.dialing = None
        self.sent, self.limit = 0, limit
        self.spool = Spool(link.relay.store)
        self.reading = False  # the source has not ended
        self.ending = None  # what is said once the spool is empty: a frame
        self.always = False  # spool even while the line is up
        self.cap = 0  # of the spool, if not the quota
        self.waits = False  # a full spool holds the source back
        self.stalled = 0.0
        self.queued = False
        self.got = self.used = 0
        self.window = link.relay.grant(FIRST_WINDOW)
        self.granted, self.tuned = self.window, 0.0
        self.queue = collections.deque()
        self.waiting = 0
        self.fin_got = self.deaf = self.gone = False

    def start(self, src, dst):
        self.src, self.dst, self.reading = src, dst, src is not None
        if src is not None:
            src.owner = self
        if dst is not None:
            dst.owner = self
        self.deaf = dst is None

    def happened(self, end):
        if end.readable and end is self.src:
            self.link.enqueue(self)
        if end.writable and end is self.dst:
            self.flush()

    # -- from the far side to the peer

    def turn(self, now, most=PIECE):
        """At most so much, of a spool one piece; true: there may be more to do at once."""
        link, did = self.link, False
        if (self.spool.size or self.reads()) and self.limit > self.sent and link.room():
            did = self.send_piece(most)
            self.stalled = now
        if self.reads() and self.must_spool(now):
            did = self.fill() or did
        if not self.spool.size and self.ending is not None:
            self.finish()
            return False
        return did and not self.gone

    def reads(self):
        return self.reading and self.src.readable

    def must_spool(self, now):
        if self.spool.full or self.cap and self.spool.size >= self.cap:
            return self.spool.full and not self.waits and not self.link.live(now)
        return bool(self.spool.size) or not self.link.live(now) or self.always and now - self.stalled > STALLED

    def send_piece(self, most):
        n = min(max(PIECE, min(most, MAX_LOG - self.link.log_bytes)), self.limit - self.sent)
        data = self.spooled(min(n, PIECE)) if self.spool.size else self.read(n)
        if not data:
            return False
        whole = memoryview(data)
        for at in range(0, len(data), PIECE):
            piece = whole[at:at + PIECE] if len(data) > PIECE else data
            self.link.push(frame_head(self.sid, self.sent, piece), piece)
            self.sent += len(piece)
        return True

    def spooled(self, n):
        try:
            return self.spool.take(n)
        except OSError as e:
            self.spool.drop()
            text = "the spool on the host cannot be read: " + os.strerror(e.errno)
            self.ended(frame(RESET, self.sid, SPOOL_FULL, text.encode()))
            self.let_go()
            return None

    def read(self, n):
        try:
            data = self.src.read(n)
        except OSError as e:
            self.ended(frame(RESET, self.sid, FAR_RESET, os.strerror(e.errno).encode()))
            return None
        if data == b"":
            self.ended(None)
        elif data and len(data) < n and self.child is None:
            self.src.drained()
        elif data is None and self.child is not None and self.child.status is not None and self.child.pty:
            self.ended(None)
        return data

    def ended(self, said):
        """The source gives no more. Without said it is an ordinary end."""
        self.reading = False
        self.ending = said or b""
        if self.src is not None and self.src is not self.dst:
            self.close_end(self.src)
            self.src = None
        self.link.enqueue(self)

    def fill(self):
        if self.spool.full:
            text = b"the spool on the host is full: what came after %d bytes is lost" % (self.sent + self.spool.size)
            self.ended(frame(RESET, self.sid, SPOOL_FULL, text))
            self.let_go()
            return False
        for _ in range(4):
            data = self.read(PIECE)
            if not data:
                return data is not None
            self.spool.put(data)
            if self.spool.full or self.cap and self.spool.size >= self.cap:
                break
        return True

    def finish(self):
        said = self.ending or frame(FIN, self.sid, self.sent)
        self.ending = None
        self.link.push(said, b"")
        if said[0] == RESET:
            self.close()
        else:
            self.maybe_over()

    # -- from the peer to the far side

    def take(self, view):
        self.got += len(view)
        if self.deaf:
            self.consumed(len(view))
            return
        if not self.queue and self.dst is not None and self.dst.writable:
            n = self.put([view])
            if self.deaf:
                n = len(view)
            self.consumed(n)
            view = view[n:]
        if len(view):
            self.queue.append(bytes(view))
            self.waiting += len(view)
            # A write that took a part does not tell that no more will go: only
            # one that takes nothing has it waited for.
            self.flush()

    def put(self, pieces):
        try:
            return self.dst.write(pieces)
        except OSError as e:
            # A reset is told once: the next read would only be the end.
            if e.errno == errno.ECONNRESET and self.reading and self.dst is self.src:
                self.ended(frame(RESET, self.sid, FAR_RESET, os.strerror(e.errno).encode()))
            self.hush()
            return 0

    def hush(self):
        """The far side takes no more; what the peer still sends is dropped."""
        self.deaf = True
        dropped, self.waiting = self.waiting, 0
        self.queue.clear()
        self.consumed(dropped)
        if self.dst is not None and self.dst is not self.src:
            self.close_end(self.dst)
            self.dst = None
        self.maybe_over()

    def flush(self):
        if self.dst is None or self.dialing:
            return
        while self.queue and self.dst.writable:
            n = self.put(list(self.queue)[:32] if len(self.queue) > 1 else self.queue)
            if self.deaf or n == 0:
                return
            self.waiting -= n
            self.consumed(n)
            while n:
                first = self.queue.popleft()
                if len(first) > n:
                    self.queue.appendleft(first[n:])
                    break
                n -= len(first)
        if self.fin_got and not self.queue and not self.deaf:
            self.shut()

    def shut(self):
        if self.dst is not self.src:
            self.hush()
            return
        if self.child is None:
            try:
                self.dst_socket().shutdown(socket.SHUT_WR)
            except OSError:
                pass
        self.deaf = True
        self.maybe_over()

    def dst_socket(self):
        return self.link.relay.sockets[self.dst.fd]

    def consumed(self, n):
        self.used += n
        if self.fin_got or self.gone or self.granted - self.used > self.window // 4 * 3:
            return
        self.tune()
        if self.used + self.window > self.granted:
            self.granted = self.used + self.window
            self.link.push(frame(WINDOW, self.sid, self.granted), b"")

    def tune(self):
        """More window for what comes as fast as the window lets it and is taken
        at once; what trickles gives back what it once got."""
        now = time.monotonic()
        took, self.tuned = now - self.tuned, now
        if took < 0.5 and not self.queue and self.window < MAX_WINDOW:
            self.window += self.link.relay.more(self.window)
        elif took > 10 and self.window > FIRST_WINDOW:
            self.window //= 2
            self.link.relay.release(self.window)

    # -- the end

    def maybe_over(self):
        if self.reading or self.spool.size or self.ending is not None or self.dialing:
            return
        if self.child is not None:
            if self.child.status is not None and self.child.main is self and self.child.told:
                self.close()
            elif self.child.main is not self:
                self.close()
        elif self.deaf:
            if not self.fin_got:
                self.link.push(frame(RESET, self.sid, FAR_RESET, b"the far side takes no more"), b"")
            self.close()

    def leave(self):
        """The peer wants no more; what it sent before still goes out."""
        self.reading, self.ending, self.fin_got = False, None, True
        self.spool.drop()
        if self.child is not None and self.child.main is self:
            self.child.hang_up()
        if self.queue and not self.deaf:
            self.link.forget(self)
            self.gone = True
            self.link.relay.linger(self)
        else:
            self.close()

    def close(self, abort=False):
        self.gone, self.reading, dialing, self.dialing = True, False, self.dialing, None
        if dialing is not None:
            dialing.cancel()
        self.link.forget(self)
        self.link.relay.release(self.window)
        self.window = 0
        self.link.relay.lingering.pop(self, None)
        self.spool.drop()
        if abort and self.child is None and self.dst is not None:
            abortive(self.dst_socket())
        self.let_go()

    def let_go(self):
        """The far side is closed now; what it gave is still to be sent."""
        for end in {self.src, self.dst} - {None}:
            self.close_end(end)
        self.src = self.dst = None
        self.deaf = True
        self.queue.clear()

    def close_end(self, end):
        self.link.relay.close(end)


def frame_head(sid, pos, data):
    return HEAD.pack(DATA << 24 | len(data), sid, pos)


def abortive(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
