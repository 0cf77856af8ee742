package test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"nbremote/test/lab"
)

// A day of cuts in ten minutes (`make soak`): the line is cut every 5 s, the
// page is asked all the while, and the holder does not grow.
func TestSoak(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("NBREMOTE_SOAK"))
	if err != nil {
		t.Skip("a measurement: make soak")
	}
	l := lab.New(t, lab.Chain{Gateways: 1})
	o := open(t, l, "gpu1")
	holders := l.Laptop.Running("nbremote holder")
	cut := []*lab.Machine{l.Host("gpu1"), l.Host("gw1")}
	var first, last map[int][2]int
	cuts, asked, slowest, began := 0, 0, time.Duration(0), time.Now()
	for time.Since(began) < limit {
		cut[cuts%len(cut)].HangUp()
		cuts++
		for since := time.Now(); time.Since(since) < 5*time.Second; asked++ {
			sent := time.Now()
			works(t, l, o)
			slowest = max(slowest, time.Since(sent))
			time.Sleep(20 * time.Millisecond) // 20 or so in a second
		}
		last = sizes(holders)
		if cuts == 6 {
			first = last
		}
		if t.Failed() {
			break
		}
	}
	fmt.Printf("\n%d cuts, %d requests, the slowest %v\n", cuts, asked, slowest.Round(time.Millisecond))
	for pid, now := range last {
		then := first[pid]
		fmt.Printf("holder %d: descriptors %d then %d; memory %d then %d MiB\n", pid, then[0], now[0], then[1], now[1])
		if cuts > 12 && (now[0] > then[0]+5 || now[1] > then[1]+60) {
			t.Errorf("holder %d grows", pid)
		}
	}
}

// sizes are the open descriptors and the resident MiB of processes.
func sizes(all []lab.Process) map[int][2]int {
	found := map[int][2]int{}
	for _, p := range all {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
		var pages, resident int
		if statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID)); err == nil {
			_, _ = fmt.Sscan(string(statm), &pages, &resident)
		}
		found[p.PID] = [2]int{len(fds), resident * os.Getpagesize() >> 20}
	}
	return found
}
