package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// What is busy, or was so a moment ago, outlives stop --idle; what does nothing
// ends, on every host that is open.
func TestStop_Idle(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Hosts: 2})
	for _, m := range l.Hosts {
		m.ShAs(lab.Me, "mkdir proj")
	}
	busy := open(t, l, "gpu1")
	open(t, l, "gpu1:~/proj")
	open(t, l, "gpu2")
	page := newPage(t, l, busy.Port, busy.Token)
	page.run(t.Context(), counting(100000, 0, tick))
	lab.Wait(t, 30*time.Second, "lines", func() bool { lost, _, _ := page.got(100000); return lost < 99990 })

	r := l.Must("stop", "--all", "--idle", "1h", "--no-input")
	if strings.Contains(r.Stderr, "has ended") || !strings.Contains(r.Stderr, "left gpu1/proj running: idle for") || !strings.Contains(r.Stderr, "left gpu1/main running: it is busy") {
		t.Errorf("an hour:\n%s", r.Stderr)
	}
	time.Sleep(2 * time.Second) // the idle time itself
	r = l.Must("stop", "--all", "--idle", "1s", "--no-input")
	for _, says := range []string{"gpu1/proj has ended", "gpu2/main has ended", "left gpu1/main running: it is busy"} {
		if !strings.Contains(r.Stderr, says) {
			t.Errorf("it does not say %q:\n%s", says, r.Stderr)
		}
	}
	works(t, l, busy)
	if n := len(l.Host("gpu1").Running("jupyter-lab")); n != 1 || len(l.Host("gpu2").Running("jupyter-lab")) != 0 {
		t.Errorf("%d run on gpu1", n)
	}
	fails(t, l.Run("stop", "--all", "--no-input"), 2, "whether to end busy kernels")
	l.Must("stop", "--all", "-y", "gpu1")
	lab.Wait(t, 10*time.Second, "Jupyter to be gone", func() bool { return len(l.Host("gpu1").Running("jupyter-lab")) == 0 })
	if r := l.Must("stop", "--all"); !strings.Contains(r.Stderr, "nothing is open") {
		t.Errorf("with nothing open:\n%s", r.Stderr)
	}
	fails(t, l.Run("stop", "--idle", "1ms", "gpu1"), 2, "at least a second")
}
