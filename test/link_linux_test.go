package test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// plain is the twin: `ssh -N -L` in a restart loop with keepalives, to the same
// Jupyter, as people do it. It gives the local port.
func plain(t *testing.T, l *lab.Lab, host, sock string) int {
	t.Helper()
	const port = 18888
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			cmd := l.Laptop.As(ctx, lab.Me, "/usr/bin/ssh", "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ConnectTimeout=5",
				"-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2", "-L", fmt.Sprintf("127.0.0.1:%d:%s", port, sock), host)
			_ = cmd.Run()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	awaitListener(t, l.Laptop, fmt.Sprintf("127.0.0.1:%d", port))
	return port
}

const tick = 50 * time.Millisecond // between two lines, if not said otherwise

// counting is a cell that prints the numbers below n, each with so many bytes
// behind it, one every tick.
func counting(n, behind int, every time.Duration) string {
	return fmt.Sprintf("import time\nfor i in range(%d):\n    print(i, 'x' * %d, flush=True)\n    time.sleep(%v)\n", n, behind, every.Seconds())
}

// lossTest runs one cell through nbremote and one through its twin, does
// something to the line, and compares.
type lossTest struct {
	name      string
	gateways  int
	lines     int
	twinLoses bool
	do        func(t *testing.T, l *lab.Lab)
	behind    int           // bytes behind each number
	two       bool          // pages on the kernel
	every     time.Duration // between two lines; 0 = tick
}

var lossTests = []lossTest{
	{name: "cut of 10 s", lines: 500, do: cutFor(10 * time.Second)},
	{name: "cut of 40 s", gateways: 1, lines: 1000, twinLoses: true, do: cutFor(40 * time.Second)},
	{name: "cut of 130 s", lines: 3000, twinLoses: true, do: cutFor(130 * time.Second)},
	{name: "cell ends in a cut of 30 s", lines: 400, twinLoses: true, do: cutFor(30 * time.Second)},
	{name: "gateway killed", gateways: 1, lines: 500, do: func(t *testing.T, l *lab.Lab) { l.Gateways[0].HangUp() }},
	{name: "laptop roams", lines: 700, twinLoses: true, do: func(t *testing.T, l *lab.Lab) { l.Laptop.Roam(101) }},
	{name: "sshd restarted", lines: 500, do: restartSSHD},
	{name: "holder stopped for 30 s", lines: 700, do: stopHolder},
	{name: "6 short cuts", lines: 1100, do: shortCuts},
	{name: "20 cuts in a row", gateways: 1, lines: 2400, do: manyCuts},
	{name: "100 lines a second", lines: 5500, every: 10 * time.Millisecond, twinLoses: true, do: cutFor(25 * time.Second)},
	{name: "two pages on a kernel", lines: 700, twinLoses: true, do: cutFor(30 * time.Second), two: true},
	{name: "10 MB in a cut", lines: 700, twinLoses: true, do: cutFor(30 * time.Second), behind: 20000},
}

func restartSSHD(t *testing.T, l *lab.Lab) {
	host := l.Host("gpu1")
	host.StopSSHD()
	host.HangUp()
	time.Sleep(6 * time.Second) // so long it is away
	host.StartSSHD()
}

// stopHolder is a laptop that sleeps with its lid open: what holds the line
// stands still, the twin's ssh too.
func stopHolder(t *testing.T, l *lab.Lab) {
	for _, name := range []string{"nbremote holder", "/usr/bin/ssh -N"} {
		if l.Laptop.Kill(name, syscall.SIGSTOP) == 0 {
			t.Errorf("no %s was found", name)
		}
	}
	time.Sleep(30 * time.Second)
	l.Laptop.Kill("nbremote holder", syscall.SIGCONT)
	l.Laptop.Kill("/usr/bin/ssh -N", syscall.SIGCONT)
}

func shortCuts(t *testing.T, l *lab.Lab) {
	for range 6 {
		cutFor(6*time.Second)(t, l)
		time.Sleep(3 * time.Second)
	}
}

// manyCuts are 20 of 1 to 6 s, in an order of their own each time, a little
// apart: 105 s in all.
func manyCuts(t *testing.T, l *lab.Lab) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, i := range random.Perm(20) {
		cutFor(time.Second+time.Duration(i)*5*time.Second/19)(t, l)
		time.Sleep(500*time.Millisecond + time.Duration(random.IntN(2500))*time.Millisecond)
	}
}

func cutFor(d time.Duration) func(t *testing.T, l *lab.Lab) {
	return func(t *testing.T, l *lab.Lab) {
		l.Laptop.Cut()
		time.Sleep(d) // how long the cut lasts is what is tested
		l.Laptop.Mend()
	}
}

// Nothing that cuts the line costs a line of output.
func TestN3_NoLineLost(t *testing.T) {
	t.Parallel()
	for _, c := range lossTests {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c lossTest) run(t *testing.T) {
	l := lab.New(t, lab.Chain{Gateways: c.gateways})
	host := l.Host("gpu1")
	o := open(t, l, "gpu1")
	sock := strings.TrimSpace(host.ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	ours := newPage(t, l, o.Port, o.Token)
	twin := newPage(t, l, plain(t, l, "gpu1", sock), o.Token)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pages := []*labPage{ours}
	if c.two {
		pages = append(pages, ours.second(ctx))
	}
	every := cmp.Or(c.every, tick)
	ours.run(ctx, counting(c.lines, c.behind, every))
	twin.run(ctx, counting(c.lines, c.behind, every))
	lab.Wait(t, 20*time.Second, "both to print", func() bool {
		a, _, _ := ours.got(c.lines)
		b, _, _ := twin.got(c.lines)
		return a < c.lines-40 && b < c.lines-40
	})
	c.do(t, l)
	began := time.Now()
	limit := began.Add(time.Duration(c.lines)*every + 30*time.Second)
	for _, p := range pages {
		lost, wrong, idle := p.finished(c.lines, time.Until(limit))
		t.Logf("nbremote: %d lost, %d wrong, finished %v, %d websockets, %v after", lost, wrong, idle, p.opened, time.Since(began).Round(100*time.Millisecond))
		if lost != 0 || wrong != 0 || !idle || p.opened != 1 {
			t.Errorf("%s: %d lost, %d wrong, finished %v, %d websockets", p.id, lost, wrong, idle, p.opened)
		}
	}
	twinLost, _, twinIdle := twin.finished(c.lines, 5*time.Second)
	t.Logf("twin: %d lost, finished %v, %d websockets, longest pause %v", twinLost, twinIdle, twin.opened, twin.gap.Round(100*time.Millisecond))
	switch {
	case c.twinLoses && twinLost == 0:
		t.Error("the twin lost nothing: the cut was none")
	case !c.twinLoses && twin.opened == 1 && twin.gap < 5*time.Second:
		t.Errorf("the twin's longest pause was %v: the cut was none", twin.gap)
	}
}
