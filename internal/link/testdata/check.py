"""Checks of the relay that need no holder.

    python3 check.py RELAY vectors FILE
    python3 check.py RELAY fuzz SEED ROUNDS
"""

import importlib.util
import json
import random
import socket
import sys
import tempfile
import time

spec = importlib.util.spec_from_file_location("relay", sys.argv[1])
relay = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(relay)


class Seen:
    """What a parser tells, the parts of data put together."""

    def __init__(self):
        self.all, self.part = [], b""

    def data(self, stream, pos, view, counted):
        self.part += bytes(view)
        if counted:
            assert counted == relay.HEAD.size + len(self.part)
            self.all.append((relay.DATA, stream, pos + len(view) - len(self.part), self.part))
            self.part = b""

    def frame(self, *args):
        self.all.append(args)


def vectors(path):
    v = json.load(open(path))
    want = [(f["kind"], f["stream"], f["pos"], bytes.fromhex(f["payload"])) for f in v["frames"]]
    raw = bytes.fromhex("".join(f["hex"] for f in v["frames"]))
    for f, w in zip(v["frames"], want):
        assert relay.frame(*w).hex() == f["hex"], f
    for size in list(range(1, 40)) + [len(raw)]:
        seen = Seen()
        parser = relay.Parser(seen)
        for at in range(0, len(raw), size):
            parser.feed(raw[at:at + size])
        assert seen.all == want, size
    for f in v["bad"]:
        refused(f, lambda raw: relay.Parser(Seen()).feed(raw))
    for f in v["open"]:
        kind, flags, fields = relay.parse_open(bytes.fromhex(f["hex"]))
        flat = {}
        for tag, value in f["fields"]:
            flat.setdefault(tag, []).append(bytes.fromhex(value))
        assert (kind, flags, fields) == (f["kind"], f["flags"], flat), f
    for f in v["bad_open"]:
        refused(f, relay.parse_open)
    handshake(v)


def refused(f, do):
    try:
        do(bytes.fromhex(f["hex"]))
    except relay.ProtocolError:
        return
    raise AssertionError("taken: %s" % f)


def handshake(v):
    b = bytes.fromhex
    for h in v["hello"]:
        want = (relay.MAGIC, 1, 1, 1, int(h["create"]), b(h["laptop"]), b(h["link"]), h["epoch"], 0, 1, 0)
        assert relay.HELLO.unpack(b(h["hex"])) == want, h
    for w in v["welcome"]:
        assert relay.WELCOME.pack(relay.MAGIC, 2, 1, w["status"], 0, b(w["relay"]), w["epoch"], 0) == b(w["hex"]), w
    for kind, name in ((3, "take"), (4, "taken")):
        for t in v[name]:
            assert relay.TAKE.pack(relay.MAGIC, kind, 1, t["status"], 0, t["epoch"], t["pos"]) == b(t["hex"]), t


class FakeCarrier:
    def __init__(self, link, rng):
        self.link, self.rng, self.control = link, rng, []

    def receive(self):
        return False

    def transmit(self, link):
        self.control.clear()
        link.unsent.clear()
        link.unsent_bytes, link.taken = 0, link.end

    def bye(self, code, text):
        pass

    def close(self):
        pass


def fuzz(seed, rounds):
    rng = random.Random(seed)
    far = []

    def connect(self, error=None):
        a, b = socket.socketpair()
        b.setblocking(False)
        far.append(b)
        self.relay.dialing.discard(self)
        end = self.relay.add_socket(a, self)
        self.stream.dialing = None
        self.stream.start(end, end)
        self.stream.link.opened(self.stream)

    def no(*_):
        raise OSError(1, "not here")

    relay.Dialing.next, relay.spawn, relay.Relay.resolve = connect, no, no
    r = relay.Relay("fuzz", tempfile.gettempdir(), {"quota": 4 << 20})
    refusals = frames = 0
    for n in range(rounds):
        lid = b"%016d" % n
        link = r.new_link(b"l" * 16, lid)
        link.carrier = FakeCarrier(link, rng)
        parser = relay.Parser(link)
        try:
            for _ in range(rng.randrange(1, 120)):
                link.carrier = link.carrier or FakeCarrier(link, rng)
                parser.feed(damaged(rng, some(rng, link)))
                frames += 1
                if lid not in r.links:
                    break
                turn(r, link, far, rng)
                bounded(link)
        except relay.ProtocolError:
            refusals += 1
        r.drop(link, None)
        for sock in far:
            sock.close()
        far.clear()
        for stream in list(r.lingering):
            stream.close()
        assert r.windows == 0, (seed, n, r.windows)
        assert r.store.memory == r.store.disk == 0, (seed, n)
    print("%d frames, %d links refused" % (frames, refusals))


def turn(r, link, far, rng):
    for end in r.poller.wait(0):
        end.owner.happened(end)
    for sock in far:
        try:
            if rng.random() < 0.5:
                sock.recv(rng.choice((1, 100, 1 << 20)))
            if rng.random() < 0.5:
                sock.send(b"z" * rng.choice((1, 1000, 200000)))
            if rng.random() < 0.02:
                sock.shutdown(rng.randrange(3))
        except OSError:
            pass
    if rng.random() < 0.2:
        link.carrier = None
        link.unblock()
    link.work(time.monotonic() + 10 * rng.random())


def bounded(link):
    queued = sum(s.waiting for s in link.streams.values())
    assert queued <= 32 << 20 and link.log_bytes <= 9 << 20 and len(link.streams) <= 2 * relay.MAX_STREAMS
    assert len(link.log) >= len(link.unsent)


def some(rng, link):
    """A frame that makes some sense."""
    kind = rng.choice((1, 1, 2, 3, 3, 3, 3, 4, 5, 6, 6, 7, 8, 9, 16, 16, 17, 18, 19) if rng.random() < 0.01 else (1, 3, 3, 3, 4, 5, 6, 16, 17))
    stream = rng.choice(list(link.streams) or [2])
    s = link.streams.get(stream)
    if s is None and rng.random() < 0.98 or len(link.streams) < 3:
        kind = relay.OPEN
    if kind in (relay.DATA, relay.FIN) and s and (s.fin_got or s.granted - s.got < 65536) and rng.random() < 0.98:
        kind = relay.WINDOW
    pos, payload = rng.choice((0, 1, 5, 1 << 20, (1 << 64) - 1)), b""
    if kind == relay.OPEN:
        stream = link.highest + (1 if link.highest else 2)
        stream += stream % 2
        payload = rng.choice((b"\2\0\0\0\3\0\1/", b"\1\1\0\0\1\0\x09127.0.0.1\2\0\2" + b"80", b"\3\2\0\0\4\0\1x", b"\4\0\0\0\1\0\x0810.0.0.1\2\0\00280\x08\0\x0a10.0.0.0/8", b"\6\0\0\0\x09\0\x011", b"\7\0\0\0"))
    elif kind == relay.DATA:
        payload = b"x" * rng.choice((1, 100, 65536))
        if s and rng.random() < 0.98:
            pos = s.got
    elif kind == relay.FIN and s:
        pos = s.got
    elif kind == relay.RESET:
        pos = rng.choice((0, 0, 1, 77))
    elif kind == relay.ACK and rng.random() < 0.98:
        pos = rng.randrange(link.taken + 1)
    return relay.frame(kind, stream, pos, payload)


def damaged(rng, raw):
    if rng.random() > 0.01:
        return raw
    raw = bytearray(raw)
    for _ in range(rng.randrange(1, 4)):
        raw[rng.randrange(min(len(raw), 24))] = rng.randrange(256)
    return bytes(raw[:rng.randrange(1, len(raw) + 1)])


if sys.argv[2] == "vectors":
    vectors(sys.argv[3])
else:
    fuzz(int(sys.argv[3]), int(sys.argv[4]))
