package test

import (
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// With --wait a host that cannot be reached is tried until it can; without it
// that is an error at once.
func TestOpen_WaitsForTheHost(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	gpu1 := l.Host("gpu1")
	gpu1.StopSSHD()
	fails(t, l.Run("open", "--no-browser", "gpu1"), 5, "refused", "nbremote open gpu1 --wait")

	given := l.Start("open", "--wait", "--no-browser", "gpu1")
	given.Expect("waiting for gpu1", 20*time.Second)
	given.Signal(syscall.SIGINT)
	if r := given.Wait(); r.Exit != 130 {
		t.Errorf("given up: exit %d\n%s", r.Exit, r.Stderr)
	}

	waits := l.Start("open", "--wait", "--json", "--no-browser", "gpu1")
	waits.Expect("waiting for gpu1", 20*time.Second)
	gpu1.StartSSHD()
	r := waits.Wait()
	if r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	works(t, l, parseOpened(t, r))

	// What only a person can mend is no reason to wait.
	l.Must("close", "gpu1")
	gpu1.NewHostKeys()
	gpu1.Configure("")
	fails(t, l.Run("open", "--wait", "--no-browser", "gpu1"), 6, "host key of gpu1 changed")
}
