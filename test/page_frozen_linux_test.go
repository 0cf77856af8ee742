package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// large is a cell as printingEach, whose messages are 20 kB each: what a page
// does not take soon fills all buffers on the way to it.
func large(n int, pause time.Duration) string {
	return fmt.Sprintf(`import time
kernel = get_ipython().kernel
for i in range(%d):
    kernel.send_response(kernel.iopub_socket, "stream", {"name": "stdout", "text": "L%%d\n" %% i}, metadata={"pad": "x" * 20000})
    time.sleep(%v)`, n, pause.Seconds())
}

// A browser that is stopped and goes on has lost no line, shows no dialog, and
// Jupyter was read all the while, also when the line was cut meanwhile. The twin
// is the same notebook through ssh -L in a restart loop.
func TestN13_FrozenBrowser(t *testing.T) {
	t.Parallel()
	frozen{stopped: 60 * time.Second, before: 20 * time.Second, cut: 20 * time.Second, pause: 200 * time.Millisecond}.run(t)
}

// frozen is how long a browser is stopped, when in it a cut begins and how long
// that is, and the pause between two lines.
type frozen struct{ stopped, before, cut, pause time.Duration }

func (f frozen) run(t *testing.T) {
	x := newBrowserLab(t, f.stopped+4*time.Minute)
	n := int((f.stopped + 10*time.Second) / f.pause)
	ours := x.notebook("ours", x.o.Port, large(n, f.pause))
	twin := x.notebook("twin", plain(t, x.Lab, "gpu1", x.sock), large(n, f.pause))
	tabs := []*labTab{ours, twin}
	for _, p := range tabs {
		p.run(0)
	}
	for _, p := range tabs {
		lab.Wait(t, 20*time.Second, p.name+" to print", func() bool { lost, _ := p.lines(n); return lost < n-5 })
	}
	if x.Laptop.Kill("chromium", syscall.SIGSTOP) == 0 {
		t.Fatal("no browser")
	}
	time.Sleep(f.before) // so much of the time it is stopped; the rest is below
	x.Laptop.Cut()
	time.Sleep(f.cut)
	x.Laptop.Mend()
	time.Sleep(f.stopped - f.before - f.cut)
	var waits int64
	for _, page := range statusOf(t, x.Lab).Pages {
		for _, k := range page.Kept {
			waits += k.Messages
		}
	}
	x.Laptop.Kill("chromium", syscall.SIGCONT)
	woke := time.Now()
	t.Logf("%d messages wait when it goes on", waits)
	if least := int64(f.stopped/f.pause) / 2; waits < least {
		t.Errorf("%d messages were kept for the page, want %d at least", waits, least)
	}
	lost, wrong, idle := ours.finished(n, 2*time.Minute)
	t.Logf("ours: %d of %d lost, %d wrong, finished %v, %v after", lost, n, wrong, idle, time.Since(woke).Round(10*time.Millisecond))
	if d := ours.dialogs(); lost != 0 || wrong != 0 || !idle || len(d) != 0 || !ours.sameDocument() {
		t.Errorf("%d lost, %d wrong, finished %v, dialogs %q; %s", lost, wrong, idle, d, ours.missing(n))
	}
	lost, _, idle = twin.finished(n, 5*time.Second)
	t.Logf("twin: %d lost, finished %v, dialogs %q", lost, idle, twin.dialogs())
	if lost == 0 {
		t.Error("the twin lost nothing: the cut was none")
	}
}

// missing tells which of the lines below n are not there, and what else is.
func (p *labTab) missing(n int) string {
	text := p.text(outputs)
	seen := map[string]bool{}
	var other, gaps []string
	for _, line := range strings.Fields(text) {
		if !numbered.MatchString(line) {
			other = append(other, line)
		}
		seen[line] = true
	}
	for i := range n {
		if here := seen[fmt.Sprintf("L%d", i)]; here != seen[fmt.Sprintf("L%d", i-1)] {
			gaps = append(gaps, fmt.Sprintf("%v from %d", here, i))
		}
	}
	return fmt.Sprintf("lines there: %s; beside them: %.300q", strings.Join(gaps, ", "), strings.Join(other, " "))
}
