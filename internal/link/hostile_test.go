//go:build unix

package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// raw is a frame as a peer might send it.
func raw(k kind, stream uint32, pos uint64, payload string) []byte {
	b := make([]byte, headSize, headSize+len(payload))
	putHead(b, k, len(payload), stream, pos)
	return append(b, payload...)
}

// pretend is a relay that welcomes, and then does as it likes.
func pretend(like func(c net.Conn)) func(context.Context) (io.ReadWriteCloser, error) {
	return func(context.Context) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			b := make([]byte, helloSize)
			if _, err := io.ReadFull(far, b); err != nil {
				return
			}
			answer := make([]byte, welcomeSize)
			copy(answer, magic)
			answer[4], answer[5] = msgWelcome, version
			copy(answer[24:32], b[40:48])
			far.Write(answer)
			if _, err := io.ReadFull(far, b[:takeSize]); err != nil {
				return
			}
			b[4] = msgTaken
			copy(b[16:24], make([]byte, 8))
			far.Write(b[:takeSize])
			like(far)
		}()
		return near, nil
	}
}

// A relay that breaks the rules costs an error, and no more.
func TestD10_HostileRelay(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"data for a stream that never was":  raw(kindData, 8, 0, "x"),
		"an end of it":                      raw(kindFin, 10, 0, ""),
		"stream 0":                          raw(kindReset, 0, 0, ""),
		"data that skips":                   raw(kindData, 2, 1, "x"),
		"data before it is open":            raw(kindData, 2, 0, "x"),
		"data at the end of the world":      append(raw(kindOpened, 2, 1<<20, ""), raw(kindData, 2, 1<<64-1, "xx")...),
		"opened twice":                      append(raw(kindOpened, 2, 0, ""), raw(kindOpened, 2, 0, "")...),
		"an end elsewhere":                  append(raw(kindOpened, 2, 0, ""), raw(kindFin, 2, 5, "")...),
		"data after the end":                append(raw(kindOpened, 2, 0, ""), append(raw(kindFin, 2, 0, ""), raw(kindData, 2, 0, "x")...)...),
		"the exit of a socket":              raw(kindExit, 2, 0, ""),
		"an open from there":                raw(kindOpen, 4, 0, ""),
		"a frame of a kind that is not":     raw(77, 2, 0, ""),
		"an acknowledgement of the unsent":  raw(kindAck, 0, 1<<40, ""),
		"a farewell":                        raw(kindBye, 0, 0, "\x1b[2J"),
		"another message of the handshake":  []byte(magic + "\x02xxxxxxxxxxxxxxxx"),
		"a frame of 16 MiB":                 {byte(kindReset), 0xff, 0xff, 0xff, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0},
		"data beyond the window":            append(raw(kindOpened, 2, 0, ""), flood(2, 2*bulkWindow)...),
		"an end of the carrier in a frame":  raw(kindReset, 2, 0, "long text")[:18],
		"a window, and no more, for a year": append(raw(kindOpened, 2, 1<<63, ""), raw(kindWindow, 2, 1<<64-1, "")...),
	} {
		t.Run(name, func(t *testing.T) {
			var met atomic.Int64
			l := newLink(t, Config{Clock: faster(10), Carrier: pretend(func(c net.Conn) {
				head := make([]byte, headSize)
				for { // until a stream is opened
					if _, err := io.ReadFull(c, head); err != nil {
						return
					}
					io.CopyN(io.Discard, c, int64(be.Uint32(head)&0xffffff))
					if kind(head[0]) == kindOpen {
						break
					}
				}
				met.Add(1)
				go io.Copy(io.Discard, c)
				c.Write(bytes)
			})})
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			c, err := l.Dial(ctx, "unix", "/x")
			if err == nil {
				c.SetDeadline(time.Now().Add(2 * time.Second))
				c.Write(make([]byte, 12<<20)) // it never acknowledges
				_, err = io.Copy(io.Discard, c)
				c.Close()
			}
			if err == nil && !strings.HasPrefix(name, "an end elsewhere") && !strings.HasPrefix(name, "data after") {
				t.Error("no error")
			}
			if strings.Contains(l.Status().State.text(), "\x1b") {
				t.Error("unclean")
			}
			if met.Load() == 0 {
				t.Error("the relay was not met")
			}
		})
	}
}

func (s State) text() string { return string(s) }

// flood is data frames one after the other.
func flood(stream uint32, n int) []byte {
	var b bytes.Buffer
	piece := strings.Repeat("x", 32<<10)
	for pos := 0; pos < n; pos += len(piece) {
		b.Write(raw(kindData, stream, uint64(pos), piece))
	}
	return b.Bytes()
}

// Floods cost at most 64 MiB.
func TestD10_Floods(t *testing.T) {
	for name, frame := range map[string][]byte{
		"pings":   raw(kindPing, 0, 7, ""),
		"pongs":   raw(kindPong, 0, 7, strings.Repeat("x", 32)),
		"windows": raw(kindWindow, 2, 7, ""),
		"resets":  raw(kindReset, 3, 1, strings.Repeat("x", 60000)),
		"acks":    raw(kindAck, 0, 0, ""),
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			var once atomic.Bool
			l := newLink(t, Config{Clock: faster(10), Carrier: pretend(func(c net.Conn) {
				if !once.CompareAndSwap(false, true) {
					io.Copy(io.Discard, c)
					return
				}
				defer close(done)
				head := make([]byte, headSize)
				for kind(head[0]) != kindOpen {
					io.ReadFull(c, head)
					io.CopyN(io.Discard, c, int64(be.Uint32(head)&0xffffff))
				}
				many := bytes.Repeat(frame, max(1, 1<<20/len(frame)))
				for range 60 { // and it reads nothing
					c.SetWriteDeadline(time.Now().Add(5 * time.Second))
					if _, err := c.Write(many); err != nil {
						return
					}
				}
			})})
			go l.Dial(context10(t), "unix", "/x")
			<-done
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			if m.HeapInuse > 64<<20 {
				t.Errorf("%d MiB are in use", m.HeapInuse>>20)
			}
		})
	}
}

// talk is a holder made by hand: it takes a link and says what it likes.
func talk(t *testing.T, r *relay, create bool, id ID, epoch, pos uint64) (*cable, take, welcome) {
	t.Helper()
	c, err := r.cable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.Write(hello{create: create, laptop: ID{1}, link: id, epoch: epoch}.bytes())
	b := make([]byte, welcomeSize)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	w, err := parseWelcome(b)
	if err != nil || w.status != statusOK {
		return c, take{}, w
	}
	c.Write(take{epoch: epoch, pos: pos}.bytes())
	if _, err := io.ReadFull(c, b[:takeSize]); err != nil {
		t.Fatal(err)
	}
	taken, err := parseTaken(b[:takeSize])
	if err != nil {
		t.Fatal(err)
	}
	return c, taken, w
}

func TestD10_HostileHolder(t *testing.T) {
	r := startRelay(t)
	good := newLink(t, Config{Carrier: r.open, Laptop: ID{2}})
	s := dial(t, good, "unix", serve(t, echo))
	open := raw(kindOpen, 2, 1<<20, "\x03\x00\x00\x00\x04\x00\x08/bin/cat")
	for name, b := range map[string][]byte{
		"no frame":              []byte("GET / HTTP/1.1\r\n\r\n"),
		"unopened":              raw(kindData, 2, 0, "x"),
		"odd":                   raw(kindOpen, 3, 0, "\x01\x00\x00\x00"),
		"twice":                 append(bytes.Clone(open), open...),
		"skips":                 append(bytes.Clone(open), raw(kindData, 2, 9, "x")...),
		"beyond the window":     append(bytes.Clone(open), flood(2, 8<<20)...),
		"to its stderr":         append(bytes.Clone(open), raw(kindData, 3, 1<<40, "x")...),
		"acknowledges unsent":   raw(kindAck, 0, 1<<60, ""),
		"an end elsewhere":      append(bytes.Clone(open), raw(kindFin, 2, 4, "")...),
		"kinds of the relay":    append(bytes.Clone(open), raw(kindExit, 2, 4, "")...),
		"cut off field":         raw(kindOpen, 2, 0, "\x01\x00\x00\x00\x01\xff"),
		"a frame that is large": {byte(kindOpen), 0xff, 0xff, 0xff, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		c, taken, _ := talk(t, r, true, NewID(), 1, 0)
		if taken.status != statusOK {
			t.Fatalf("%s: taken %+v", name, taken)
		}
		go c.Write(b)
		got, _ := io.ReadAll(c)
		if at := bytes.LastIndexByte(got, byte(kindBye)); at < 0 {
			t.Errorf("%s: no farewell in %q", name, got)
		}
		ping(t, s)
	}
	if mib := r.rss() >> 20; mib > 64 {
		t.Errorf("the relay has %d MiB", mib)
	}
	// One that never acknowledges gets no more than the log holds.
	c, _, _ := talk(t, r, true, NewID(), 1, 0)
	c.Write(raw(kindOpen, 2, 1<<62, "\x03\x00\x00\x00\x04\x00\x03yes"))
	c.SetDeadline(time.Now().Add(700 * time.Millisecond))
	if n, err := io.Copy(io.Discard, c); n > 10<<20 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	ping(t, s)
	if mib := r.rss() >> 20; mib > 64 {
		t.Errorf("the relay has %d MiB", mib)
	}
}

// A carrier that ends while the link is put on it costs the link nothing.
func TestN8_LostInTheHandshake(t *testing.T) {
	r := startRelay(t)
	id := NewID()
	if _, taken, _ := talk(t, r, true, id, 1, 0); taken.status != statusOK {
		t.Fatalf("%+v", taken)
	}
	for epoch := uint64(2); epoch < 12; epoch++ {
		c, err := r.cable()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write(hello{laptop: ID{1}, link: id, epoch: epoch}.bytes())
		b := make([]byte, welcomeSize)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		if w, err := parseWelcome(b); err != nil || w.status != statusOK {
			t.Fatalf("after %d of them: %+v, %v", epoch-2, w, err)
		}
		r.cmd.Process.Signal(syscall.SIGSTOP)
		c.Write(append(take{epoch: epoch}.bytes(), raw(kindPing, 0, 1, "")...))
		c.File.Close() // nobody reads the answer
		r.cmd.Process.Signal(syscall.SIGCONT)
	}
	if _, taken, w := talk(t, r, false, id, 20, 0); taken.status != statusOK {
		t.Errorf("after all of them: %+v, %+v", w, taken)
	}
}

// Positions, epochs and ids that lie.
func TestD10_LyingHandshake(t *testing.T) {
	r := startRelay(t)
	if _, _, w := talk(t, r, false, NewID(), 1, 0); w.status != statusUnknown {
		t.Errorf("unknown link: %+v", w)
	}
	id := NewID()
	first, taken, w := talk(t, r, true, id, 5, 0)
	if taken.status != statusOK || w.relay == (ID{}) {
		t.Fatalf("%+v", taken)
	}
	for _, epoch := range []uint64{0, 4, 5} {
		if _, _, w := talk(t, r, false, id, epoch, 0); w.status != statusStale {
			t.Errorf("epoch %d: %+v", epoch, w)
		}
	}
	// The first is fenced by the next only once that takes over.
	c, err := r.cable()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(hello{laptop: ID{1}, link: id, epoch: 6}.bytes())
	io.ReadFull(c, make([]byte, welcomeSize))
	first.Write(raw(kindPing, 0, 1, ""))
	if _, err := io.ReadFull(first, make([]byte, headSize+32)); err != nil {
		t.Errorf("a welcome ended the carrier before it: %v", err)
	}
	c.Write(take{epoch: 6}.bytes())
	io.ReadFull(c, make([]byte, takeSize))
	first.Write(raw(kindAck, 0, 1<<50, "")) // would end the link
	if _, err := io.ReadFull(first, make([]byte, 1)); err == nil {
		t.Error("the old carrier lives on")
	}
	c.Write(raw(kindPing, 0, 1, ""))
	if _, err := io.ReadFull(c, make([]byte, headSize+32)); err != nil {
		t.Errorf("the new carrier: %v", err)
	}
	// A position that was never sent ends the link, and only that.
	if _, taken, _ := talk(t, r, false, id, 7, 1<<40); taken.status != statusPosition {
		t.Errorf("%+v", taken)
	}
	if _, _, w := talk(t, r, false, id, 8, 0); w.status != statusUnknown {
		t.Errorf("%+v", w)
	}
	// Greetings that never end, and many of them.
	for range 200 {
		c, err := r.cable()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("nbrL"))
	}
	if _, taken, _ := talk(t, r, true, NewID(), 1, 0); taken.status != statusOK {
		t.Errorf("%+v", taken)
	}
}

// N25: what the carrier gives while it is no relay's is never delivered.
func TestHandshake_Garbage(t *testing.T) {
	var n atomic.Int64
	l := newLink(t, Config{Clock: faster(100), Carrier: func(context.Context) (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		n.Add(1)
		go func() {
			go io.Copy(io.Discard, far)
			far.Write(bytes.Repeat([]byte("Welcome to Debian! "), 100))
			far.Close()
		}()
		return near, nil
	}})
	eventually(t, "several tries", func() bool { return n.Load() > 3 })
	if st := l.Status(); st.State != Connecting || st.Err == nil || !strings.Contains(st.Err.Error(), "no relay") {
		t.Errorf("%+v", st)
	}
}

// far is a link that a fuzzer can feed.
func fuzzLink() *Link {
	l := &Link{
		cfg: Config{}, clock: realClock{}, changed: make(chan struct{}), poke: make(chan struct{}, 1),
		streams: map[uint32]*Stream{}, room: map[*Stream]struct{}{}, pinged: map[uint64]time.Time{}, next: 2,
	}
	l.out.L = &l.mu
	return l
}

func FuzzReceive(f *testing.F) {
	for _, m := range readVectors(f).Frames {
		f.Add([]byte(m.Hex), uint8(7))
	}
	f.Add(append(raw(kindOpened, 2, 99, ""), flood(2, 100<<10)...), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		l := fuzzLink()
		l.mu.Lock()
		s := l.newStream(2, "x", firstWindow)
		p := &Process{done: make(chan struct{})}
		e, ee := l.newStream(4, "y", firstWindow), l.newStream(5, "y", firstWindow)
		e.exec, p.main, p.err = p, e, ee
		l.next = 6
		l.push(kindOpen, 2, 0, nil)
		c := &carrier{l: l}
		l.carrier = c
		l.log.take(nil, 1000)
		l.mu.Unlock()
		var err error
		for len(b) > 0 && err == nil {
			n := min(len(b), int(size)+1)
			err = l.receive(c, b[:n])
			b = b[n:]
		}
		var wrong protocolError
		var bye byeError
		if err != nil && !errors.As(err, &wrong) && !errors.As(err, &bye) {
			t.Errorf("%T %v", err, err)
		}
		for _, s := range []*Stream{s, e, ee} {
			if uint64(s.in.n) > uint64(firstWindow) || s.got != uint64(s.in.n) {
				t.Errorf("stream %d: got %d, has %d", s.id, s.got, s.in.n)
			}
		}
		if len(c.parser.part) > headSize+maxPayload || len(l.pongs) > 16 {
			t.Errorf("%d bytes are kept", len(c.parser.part))
		}
		if l.ackTimer != nil {
			l.ackTimer.Stop()
		}
	})
}
