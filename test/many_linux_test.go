package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"nbremote/test/lab"
)

// pattern is what serveBytes gives.
var pattern = bytes.Repeat([]byte("0123456789abcdef"), 16<<10)

// wholeGet fetches n bytes over a connection of its own and checks each.
func wholeGet(l *lab.Lab, port, n int) error {
	c := &http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 100 * time.Second}
	resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/?n=%d", port, n))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 || len(b) != n || !bytes.Equal(b, bytes.Repeat(pattern, n/len(pattern)+1)[:n]) {
		return fmt.Errorf("%s, %d bytes of %d, or others", resp.Status, len(b), n)
	}
	return nil
}

// both are the processes on the two sides of the link.
func both(l *lab.Lab) []lab.Process {
	return append(l.Laptop.Running("nbremote holder"), l.Host("gpu1").Running("serve relay-")...)
}

// 500 connections at once while one of them never reads, then thousands one
// after the other: none is lost or wrong, the others do not wait for the one
// that stalls, and descriptors are as many as before.
func TestN26_ManyConnections(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	page := heldPage(t, l, serveBytes(t, l.Host("gpu1")))
	if err := wholeGet(l, page.Port, 1000); err != nil {
		t.Fatal(err)
	}
	procs := both(l)
	if len(procs) != 2 {
		t.Fatalf("%+v", procs)
	}
	before := sizes(procs)
	stalled, err := l.Dial(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", page.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	fmt.Fprintf(stalled, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", page.Port) // and reads nothing of 64 MiB

	const atOnce = 500
	errs := make(chan error, atOnce)
	began := time.Now()
	for range atOnce {
		go func() { errs <- wholeGet(l, page.Port, 256<<10) }()
	}
	for range atOnce {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d at once in %v", atOnce, time.Since(began).Round(time.Millisecond))
	inTurn(t, l, page.Port, 3000)
	stalled.Close()
	after := sizes(procs)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && grown(before, after); after = sizes(procs) {
		time.Sleep(100 * time.Millisecond)
	}
	for _, p := range procs {
		t.Logf("%.30s: descriptors %d then %d; memory %d then %d MiB", p.Line, before[p.PID][0], after[p.PID][0], before[p.PID][1], after[p.PID][1])
	}
	if grown(before, after) {
		t.Error("descriptors are not given back")
	}
	if s := statusOf(t, l); s.Link.Lost != 0 || len(s.Link.Cuts) != 0 {
		t.Errorf("%+v", s.Link)
	}
}

// keptIdle is how many connections to the far server are kept for the next
// request.
const keptIdle = 32

func grown(before, after map[int][2]int) bool {
	for pid, now := range after {
		if now[0] > before[pid][0]+keptIdle+3 {
			return true
		}
	}
	return false
}

// inTurn makes n connections, four at a time.
func inTurn(t *testing.T, l *lab.Lab, port, n int) {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				if err := wholeGet(l, port, 1000); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d one after the other in %v", n, time.Since(began).Round(time.Millisecond))
}

// A holder that may open few files says no to some, does not spin, and is as
// before when they are closed.
func TestN27_FewDescriptorsHere(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	page := heldPage(t, l, serveBytes(t, l.Host("gpu1")))
	holders := l.Laptop.Running("nbremote holder")
	l.Laptop.ShAs(lab.Me, "prlimit --pid $(pgrep -f 'nbremote[ ]holder') --nofile=64:64")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var open []io.Closer
	for range 100 {
		if c, err := l.Dial(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", page.Port)); err == nil {
			open = append(open, c)
		}
	}
	lab.Wait(t, 10*time.Second, "all descriptors to be taken", func() bool { return sizes(holders)[holders[0].PID][0] >= 62 })
	spent := ticks(t, holders[0].PID)
	time.Sleep(3 * time.Second) // in which it might spin
	if spent = ticks(t, holders[0].PID) - spent; spent > 100 {
		t.Errorf("it spent %d0 ms of 3 s", spent)
	}
	for _, c := range open {
		c.Close()
	}
	lab.Wait(t, 20*time.Second, "a request to be answered", func() bool { return wholeGet(l, page.Port, 1000) == nil })
	inTurn(t, l, page.Port, 100)
}

// ticks is the processor time of a process in hundredths of a second.
func ticks(t *testing.T, pid int) (spent int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	var skip string
	var user, system int
	if _, err := fmt.Sscan(string(rest), &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &user, &system); err != nil {
		t.Fatal(err)
	}
	return user + system
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
