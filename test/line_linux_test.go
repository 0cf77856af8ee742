package test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// pair is a cell that counts behind nbremote and the same behind its twin,
// `ssh -L` in a restart loop, each through a box of its own on the way to gpu1.
type pair struct {
	t          *testing.T
	l          *lab.Lab
	o          opened
	lines      int
	box, other *lab.Box // nbremote's and the twin's
	ours, twin *labPage
}

func newPair(t *testing.T, lines int, code string) *pair {
	t.Helper()
	return pairIn(t, lab.New(t, lab.Chain{}), lines, code)
}

func pairIn(t *testing.T, l *lab.Lab, lines int, code string) *pair {
	t.Helper()
	p := &pair{t: t, l: l, lines: lines}
	p.box, p.other = l.Box(l.Host("gpu1"), "gpu1"), l.Box(l.Host("gpu1"), "twin")
	p.o = open(t, l, "gpu1")
	sock := strings.TrimSpace(l.Host("gpu1").ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	p.ours = newPage(t, l, p.o.Port, p.o.Token)
	p.twin = newPage(t, l, plain(t, l, "twin", sock), p.o.Token)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	p.ours.run(ctx, code)
	p.twin.run(ctx, code)
	lab.Wait(t, 20*time.Second, "both to print", func() bool { return p.lost(p.ours) < lines && p.lost(p.twin) < lines })
	return p
}

func (p *pair) lost(page *labPage) int {
	lost, _, _ := page.got(p.lines)
	return lost
}

// boxes does something to both boxes.
func (p *pair) boxes(do func(b *lab.Box)) { do(p.box); do(p.other) }

// nothingLost waits for the cell's end: every line has come once, in order, on
// the first websocket, and the twin shows that something was amiss.
func (p *pair) nothingLost(limit time.Duration) {
	p.t.Helper()
	lost, wrong, idle := p.ours.finished(p.lines, limit)
	p.t.Logf("nbremote: %d lost, %d wrong, finished %v, %d websockets, longest pause %v", lost, wrong, idle, p.ours.opened, p.ours.pause())
	if lost != 0 || wrong != 0 || !idle || p.ours.opened != 1 {
		p.t.Errorf("nbremote: %d lost, %d wrong, finished %v, %d websockets", lost, wrong, idle, p.ours.opened)
	}
	lost, _, idle = p.twin.finished(p.lines, 5*time.Second)
	p.t.Logf("twin: %d lost, finished %v, %d websockets, longest pause %v", lost, idle, p.twin.opened, p.twin.pause())
	if lost == 0 && p.twin.opened == 1 {
		p.t.Error("the twin's websocket lived: nothing was amiss")
	}
}

// pause is the longest time without a line.
func (p *labPage) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gap.Round(time.Millisecond)
}

// A box on the way that has forgotten the connection answers with RST. The line
// is back within a second and ten round trips.
func TestN5_Reset(t *testing.T) {
	t.Parallel()
	p := newPair(t, 300, counting(300, 0, tick))
	rtt := time.Duration(statusOf(t, p.l).Link.RTT * float64(time.Millisecond))
	for range 3 {
		time.Sleep(3 * time.Second) // between two of them, as it is
		p.boxes(func(b *lab.Box) {
			if b.Reset() == 0 {
				t.Error("there was no connection to reset")
			}
		})
	}
	p.nothingLost(30 * time.Second)
	if limit := time.Second + 10*rtt; p.ours.pause() > limit {
		t.Errorf("a pause of %v, more than %v", p.ours.pause(), limit)
	}
}

// The connection is alive for TCP, and all that is sent over it is swallowed:
// only an answer of the far program is a sign of life.
func TestN6_HalfOpen(t *testing.T) {
	t.Parallel()
	p := newPair(t, 900, counting(900, 0, tick))
	stays := p.l.Start("open", "--foreground", "--no-browser", "--progress=plain", "gpu1")
	stays.Expect("Ctrl-C closes", 30*time.Second)
	since := time.Now()
	p.boxes(func(b *lab.Box) { b.Swallow(true) })
	stays.Expect("gpu1: line down", 15*time.Second)
	if took := time.Since(since); took > 11*time.Second {
		t.Errorf("said after %v, want 10 s", took)
	} else {
		t.Logf("said to be down after %v", took.Round(time.Millisecond))
	}
	time.Sleep(time.Until(since.Add(25 * time.Second))) // so long it lasts
	p.boxes(func(b *lab.Box) { b.Swallow(false) })
	since = time.Now()
	stays.Expect(", 0 lost", 15*time.Second)
	t.Logf("back after %v", time.Since(since).Round(time.Millisecond))
	p.nothingLost(60 * time.Second)
}

// While nothing is going on nobody looks: the next request finds out, and is
// answered over another connection.
func TestN6_HalfOpenAtTheNextRequest(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	box := l.Box(l.Host("gpu1"), "gpu1")
	o := open(t, l, "gpu1")
	for range 2 {
		time.Sleep(11 * time.Second) // then the line is idle
		box.Starve()
		since := time.Now()
		works(t, l, o)
		took := time.Since(since)
		t.Logf("answered after %v", took.Round(time.Millisecond))
		if took > 6500*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	}
}

// A line that comes and goes each 300 ms is dialled once a second at most, and
// is one change of state for a person, not a hundred.
func TestN8_FlappingLine(t *testing.T) {
	t.Parallel()
	p := newPair(t, 700, counting(700, 0, tick))
	stays := p.l.Start("open", "--foreground", "--no-browser", "--progress=plain", "gpu1")
	stays.Expect("Ctrl-C closes", 30*time.Second)
	before := len(p.box.Dials())
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		p.boxes(func(b *lab.Box) { b.Refuse(true); b.Reset() })
		time.Sleep(300 * time.Millisecond)
		p.boxes(func(b *lab.Box) { b.Refuse(false) })
		time.Sleep(300 * time.Millisecond)
	}
	lab.Wait(t, 20*time.Second, "the line to be back for good", func() bool {
		said := stays.Stderr()
		if strings.Contains(said, "comes and goes") {
			return strings.Contains(said, "steady again after ")
		}
		return strings.Contains(said, "back after ") // a slow computer never got through meanwhile
	})
	p.nothingLost(60 * time.Second)
	dials := p.box.Dials()[before:]
	for i := 2; i < len(dials); i++ { // they are seen here somewhat after they began
		if gap := dials[i].Sub(dials[i-2]); gap < 1600*time.Millisecond {
			t.Errorf("three dials within %v", gap)
		}
	}
	said := stays.Stderr()
	t.Logf("%d dials; it said:\n%s", len(dials), said)
	if len(dials) < 10 || strings.Count(said, "line down") != 1 || strings.Count(said, "comes and goes") > 1 || strings.Count(said, " gpu1: ") > 10 {
		t.Error("that is too much, or too little")
	}
}

// The laptop is on another network from one moment to the next: nothing says
// so but its addresses. The line is dialled at once, also one that is idle.
func TestN10_AddressChanges(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	gpu1 := l.Host("gpu1")
	o := open(t, l, "gpu1")
	time.Sleep(12 * time.Second) // then the line is idle
	signIns := func() int { return strings.Count(gpu1.SSHDLog(), "Accepted publickey") }
	before := signIns()
	since := time.Now()
	l.Laptop.Roam(101)
	lab.Wait(t, 10*time.Second, "another sign-in", func() bool { return signIns() > before })
	took := time.Since(since)
	t.Logf("signed in again after %v", took.Round(time.Millisecond))
	if took > 3500*time.Millisecond { // 2 s of them is the gateway given to answer
		t.Errorf("signed in again after %v", took)
	}
	works(t, l, o)
}

// An address that comes beside the one in use costs no more than a look.
func TestN10_AddressComes(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	open(t, l, "gpu1")
	l.Laptop.Sh("ip address add 192.0.2.7/24 dev eth0")
	time.Sleep(5 * time.Second) // in which something might happen
	if s := statusOf(t, l); s.State != "up" || len(s.Link.Cuts) != 0 {
		t.Errorf("%+v", s)
	}
}

// Where a person signed in nothing is dialled again, so the old connection is
// all there is: it is not ended because it is silent, and goes on after a cut.
func TestN3_SilentConnectionIsKept(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Passphrase: "words"})
	x := l.Pty("open", "--connect-timeout", "80s", "gpu1")
	x.Expect("passphrase", 20*time.Second)
	x.Type("words\r")
	x.Expect("opened in your browser", 90*time.Second)
	x.Wait()
	o := open(t, l, "gpu1")
	page := newPage(t, l, o.Port, o.Token)
	const lines = 2400
	page.run(t.Context(), counting(lines, 0, tick))
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _, _ := page.got(lines); return lost < lines-20 })
	cutFor(80*time.Second)(t, l)
	lost, wrong, idle := page.finished(lines, 100*time.Second)
	if lost != 0 || wrong != 0 || !idle || page.opened != 1 {
		t.Errorf("%d lost, %d wrong, finished %v, %d websockets", lost, wrong, idle, page.opened)
	}
	if n := strings.Count(l.Host("gpu1").SSHDLog(), "Accepted publickey"); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
	t.Logf("longest pause %v", page.pause())
}

// While a line is down, or that of the gateway, no command waits without a word,
// and none that has to sign in waits for ever.
func TestOpen_WhileTheLineIsDown(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Hosts: 2})
	open(t, l, "gpu1")
	l.Laptop.Cut()
	caught := l.Start("kernel", "list", "--host", "gpu1")
	caught.Expect("the line to gpu1 is down: ", 40*time.Second)
	waits := l.Start("logs", "gpu1")
	again := l.Start("open", "--no-browser", "--new-tab", "--connect-timeout", "4s", "gpu1")
	behind := l.Start("open", "--no-browser", "--json", "--connect-timeout", "4s", "gpu2")
	waits.Expect("is down since", 20*time.Second)
	waits.Expect("waiting for it", time.Second)
	fails(t, again.Wait(), 5, "connect to gpu1: the line to gpu1 is down since", "gw1 does not answer", "nbremote open gpu1 --wait")
	fails(t, behind.Wait(), 5, "connect to gpu2: the line to gw1 is down since", `"class":"connect"`)
	l.Laptop.Mend()
	if r := caught.Wait(); r.Exit != 0 || !strings.Contains(r.Stderr, "the line to gpu1 is back") || !strings.Contains(r.Stdout, "python3") {
		t.Errorf("kernel list: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	}
	if r := waits.Wait(); r.Exit != 0 || !strings.Contains(r.Stdout, "Serving notebooks") {
		t.Errorf("logs: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	}
}
