package test

import (
	"fmt"
	"testing"
	"time"

	"nbremote/test/lab"
)

type cutRow struct {
	cut    time.Duration
	lines  int  // at 10 a second
	second bool // a second tab on the kernel
}

// A cut of any length costs a page of JupyterLab nothing and shows nothing: no
// line is lost, no dialog comes, a cell that ends in the cut is seen to end. The
// twin is the same notebook through ssh -L in a restart loop.
func TestN3_PageOverACut(t *testing.T) {
	t.Parallel()
	for _, r := range []cutRow{{cut: 20 * time.Second, lines: 400}, {cut: 40 * time.Second, lines: 600, second: true}, {cut: 130 * time.Second, lines: 1500}} {
		t.Run(fmt.Sprint(r.cut), func(t *testing.T) {
			t.Parallel()
			r.run(t)
		})
	}
}

func (r cutRow) run(t *testing.T) {
	x := newBrowserLab(t, 7*time.Minute)
	ends := 100 + int(r.cut.Seconds())*3
	twinPort := plain(t, x.Lab, "gpu1", x.sock)
	ours := x.notebook("ours", x.o.Port, printing(r.lines))
	ending := x.notebook("ending", x.o.Port, printing(ends))
	twin := x.notebook("twin", twinPort, printing(r.lines))
	if r.second {
		x.tab("ours", x.o.Port)
	}
	for _, p := range []*labTab{ours, twin, ending} {
		p.run(0)
	}
	for _, p := range []*labTab{ours, twin, ending} {
		lab.Wait(t, 20*time.Second, p.name+" to print", func() bool { lost, _ := p.lines(r.lines); return lost < r.lines-10 })
	}
	x.Laptop.Cut()
	time.Sleep(r.cut) // how long the cut lasts is what is tested
	before, _ := ours.lines(r.lines)
	x.Laptop.Mend()
	mended := time.Now()
	lab.Wait(t, 20*time.Second, "lines to come again", func() bool { now, _ := ours.lines(r.lines); return now < before })
	back := time.Since(mended)
	check := func(p *labTab, n int) {
		lost, wrong, idle := p.finished(n, time.Duration(r.lines)*110*time.Millisecond+30*time.Second-time.Since(mended))
		t.Logf("%s: %d of %d lost, %d wrong, finished %v, dialogs %q", p.name, lost, n, wrong, idle, p.dialogs())
		if lost != 0 || wrong != 0 || !idle || len(p.dialogs()) != 0 || !p.sameDocument() {
			t.Errorf("%s: %d lost, %d wrong, finished %v, dialogs %q", p.name, lost, wrong, idle, p.dialogs())
		}
	}
	check(ending, ends)
	check(ours, r.lines)
	t.Logf("lines back %v after the mend", back.Round(10*time.Millisecond))
	if back > 5*time.Second {
		t.Errorf("lines were back %v after the mend", back)
	}
	lost, _, idle := twin.finished(r.lines, 5*time.Second)
	t.Logf("twin: %d lost, finished %v, dialogs %q", lost, idle, twin.dialogs())
	if lost == 0 && len(twin.dialogs()) == 0 {
		t.Error("the twin lost nothing and showed nothing: the cut was none")
	}
}
