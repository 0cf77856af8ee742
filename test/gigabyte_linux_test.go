package test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// printingMuch is a cell that waits for the file go-NAME, prints about so many bytes
// in messages of 20 kB to 1 MB, and leaves the file done-NAME with how many they
// were. It goes as fast as the spool fills, so that nothing queues in the
// kernel or before Jupyter; where that does not fill, 20 MB a second. It says 0
// when it has begun.
func printingMuch(name string, bytes int) string {
	return fmt.Sprintf(`import os, time
def used():
    s = os.statvfs(%[1]q)
    return (s.f_blocks - s.f_bfree) * s.f_frsize
print(0, flush=True)
while not os.path.exists("/home/me/go-%[2]s"):
    time.sleep(0.05)
first, sent, patience, last = used(), 0, 5.0, 0
sizes = [20000, 1000000, 100000, 300000]
while sent < %[3]d:
    n = sizes[sent %% len(sizes)]
    print("x" * n, flush=True)
    sent += n + 1
    while patience > 0 and sent - (used() - first) > 4000000:
        time.sleep(0.01)
        patience -= 0.01
        if used() > last:
            patience, last = 5.0, used()
    if patience <= 0:
        time.sleep(n / 20e6)
open("/home/me/done-%[2]s", "w").write(str(sent))
`, spoolDir, name, bytes)
}

// printed has the cell of printing print, and gives how many bytes that were.
func printed(t *testing.T, host *lab.Machine, name string, limit time.Duration) int64 {
	t.Helper()
	host.WriteFile(lab.Me, "/home/me/go-"+name, "")
	n := int64(0)
	lab.Wait(t, limit, "the cell to have printed", func() bool {
		n, _ = strconv.ParseInt(host.ReadFile("/home/me/done-"+name), 10, 64)
		return n > 0
	})
	return n
}

// biggest is the process whose arguments hold a text, that with the most memory
// of them.
func biggest(t *testing.T, m *lab.Machine, text string) (pid int) {
	t.Helper()
	most := 0
	for _, p := range m.Running(text) {
		if rss := resident(t, p.PID); rss > most {
			pid, most = p.PID, rss
		}
	}
	if pid == 0 {
		t.Fatalf("no %s runs", text)
	}
	return pid
}

func forget(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// usable is how long after the mend a plain request is answered.
func usable(t *testing.T, l *lab.Lab, o opened) time.Duration {
	t.Helper()
	began := time.Now()
	l.Laptop.Mend()
	if !answered(l, o) {
		t.Fatal("a request after the mend is not answered")
	}
	return time.Since(began)
}

// 1 GiB printed into a cut: it waits on the host's disk, in nobody's memory;
// after the mend another tab is served at once, and the page goes on. Without
// the link it all waits in Jupyter's memory.
func TestN10_GigabyteInACut(t *testing.T) {
	t.Parallel()
	const size = 1 << 30
	l := lab.New(t, lab.Chain{Program: asInstalled(t)})
	host := l.Host("gpu1")
	spoolOf(host, "13g") // of which a tenth is enough
	o := open(t, l, "gpu1")
	sock := strings.TrimSpace(host.ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	page := newPage(t, l, o.Port, o.Token)
	page.skim = true
	page.run(ctx, printingMuch("ours", size))
	lab.Wait(t, 20*time.Second, "the cell to begin", func() bool { lost, _, _ := page.got(1); return lost == 0 })
	jupyter, relay := biggest(t, host, "jupyter-lab"), biggest(t, host, "serve relay-")

	l.Laptop.Cut()
	time.Sleep(12 * time.Second) // until the line is down
	idle := usable(t, l, o)
	before := resident(t, jupyter)
	forget(t, jupyter)
	forget(t, relay)
	l.Laptop.Cut()
	began := time.Now()
	n := printed(t, host, "ours", 5*time.Minute)
	took := time.Since(began)
	grown, waiting := memory(t, jupyter, "VmHWM")-before, memory(t, relay, "VmHWM")
	t.Logf("%d MB printed in %v: Jupyter grows from %d MB by %d MB at most, the relay has %.1f MB at most", n/1e6, took.Round(time.Second), before/1e6, grown/1e6, float64(waiting)/1e6)
	if grown > 50e6 {
		t.Errorf("Jupyter grew by %d MB", grown/1e6)
	}
	if waiting > 24e6 {
		t.Errorf("the relay has %d MB", waiting/1e6)
	}
	full := usable(t, l, o)
	came := page.bytesSoFar()
	t.Logf("another tab is answered %v after the mend, %d MB still waiting; with nothing waiting it was %v", full.Round(time.Millisecond), (n-came)/1e6, idle.Round(time.Millisecond))
	if n-came < 200e6 {
		t.Errorf("only %d MB were waiting", (n-came)/1e6)
	}
	if full > max(2*time.Second, idle+time.Second) { // one until a connection is dialled, one to be served
		t.Errorf("another tab waits %v after the mend", full)
	}
	lab.Wait(t, 3*time.Minute, "the page to have all", func() bool { _, _, idle := page.got(0); return idle })
	came = page.bytesSoFar()
	t.Logf("%d MB came %v after the mend, %d websockets; the relay had %.1f MB at most", came/1e6, time.Since(began.Add(took)).Round(time.Second), page.opened, float64(memory(t, relay, "VmHWM"))/1e6)
	if came < n || page.opened != 1 {
		t.Errorf("%d bytes came of %d, %d websockets", came, n, page.opened)
	}
	twin := newPage(t, l, plain(t, l, "gpu1", sock), o.Token)
	twin.skim = true
	twin.run(ctx, printingMuch("twin", size/4))
	lab.Wait(t, 20*time.Second, "the twin's cell to begin", func() bool { lost, _, _ := twin.got(1); return lost == 0 })
	before = resident(t, jupyter)
	forget(t, jupyter)
	l.Laptop.Cut()
	n = printed(t, host, "twin", 5*time.Minute)
	grown = memory(t, jupyter, "VmHWM") - before
	t.Logf("twin: %d MB printed, Jupyter grows by %d MB", n/1e6, grown/1e6)
	if grown < 100e6 {
		t.Error("the twin's Jupyter does not grow: the cut was none")
	}
	l.Laptop.Mend()
}

func (p *labPage) bytesSoFar() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}
