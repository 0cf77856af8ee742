//go:build unix

package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fastClock runs so many times faster than the real one.
type fastClock struct {
	began time.Time
	times time.Duration
}

func faster(times int) Clock { return fastClock{time.Now(), time.Duration(times)} }

func (c fastClock) Now() time.Time  { return c.began.Add(time.Since(c.began) * c.times) }
func (c fastClock) Wall() time.Time { return c.Now().Round(0) }

func (c fastClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d / c.times)
	return t.C, func() { t.Stop() }
}

// soak says that there is time for more than usual.
func soak() bool { return os.Getenv("NBREMOTE_SOAK") != "" }

// mortal opens carriers that each die after as many bytes as next says.
func (r *relay) mortal(deaths *atomic.Int64, next func() int64) func(context.Context) (io.ReadWriteCloser, error) {
	return func(context.Context) (io.ReadWriteCloser, error) {
		c, err := r.cable()
		if err != nil {
			return nil, err
		}
		if n := next(); n > 0 {
			deaths.Add(1)
			c.dieAfter(n)
		}
		return c, nil
	}
}

// bothWays sends and receives size bytes at once and checks both.
func bothWays(t *testing.T, l *Link, seed uint64, size int) {
	t.Helper()
	farGot := make(chan string, 1)
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		go func() { io.Copy(c, noise(seed, size)); c.CloseWrite() }()
		farGot <- sum(t, c)
	}))
	go func() { io.Copy(s, noise(seed+1, size)); s.CloseWrite() }()
	if got, want := sum(t, s), sum(t, noise(seed, size)); got != want {
		t.Errorf("seed %d: down: %s, want %s", seed, got, want)
	}
	if got, want := <-farGot, sum(t, noise(seed+1, size)); got != want {
		t.Errorf("seed %d: up: %s, want %s", seed, got, want)
	}
}

func TestCuts_FiftyDeaths(t *testing.T) {
	const size = 64 << 20
	r := startRelay(t)
	var deaths atomic.Int64
	l := newLink(t, Config{Clock: faster(50), Carrier: r.mortal(&deaths, func() int64 {
		if deaths.Load() >= 50 {
			return 0
		}
		return 1<<20 + rand.Int64N(1<<20)
	})})
	bothWays(t, l, 7, size)
	if n := deaths.Load(); n < 50 {
		t.Errorf("only %d carriers died", n)
	}
	t.Logf("%d deaths, %d MiB each way equal, relay %d MiB", deaths.Load(), size>>20, r.rss()>>20)
}

// locked is a source for many.
type locked struct {
	mu  sync.Mutex
	src rand.Source
}

func (l *locked) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src.Uint64()
}

// Cuts at any byte, also within the handshake.
func TestCuts_Seeded(t *testing.T) {
	cuts := 1000
	if testing.Short() {
		cuts = 100
	}
	if soak() {
		cuts = 20000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(&locked{src: rand.NewPCG(seed, 0)})
	r := startRelay(t)
	var done, streams int64
	for done < int64(cuts) {
		size := 64<<10 + random.IntN(1<<(17+random.IntN(7)))
		var deaths atomic.Int64
		per := int64(size)/20 + 1
		l := newLink(t, Config{Clock: faster(200), Carrier: r.mortal(&deaths, func() int64 {
			if deaths.Load() >= 100 {
				return 0
			}
			return 1 + random.Int64N(2*per)
		})})
		bothWays(t, l, random.Uint64(), size)
		l.Close()
		done += deaths.Load()
		streams++
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d cuts over %d streams, relay %d MiB", done, streams, r.rss()>>20)
}

// A carrier that ends at each byte of the handshake.
func TestHandshake_EachByte(t *testing.T) {
	r := startRelay(t)
	var n atomic.Int64
	last := int64(helloSize + welcomeSize + 2*takeSize + 3*headSize)
	l := newLink(t, Config{Clock: faster(500), Carrier: func(context.Context) (io.ReadWriteCloser, error) {
		c, err := r.cable()
		if at := n.Add(1); err == nil && at <= last {
			c.dieAfter(at)
		}
		return c, err
	}})
	s := dial(t, l, "unix", serve(t, echo))
	for n.Load() <= last {
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		c := l.carrier
		l.mu.Unlock()
		if c != nil && n.Load() <= last {
			c.rwc.Close()
		}
	}
}

// What prints goes on in the cut; without the link it is lost.
func TestCuts_Twin(t *testing.T) {
	const lines = 3000
	count := func(r io.Reader) (got, doubled int) {
		b, _ := io.ReadAll(r)
		seen := map[string]bool{}
		for _, line := range strings.Fields(string(b)) {
			if seen[line] {
				doubled++
			}
			seen[line] = true
		}
		return len(seen), doubled
	}
	printer := func(c *net.UnixConn) {
		for i := range lines {
			if _, err := fmt.Fprintf(c, "%06d%s\n", i, strings.Repeat("x", 300)); err != nil {
				return
			}
		}
		c.CloseWrite()
	}
	address := serve(t, printer)
	r := startRelay(t)
	var deaths atomic.Int64
	next := func() int64 {
		if deaths.Load() > 20 {
			return 0
		}
		return 30_000
	}
	l := newLink(t, Config{Clock: faster(100), Carrier: r.mortal(&deaths, next)})
	if got, doubled := count(dial(t, l, "unix", address)); got != lines || doubled != 0 {
		t.Errorf("with the link: %d of %d lines, %d doubled", got, lines, doubled)
	}
	c, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, _ := count(io.LimitReader(c, 30_000)); got >= lines {
		t.Errorf("without the link: %d of %d lines, so the cut was not real", got, lines)
	}
}

func TestHalfClose(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	// The far side answers only after our end, and ends later than we do.
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		b, _ := io.ReadAll(c)
		time.Sleep(10 * time.Millisecond) // an answer that takes its time
		fmt.Fprintf(c, "got %d", len(b))
	}))
	s.Write([]byte("12345"))
	s.CloseWrite()
	if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after CloseWrite: %v", err)
	}
	if b, err := io.ReadAll(s); err != nil || string(b) != "got 5" {
		t.Errorf("%q, %v", b, err)
	}
	// The far side ends first and still reads.
	got := make(chan string, 1)
	s = dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		c.Write([]byte("bye"))
		c.CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}))
	if b, err := io.ReadAll(s); err != nil || string(b) != "bye" {
		t.Errorf("%q, %v", b, err)
	}
	s.Write([]byte("still"))
	s.CloseWrite()
	if b := <-got; b != "still" {
		t.Errorf("%q", b)
	}
	eventually(t, "no stream is left", func() bool { return l.Status().Streams == 0 })
}

// What was written before Close arrives.
func TestClose_FlushesFirst(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	got := make(chan string, 1)
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		time.Sleep(50 * time.Millisecond) // so that it waits in the relay
		got <- sum(t, c)
	}))
	io.Copy(s, noise(3, 2<<20))
	s.Close()
	if g, want := <-got, sum(t, noise(3, 2<<20)); g != want {
		t.Errorf("%s, want %s", g, want)
	}
}

// The far side's reset is told, and ours tells it.
func TestReset_BothWays(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := dial(t, l, "tcp", ln.Addr().String())
	far, _ := ln.Accept()
	s.Write([]byte("unread"))
	far.(*net.TCPConn).SetLinger(0)
	far.Close()
	var reset *ResetError
	if _, err := io.ReadAll(s); !errors.As(err, &reset) || reset.Code != ResetFar {
		t.Errorf("%v", err)
	}
	s = dial(t, l, "tcp", ln.Addr().String())
	far, _ = ln.Accept()
	s.Abort()
	if _, err := far.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("Abort came as %v", err)
	}
}

// A reader that stops holds up its own stream only, and bounds what is kept.
func TestBackPressure(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	var wrote atomic.Int64
	stopped := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		for b := make([]byte, 64<<10); ; {
			n, err := c.Write(b)
			wrote.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	other := dial(t, l, "unix", serve(t, echo))
	eventually(t, "the far side is held back", func() bool {
		before := wrote.Load()
		other.Write([]byte("x"))
		if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // nothing more is taken in it
		return before > 0 && wrote.Load() == before
	})
	if n := wrote.Load(); n > bulkWindow+1<<20 {
		t.Errorf("%d bytes were taken from a source whose stream nobody reads", n)
	}
	if _, err := io.CopyN(io.Discard, stopped, 20<<20); err != nil {
		t.Error(err)
	}
	// The other direction: the far side does not read.
	deaf := dial(t, l, "unix", serve(t, func(c *net.UnixConn) { io.Copy(io.Discard, other) }))
	deaf.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := deaf.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > 4<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Always is for sources that must not be held back.
func TestAlways(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	const size = 50 << 20
	wrote := make(chan struct{})
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		io.Copy(c, noise(5, size))
		close(wrote)
		c.CloseWrite()
	}), Always)
	select {
	case <-wrote:
	case <-time.After(20 * time.Second):
		t.Fatal("a source that must always be read is held back")
	}
	if got, want := sum(t, s), sum(t, noise(5, size)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if mib := r.rss() >> 20; mib > 32 {
		t.Errorf("the relay has %d MiB", mib)
	}
}

func TestManyStreams(t *testing.T) {
	r := startRelay(t)
	var deaths atomic.Int64
	l := newLink(t, Config{Clock: faster(100), Carrier: r.mortal(&deaths, func() int64 {
		if deaths.Load() > 10 {
			return 0
		}
		return 500_000
	})})
	address := serve(t, echo)
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := l.Dial(context10(t), "unix", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			go func() { io.Copy(c, noise(uint64(i), 50_000)); c.(*Stream).CloseWrite() }()
			if got, want := sum(t, c), sum(t, noise(uint64(i), 50_000)); got != want {
				t.Errorf("%d: %s, want %s", i, got, want)
			}
		}()
	}
	wg.Wait()
}
