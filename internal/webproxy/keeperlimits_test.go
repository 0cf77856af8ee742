package webproxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// drops collects what was said to be lost.
type drops struct {
	mu  sync.Mutex
	all []Drop
	sum Drop
}

func (d *drops) add(one Drop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, one)
	d.sum.add(one)
}

func (d *drops) total() Drop {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sum
}

// A page that is away costs little memory, however much waits for it; and it
// all comes, from a file that nobody else can open.
func TestN13_KeptOnDisk(t *testing.T) {
	for _, c := range []struct {
		behind int
		size   int64
	}{{200, 16 << 20}, {20_000, 48 << 20}} {
		behind, size := c.behind, c.size
		if os.Getenv("NBREMOTE_SOAK") != "" {
			size = 1 << 30
		}
		dir := t.TempDir()
		j := newJupyter()
		s := newStage(t, j, func(s *stage) { s.Store = &Store{Dir: dir, Quota: 2 << 30} })
		p := mustVisit(t, s)
		far := <-j.opened
		p.reset()
		away(t, s)
		many, parts := int(size)/(behind+8), 6
		text := strings.Repeat("x", behind)
		before, top := live(), uint64(0)
		for i := range parts { // what is said meanwhile would be counted too
			far.say(t, many*i/parts, many*(i+1)/parts, text)
			keeps(t, s, int64(many*(i+1)/parts))
			top = max(top, live())
		}
		top -= min(top, before)
		if used, _ := s.Store.Disk(); used < size/2 {
			t.Errorf("%d bytes are on disk", used)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
			t.Errorf("in the directory is %v", left)
		}
		p = mustVisit(t, s)
		began := time.Now()
		p.lines(t, 0, many)
		t.Logf("%d messages, %d MiB: heap grew by at most %d MiB, given back in %v", many, size>>20, top>>20, time.Since(began))
		if top > 8<<20 {
			t.Errorf("the heap grew by %d MiB", top>>20)
		}
		keeps(t, s, 0)
		until(t, "the disk is free", func() bool { used, _ := s.Store.Disk(); return used == 0 })
		p.Close(websocket.StatusNormalClosure, "")
	}
}

// A message that is longer than memory passes, both ways.
func TestL12_HugeKeptMessage(t *testing.T) {
	const size = 80 << 20
	heard := make(chan *judge, 1)
	opened := make(chan *websocket.Conn, 1)
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isWebsocket(r) {
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.SetReadLimit(-1)
		opened <- c
		heard <- listenTo(c)
	}), func(s *stage) { s.Store = &Store{Dir: t.TempDir(), Quota: 3 * size} })
	p := mute(t, s)
	far := <-opened
	p.reset()
	away(t, s)
	memory := mostMemory()
	tell(t, far, size)
	keeps(t, s, 1)
	p = mute(t, s)
	if j := listenTo(p.Conn); j.at != size || j.wrong {
		t.Errorf("the page got %d bytes, wrong: %v", j.at, j.wrong)
	}
	tell(t, p.Conn, size)
	if j := <-heard; j.at != size || j.wrong {
		t.Errorf("the far server got %d bytes, wrong: %v", j.at, j.wrong)
	}
	if top := memory(); top > 16<<20 {
		t.Errorf("the heap grew by %d MiB", top>>20)
	}
}

func tell(t *testing.T, c *websocket.Conn, size int64) {
	t.Helper()
	w, err := c.Writer(context.Background(), websocket.MessageBinary)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(w, &pattern{n: size})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func listenTo(c *websocket.Conn) *judge {
	j := &judge{}
	if _, r, err := c.Reader(context.Background()); err == nil {
		io.Copy(j, r)
	}
	return j
}

func TestN13_FileMode(t *testing.T) {
	s := &Store{Dir: t.TempDir()}
	f, err := s.create()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fi, _ := f.Stat(); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
}

// What there is no room for is said, the oldest goes first, and what comes is
// in order.
func TestN13_Quota(t *testing.T) {
	const many, behind = 3000, 1000
	j, lost := newJupyter(), &drops{}
	s := newStage(t, j, func(s *stage) {
		s.Store, s.Dropped = &Store{Dir: t.TempDir(), Memory: 100_000, Quota: 1 << 20}, lost.add
	})
	p := mustVisit(t, s)
	far := <-j.opened
	p.reset()
	away(t, s)
	before := time.Now()
	far.say(t, 0, many, strings.Repeat("x", behind))
	until(t, "it is full", func() bool {
		k := s.Kept()
		return len(k) == 1 && k[0].Messages+k[0].Dropped.Messages == many
	})
	if used, quota := s.Store.Disk(); used > quota || used < quota/2 {
		t.Errorf("%d of %d are used", used, quota)
	}
	until(t, "the loss is said", func() bool { return lost.total().Messages == s.Kept()[0].Dropped.Messages })
	d := lost.total()
	if d.From.Before(before) || d.To.Before(d.From) || d.To.After(time.Now()) || d.Bytes < d.Messages*behind {
		t.Errorf("said %+v", d)
	}
	p = mustVisit(t, s)
	got, last := int64(0), -1
	for last != many-1 {
		n := p.line(t)
		if n <= last {
			t.Fatalf("%d after %d", n, last)
		}
		got, last = got+1, n
	}
	if got+d.Messages != many {
		t.Errorf("%d came, %d were said to be lost, of %d", got, d.Messages, many)
	}
}

// Without a disk memory is all there is, and the far server is read all the same.
func TestN13_NoDisk(t *testing.T) {
	const many, behind = 3000, 1000
	j, lost := newJupyter(), &drops{}
	s := newStage(t, j, func(s *stage) {
		s.Store, s.Dropped = &Store{Dir: filepath.Join(t.TempDir(), "none"), Memory: 100_000}, lost.add
	})
	p := mustVisit(t, s)
	far := <-j.opened
	p.reset()
	away(t, s)
	far.say(t, 0, many, strings.Repeat("x", behind))
	until(t, "it is full", func() bool {
		k := s.Kept()
		return len(k) == 1 && k[0].Messages+k[0].Dropped.Messages == many
	})
	p = mustVisit(t, s)
	p.lines(t, 0, int(s.Kept()[0].Messages))
	keeps(t, s, 0)
	far.say(t, many, many+10, "")
	p.lines(t, many, many+10)
	until(t, "the loss is said", func() bool { return lost.total().Messages > many/2 })
}

// A page that does not come back is given up, and so are too many.
func TestN13_GivenUp(t *testing.T) {
	j, lost := newJupyter(), &drops{}
	s := newStage(t, j, func(s *stage) { s.keepFor, s.Dropped = 300*time.Millisecond, lost.add })
	p := mustVisit(t, s)
	far := <-j.opened
	p.reset()
	away(t, s)
	far.say(t, 0, 10, "")
	<-far.ended
	keeps(t, s, 0)
	until(t, "it is said", func() bool { return lost.total().Messages == 10 })

	s = newStage(t, j)
	for i := range keepAway + 3 {
		p, _, err := visit(t, s, fmt.Sprintf("/api/kernels/x/channels?session_id=%d", i))
		if err != nil {
			t.Fatal(err)
		}
		p.reset()
		until(t, "it is away", func() bool {
			n := 0
			for _, k := range s.Kept() {
				if !k.Away.IsZero() {
					n++
				}
			}
			return n == min(i+1, keepAway)
		})
	}
}

// 100 pages with a kernel each.
func TestL12_100Pages(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	debug.FreeOSMemory()
	before := inUse()
	var fars []*farSide
	var tabs []*tab
	for i := range 100 {
		p, _, err := visit(t, s, fmt.Sprintf("/api/kernels/x/channels?session_id=%d", i))
		if err != nil {
			t.Fatal(err)
		}
		p.listen()
		far := <-j.opened
		far.heard = nil
		fars, tabs = append(fars, far), append(tabs, p)
	}
	for round := range 20 {
		for i, far := range fars {
			far.say(t, round, round+1, strings.Repeat("x", 2000))
			tabs[i].lines(t, round, round+1)
		}
	}
	debug.FreeOSMemory()
	grown := int64(inUse()) - int64(before)
	t.Logf("100 pages, both their ends and the far server's with them: %d MiB", grown>>20)
	if !raceEnabled && grown > 60<<20 {
		t.Errorf("%d MiB", grown>>20)
	}
}

// Added to one message's way from the kernel to the page.
func BenchmarkKernelMessage(b *testing.B) {
	for _, c := range []struct {
		name    string
		unkept  bool
		through bool
	}{{"direct", false, false}, {"passed", true, true}, {"kept", false, true}} {
		b.Run(c.name, func(b *testing.B) {
			var far *farSide
			var p *websocket.Conn
			j := newJupyter()
			server := newStageTo(b, serve(b, j), func(s *stage) { s.testOnlyUnkept = c.unkept })
			base := server.base
			if !c.through {
				base = "http://" + server.line.addr
			}
			p, _, err := websocket.Dial(context.Background(), base+channels, &websocket.DialOptions{Subprotocols: []string{protocol}})
			if err != nil {
				b.Fatal(err)
			}
			defer p.CloseNow()
			far = <-j.opened
			message := []byte(strings.Repeat("x", 500))
			times := make([]time.Duration, 0, b.N)
			came := make(chan time.Time, 1)
			go func() {
				for {
					if _, _, err := p.Read(context.Background()); err != nil {
						return
					}
					came <- time.Now()
				}
			}()
			for b.Loop() {
				began := time.Now()
				far.Write(context.Background(), websocket.MessageText, message)
				times = append(times, (<-came).Sub(began))
			}
			b.ReportMetric(median(times).Seconds()*1e6, "µs-p50")
		})
	}
}
