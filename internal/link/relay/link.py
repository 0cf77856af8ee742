# A part of the relay (wire.py): the streams of one peer.


class Link:
    """The streams of one peer, and the log that makes each frame arrive once."""

    def __init__(self, relay, laptop, lid):
        self.relay, self.laptop, self.lid = relay, laptop, lid
        self.epoch, self.carrier = 0, None
        self.streams, self.highest = {}, 0
        self.arrivals, self.arrived = {}, 0  # connections that wait to be taken, by number
        self.ready, self.blocked = collections.deque(), set()
        self.log, self.log_bytes, self.base, self.end = collections.deque(), 0, 0, 0
        self.unsent, self.unsent_bytes, self.taken = collections.deque(), 0, 0
        self.received = self.acked = 0
        self.ack_due = None
        self.heard = self.left = self.since = time.monotonic()

    # -- what goes out

    def push(self, head, data):
        size = len(head) + len(data)
        if not self.log:
            self.since = time.monotonic()
        if self.log_bytes + size > MAX_LOG + LOG_EXCESS:
            raise ProtocolError("the peer acknowledges nothing")
        if data and len(data) < 512:
            head, data = head + data, b""
        self.end += size
        entry = (self.end, head, data)
        self.log.append(entry)
        self.log_bytes += size
        self.unsent.append(entry)
        self.unsent_bytes += size

    def room(self):
        return self.carrier is not None and self.unsent_bytes < MAX_UNSENT and self.log_bytes < MAX_LOG

    def live(self, now):
        return self.carrier is not None and (not self.log or now - max(self.heard, self.since) < STUCK)

    def acknowledged(self, pos):
        if pos > self.taken:
            raise ProtocolError("position %d is acknowledged, %d was sent" % (pos, self.taken))
        log = self.log
        while log and log[0][0] <= pos:
            entry = log.popleft()
            self.log_bytes -= len(entry[1]) + len(entry[2])
            self.base = entry[0]
        if log:
            self.since = time.monotonic()
        self.unblock()

    def resume(self, pos):
        """The peer has got everything up to pos; false: that cannot be."""
        if pos > self.taken or pos != self.base and not any(entry[0] == pos for entry in self.log):
            return False
        self.acknowledged(pos)
        self.unsent = collections.deque(self.log)
        self.unsent_bytes, self.taken = self.log_bytes, self.base
        self.acked, self.ack_due = self.received, None
        return True

    # -- turns

    def enqueue(self, stream):
        if not stream.queued:
            stream.queued = True
            self.ready.append(stream)

    def unblock(self):
        while self.blocked:
            self.enqueue(self.blocked.pop())

    def turns(self, now):
        waiting = len(self.ready)
        for _ in range(waiting):
            stream = self.ready.popleft()
            stream.queued = False
            if stream.gone:
                continue
            # Where nobody else is kept waiting: each round of the loop costs.
            more = stream.turn(now, BULK if waiting == 1 else PIECE)
            if more:
                self.enqueue(stream)
            elif not stream.gone and not stream.queued and (stream.spool.size or stream.reads()):
                self.blocked.add(stream)
        return bool(self.ready)

    def work(self, now):
        """True: there is more to do at once."""
        more = self.carrier is not None and self.carrier.receive()
        more = self.turns(now) or more
        if self.ack_due is not None and (now >= self.ack_due or self.received - self.acked >= ACK_BYTES):
            self.acknowledge()
        if self.carrier is not None:
            self.carrier.transmit(self)
        return more or bool(self.ready)

    def wakes(self, now):
        """When work must be called though nothing happened."""
        at = []
        if self.ack_due is not None and self.carrier is not None:
            at.append(self.ack_due)
        if self.blocked and self.carrier is not None and (self.log or any(s.always for s in self.blocked)):
            at.append(now + ACK_TIME)
        return at

    def acknowledge(self):
        if self.carrier is not None:
            self.acked, self.ack_due = self.received, None
            self.carrier.control.append(frame(ACK, 0, self.received))

    # -- what comes in

    def counted(self, n):
        self.received += n
        if self.ack_due is None:
            self.ack_due = time.monotonic() + ACK_TIME

    def data(self, sid, pos, view, counted):
        stream = self.streams.get(sid)
        if stream is None:
            self.known(sid)
        elif pos > stream.got or stream.fin_got:
            raise ProtocolError("stream %d: data at %d, expected at %d" % (sid, pos, stream.got))
        elif pos + len(view) > stream.granted:
            raise ProtocolError("stream %d: data beyond its window" % sid)
        elif pos + len(view) > stream.got:
            stream.take(view[stream.got - pos:])
        if counted:
            self.counted(counted)

    def known(self, sid):
        if sid > self.highest or sid < 2:
            raise ProtocolError("stream %d was never opened" % sid)

    def frame(self, kind, sid, pos, payload):
        if kind < SEQUENCED:
            self.counted(HEAD.size + len(payload))
        if kind == OPEN:
            self.opening(sid, pos, payload)
        elif kind == ACK:
            self.acknowledged(pos)
        elif kind == PING:
            self.ping(pos)
        elif kind == BYE:
            self.relay.drop(self, "the peer has ended it")
        elif kind in (FIN, RESET, WINDOW, SIZE, SIGNAL):
            stream = self.streams.get(sid)
            if stream is None:
                self.known(sid)
            else:
                getattr(self, "on_%d" % kind)(stream, pos, payload)
        elif kind != PONG:
            raise ProtocolError("a frame of kind %d does not come here" % kind)

    def ping(self, token):
        control = self.carrier.control
        if len(control) < 256:
            store = self.relay.store
            here = self.log_bytes + sum(s.spool.size for s in self.streams.values())
            body = PONG_BODY.pack(here, store.disk, store.quota, len(self.streams))
            control.append(frame(PONG, 0, token, body))

    def on_4(self, stream, pos, payload):  # FIN
        if pos != stream.got or stream.fin_got:
            raise ProtocolError("stream %d: its end is at %d, not at %d" % (stream.sid, stream.got, pos))
        stream.fin_got = True
        stream.flush()
        stream.maybe_over()

    def on_5(self, stream, pos, payload):  # RESET
        if pos == CLOSED:
            stream.leave()
        else:
            if stream.child is not None and stream.child.main is stream:
                stream.child.hang_up()
            stream.close(abort=True)

    def on_6(self, stream, pos, payload):  # WINDOW
        if pos > stream.limit:
            stream.limit = pos
            if stream.reading or stream.spool.size:
                self.blocked.discard(stream)
                self.enqueue(stream)

    def on_7(self, stream, pos, payload):  # SIZE
        if stream.child is not None:
            stream.child.resize(pos >> 16 & 0xFFFF, pos & 0xFFFF)

    def on_8(self, stream, pos, payload):  # SIGNAL
        number = getattr(signal, "SIG" + payload.decode("ascii", "replace"), None)
        if stream.child is not None and isinstance(number, signal.Signals):
            stream.child.signal(number)

    # -- opening

    def opening(self, sid, pos, payload):
        if sid % 2 or sid <= self.highest or sid > 0xFFFFFFF0:
            raise ProtocolError("stream %d cannot be opened" % sid)
        self.highest = sid + 1
        kind, flags, fields = parse_open(payload)
        if len(self.streams) >= MAX_STREAMS:
            self.refuse(sid, LIMIT, "%d streams are open" % len(self.streams))
            return
        stream = self.streams[sid] = Stream(self, sid, pos)
        stream.always = bool(flags & ALWAYS)
        try:
            if kind == EXEC:
                Child(self, stream, flags, fields)
                self.opened(stream)
            elif kind in (TCP, UNIX, BEYOND):
                stream.dialing = Dialing(stream, kind, flags, fields)
            elif kind == LISTEN:
                Listening(stream, fields)
                self.opened(stream)
            elif kind == ACCEPT:
                accept(stream, fields)
                self.opened(stream)
            else:
                raise OSError(errno.EPROTONOSUPPORT, "streams of kind %d are not known here" % kind)
        except (OSError, ValueError) as e:
            self.failed(stream, e)

    def opened(self, stream):
        self.push(frame(OPENED, stream.sid, stream.granted), b"")
        stream.flush()

    def failed(self, stream, e):
        stream.close()
        code = NOT_ALLOWED if isinstance(e, NotAllowed) else REFUSED
        self.refuse(stream.sid, code, getattr(e, "strerror", None) or str(e))

    def refuse(self, sid, code, text):
        self.push(frame(RESET, sid, code, text.encode("utf-8", "replace")[:1024]), b"")

    def forget(self, stream):
        if self.streams.get(stream.sid) is stream:
            del self.streams[stream.sid]
        self.blocked.discard(stream)

    def lost(self):
        """The carrier has ended."""
        self.carrier, self.left = None, time.monotonic()
        self.unblock()

    def close(self):
        if self.carrier is not None:
            self.carrier.close()
            self.carrier = None
        for stream in list(self.streams.values()):
            if stream.child is not None:
                stream.child.hang_up()
            stream.close(abort=True)
        self.ready.clear()
        self.log.clear()
        self.unsent.clear()
