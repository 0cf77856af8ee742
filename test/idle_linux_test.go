package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// A Jupyter with an idle timeout ends its kernels and itself, by itself and
// while its page is watched, but nothing that is busy; one without stays.
func TestOpen_IdleTimeout(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.ShAs(lab.Me, "mkdir proj")
	twin := open(t, l, "gpu1:~/proj")
	ends := open(t, l, "--idle-timeout", "4s", "gpu1")
	busy := newPage(t, l, ends.Port, ends.Token)
	newPage(t, l, twin.Port, twin.Token)
	busy.run(t.Context(), "import time; time.sleep(15); print('done', flush=True)")
	kernels := func() int { return len(gpu1.Running("ipykernel_launcher")) }
	for until := time.Now().Add(12 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		if n := kernels(); n < 2 {
			t.Fatalf("%d kernels while one is busy", n)
		}
	}
	lab.Wait(t, 40*time.Second, "the kernel to be ended", func() bool { return kernels() == 1 })
	lab.Wait(t, 100*time.Second, "Jupyter to end", func() bool { return len(gpu1.Running("jupyter-lab")) == 1 })
	works(t, l, twin)
	r := l.Must("open", "--no-browser", "--idle-timeout", "1h", "gpu1:~/proj")
	if !strings.Contains(r.Stderr, "runs as it was started") {
		t.Errorf("it does not say that it runs already:\n%s", r.Stderr)
	}
	fails(t, l.Run("open", "--idle-timeout", "1ms", "gpu1"), 2, "at least a second")
}
