//go:build unix

package link

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestSoak_CutsAndRequests: a cut every 5 s, 20 requests a second; nothing
// piles up on either side. NBREMOTE_SOAK is how long.
func TestSoak_CutsAndRequests(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("NBREMOTE_SOAK"))
	if err != nil {
		t.Skip("NBREMOTE_SOAK is not set to a duration")
	}
	n := &line{r: startRelay(t)}
	l := newLink(t, Config{Carrier: n.open})
	address := serve(t, echo)
	fds := func(pid int) int {
		list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		return len(list)
	}
	type sample struct{ goroutines, ours, theirs, rss int }
	measure := func() sample {
		runtime.GC()
		return sample{runtime.NumGoroutine(), fds(os.Getpid()), fds(n.r.cmd.Process.Pid), n.r.rss()}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var half sample
	for i, end := 0, time.Now().Add(length); time.Now().Before(end); i++ {
		<-tick.C
		if i%100 == 99 {
			n.last().Close()
		}
		c, err := l.Dial(context10(t), "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		go func() { io.Copy(c, noise(uint64(i), 30_000)); c.(*Stream).CloseWrite() }()
		if got, want := sum(t, c), sum(t, noise(uint64(i), 30_000)); got != want {
			t.Fatalf("request %d: %s, want %s", i, got, want)
		}
		c.Close()
		if half == (sample{}) && time.Until(end) < length/2 {
			half = measure()
		}
	}
	last := measure()
	t.Logf("at half %+v, at the end %+v", half, last)
	if last.goroutines > half.goroutines+5 || last.ours > half.ours+5 || last.theirs > half.theirs+5 || last.rss > half.rss+1<<20 {
		t.Errorf("it grows: %+v, then %+v", half, last)
	}
}
