package test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// What Chromium shows of a cut, Firefox shows too: nothing, also of a cell that
// ends in it. The twin is the same cell through `ssh -L` in a restart loop.
func TestN3_FirefoxOverACut(t *testing.T) {
	t.Parallel()
	cutRow{cut: 20 * time.Second, lines: 400}.runFirefox(t)
}

// The longer ones, with a second tab on the kernel.
func TestSoak_FirefoxOverACut(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("a measurement: make soak")
	}
	for _, r := range []cutRow{{cut: 40 * time.Second, lines: 600, second: true}, {cut: 130 * time.Second, lines: 1500, second: true}} {
		t.Run(fmt.Sprint(r.cut), func(t *testing.T) {
			t.Parallel()
			r.runFirefox(t)
		})
	}
}

func (r cutRow) runFirefox(t *testing.T) {
	l := lab.New(t, lab.Chain{})
	o := open(t, l, "gpu1")
	sock := strings.TrimSpace(l.Host("gpu1").ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	twinPort := plain(t, l, "gpu1", sock)
	f := l.Firefox(r.cut + 4*time.Minute)
	ends := 100 + int(r.cut.Seconds())*3
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	twin := newPage(t, l, twinPort, o.Token)
	ours := inFirefox(t, l, f, "ours", o.Port, o.Token, printing(r.lines))
	if r.second {
		f.Tab().Visit(fmt.Sprintf("http://127.0.0.1:%d/lab/workspaces/second/tree/ours.ipynb?token=%s", o.Port, o.Token))
	}
	twin.run(ctx, counting(r.lines, 0, 100*time.Millisecond))
	ending := inFirefox(t, l, f, "ending", o.Port, o.Token, printing(ends))
	lab.Wait(t, 20*time.Second, "both to print", func() bool {
		a, _ := ours.lines(r.lines)
		b, _, _ := twin.got(r.lines)
		c, _ := ending.lines(ends)
		return a < r.lines-10 && b < r.lines-10 && c < ends-5
	})
	l.Laptop.Cut()
	time.Sleep(r.cut) // how long the cut lasts is what is tested
	before, _ := ours.lines(r.lines)
	if lost, _ := ending.lines(ends); lost == 0 || ending.idle() {
		t.Errorf("the cell that ends in the cut: %d lines missing, ended %v, before the mend", lost, ending.idle())
	}
	l.Laptop.Mend()
	mended := time.Now()
	lab.Wait(t, 20*time.Second, "lines to come again", func() bool { now, _ := ours.lines(r.lines); return now < before })
	back := time.Since(mended)
	t.Logf("lines back %v after the mend", back.Round(10*time.Millisecond))
	for p, n := range map[*foxTab]int{ours: r.lines, ending: ends} {
		lost, wrong, idle := p.finished(n, time.Duration(r.lines)*110*time.Millisecond+30*time.Second-time.Since(mended))
		t.Logf("%s: %d of %d lost, %d wrong, finished %v, dialogs %q", p.name, lost, n, wrong, idle, p.dialogs())
		if lost != 0 || wrong != 0 || !idle || len(p.dialogs()) != 0 || !p.sameDocument() {
			t.Error("that is not all")
		}
	}
	if back > 5*time.Second {
		t.Errorf("lines were back %v after the mend", back)
	}
	lost, _, idle := twin.finished(r.lines, 5*time.Second)
	t.Logf("twin: %d lost, finished %v", lost, idle)
	if lost == 0 {
		t.Error("the twin lost nothing: the cut was none")
	}
}

// foxTab is a labTab of Firefox.
type foxTab struct {
	labTab
	*lab.FirefoxTab
}

// inFirefox opens a notebook of one cell in a tab of its own, and runs it.
func inFirefox(t *testing.T, l *lab.Lab, f *lab.Firefox, name string, port int, token, cell string) *foxTab {
	t.Helper()
	putNotebook(l.Host("gpu1"), name, cell)
	tab := f.Tab()
	p := &foxTab{labTab{x: &browserLab{t: t}, name: name, ask: tab.Text}, tab}
	tab.Visit(fmt.Sprintf("http://127.0.0.1:%d/lab/workspaces/%s/tree/%s.ipynb?token=%s", port, name, name, token))
	lab.Wait(t, time.Minute, "the kernel of "+name, func() bool {
		return p.holds(kernelThere + ` && document.querySelector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')`)
	})
	p.text(fmt.Sprintf(watchPage, name) + `, ""`)
	lab.Wait(t, 30*time.Second, name+" to run", func() bool {
		if p.text(`document.querySelector(".jp-NotebookPanel .jp-Cell .cm-content").focus(), ""`); !p.holds(`document.activeElement.matches(".cm-content")`) {
			return false
		}
		tab.CtrlEnter()
		time.Sleep(500 * time.Millisecond) // until a key pressed has an effect, or the next is
		return p.holds(`document.querySelector(".jp-NotebookPanel .jp-Cell .jp-InputPrompt").innerText.trim() != "[ ]:"`)
	})
	return p
}
