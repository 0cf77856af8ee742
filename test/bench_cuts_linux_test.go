package test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/test/lab"
)

// busy is a stream that says a number each 20 ms.
type busy struct {
	mu    sync.Mutex
	next  int
	wrong int
	err   error
	first time.Time // since mark
}

func startBusy(t *testing.T, l *lab.Lab, at string) *busy {
	t.Helper()
	b, c := &busy{}, raw(t, l, at, "/count")
	t.Cleanup(func() { c.Close() })
	go func() {
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			b.hear(lines.Text())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.err = fmt.Errorf("it ended: %v", lines.Err())
	}()
	lab.Wait(t, 10*time.Second, "numbers", func() bool { n, _, _ := b.now(); return n > 0 })
	return b
}

func (b *busy) hear(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if line != strconv.Itoa(b.next) {
		b.wrong++
	}
	b.next++
	if b.first.IsZero() {
		b.first = time.Now()
	}
}

func (b *busy) now() (n, wrong int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next, b.wrong, b.err
}

// after is how long after now the next number comes.
func (b *busy) after(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	b.mu.Lock()
	b.first = time.Time{}
	b.mu.Unlock()
	var took time.Duration
	lab.Wait(t, limit, "a number", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		took = b.first.Sub(began)
		return !b.first.IsZero()
	})
	return took
}

func (b *busy) whole(t *testing.T) {
	t.Helper()
	if n, wrong, err := b.now(); wrong != 0 || err != nil {
		t.Errorf("of %d numbers %d are wrong, %v", n, wrong, err)
	}
}

// shown is how long from now the holder takes to say suspect, and down.
func shown(t *testing.T, c *holder.Client) (suspect, down time.Duration) {
	t.Helper()
	for began := time.Now(); down == 0; time.Sleep(10 * time.Millisecond) {
		s, err := c.Status(context.Background())
		if err != nil || time.Since(began) > time.Minute {
			t.Fatalf("never said to be down: %v", err)
		}
		if s.State != holder.Up && suspect == 0 {
			suspect = time.Since(began)
		}
		if s.State == holder.Down {
			down = time.Since(began)
		}
	}
	return suspect, down
}

const benchRTT = 100 * time.Millisecond

// TestBench_LinkCuts: a line that dies in silence, and is mended within 2 minutes.
func TestBench_LinkCuts(t *testing.T) {
	bench(t)
	t.Parallel()
	for _, gateways := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d gateways", gateways), func(t *testing.T) {
			t.Parallel()
			l := benchLab(t, lab.Chain{Gateways: gateways, Delay: benchRTT / 2})
			at := fmt.Sprintf("127.0.0.1:%d", heldPage(t, l, serveRaw(t, l.Hosts[0])).Port)
			c, b := holderOf(t, l), startBusy(t, l, at)
			var suspect, down, usable, ssh []float64
			for range 4 {
				time.Sleep(3*time.Second + rand.N(2*time.Second)) // where in a second it is cut is by chance
				ends := time.Now().Add(12*time.Second + rand.N(10*time.Second))
				l.Laptop.Cut()
				s, d := shown(t, c)
				suspect, down = append(suspect, s.Seconds()), append(down, d.Seconds())
				time.Sleep(time.Until(ends)) // how long the cut lasts is what is tested
				l.Laptop.Mend()
				usable = append(usable, b.after(t, time.Minute).Seconds())
				ssh = append(ssh, l.SSH("gpu1", "true").Took.Seconds())
			}
			b.whole(t)
			rowHeader(fmt.Sprintf("silent cuts of 12 to 22 s, %v round trip, %d gateways, a busy stream, seconds", benchRTT, gateways))
			row("dead line shown (suspect)", suspect, 2, "6.5")
			row("dead line declared (down)", down, 2, "10")
			row("usable after the mend: the same stream goes on", usable, 2, fmt.Sprintf("%.1f", 1+10*benchRTT.Seconds()*float64(1+gateways)))
			row("ssh gpu1 true, then", ssh, 2, "")
		})
	}
}

// TestBench_LinkLater: mended after more than 2 minutes.
func TestBench_LinkLater(t *testing.T) {
	bench(t)
	t.Parallel()
	port := func(at string) func(t *testing.T, l *lab.Lab) {
		return func(t *testing.T, l *lab.Lab) {
			go func() {
				if c, err := l.Dial(context.Background(), "tcp", at); err == nil {
					defer c.Close()
					fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", at)
					http.ReadResponse(bufio.NewReader(c), nil)
				}
			}()
		}
	}
	for _, c := range []struct {
		name, bound string
		then        func(at string) func(t *testing.T, l *lab.Lab)
	}{
		{"by itself", "7.0: + one back-off of 5 s", nil},
		{"a request", "2.0", port},
		{"another address", "2.0", func(string) func(*testing.T, *lab.Lab) {
			return func(t *testing.T, l *lab.Lab) { l.Laptop.Roam(101) }
		}},
		{"holder stood still for 20 s", "2.0", func(string) func(*testing.T, *lab.Lab) {
			return func(t *testing.T, l *lab.Lab) { l.Laptop.Kill("nbremote holder", syscall.SIGCONT) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := benchLab(t, lab.Chain{Delay: benchRTT / 2})
			at := fmt.Sprintf("127.0.0.1:%d", heldPage(t, l, serveRaw(t, l.Hosts[0])).Port)
			b := startBusy(t, l, at)
			l.Laptop.Cut()
			time.Sleep(130*time.Second + rand.N(5*time.Second)) // how long the cut lasts is what is tested
			if strings.HasPrefix(c.name, "holder stood") {
				l.Laptop.Kill("nbremote holder", syscall.SIGSTOP)
				time.Sleep(20 * time.Second)
			}
			l.Laptop.Mend()
			if c.then != nil {
				c.then(at)(t, l)
			}
			took := b.after(t, time.Minute)
			b.whole(t)
			rowHeader(fmt.Sprintf("mended after more than 2 min, then: %s; %v round trip, seconds", c.name, benchRTT))
			row("usable after it", []float64{took.Seconds()}, 2, c.bound)
		})
	}
}

// TestBench_LinkFalseAlarms: a line of 1 s round trips that stands still for 5 s
// now and then. An hour of one such stall in 15 s is shortened to 12 of them.
func TestBench_LinkFalseAlarms(t *testing.T) {
	t.Parallel()
	l := benchLab(t, lab.Chain{})
	addr := serveRaw(t, l.Hosts[0])
	at := fmt.Sprintf("127.0.0.1:%d", heldPage(t, l, addr).Port)
	twin := sshForward(t, l, 7001, addr, "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2")
	var ours, theirs []*busy
	for range 3 {
		ours, theirs = append(ours, startBusy(t, l, at)), append(theirs, startBusy(t, l, twin))
	}
	const half, stalls = 500 * time.Millisecond, 12
	l.Laptop.Delay(half)
	c, alarms := holderOf(t, l), 0
	for range stalls {
		time.Sleep(10*time.Second + rand.N(time.Second)) // between two stalls
		// What comes in this tenth of a second is late, and what follows waits for it.
		l.Laptop.Delay(half + 5*time.Second)
		time.Sleep(100 * time.Millisecond)
		l.Laptop.Delay(half)
		for ends := time.Now().Add(6 * time.Second); time.Now().Before(ends); time.Sleep(50 * time.Millisecond) {
			if s, err := c.Status(context.Background()); err == nil && s.State == holder.Suspect {
				alarms++
				time.Sleep(time.Until(ends))
			}
		}
	}
	closed := func(all []*busy) (n float64) {
		for _, b := range all {
			if _, wrong, err := b.now(); err != nil || wrong != 0 {
				n++
			}
		}
		return n
	}
	rowHeader(fmt.Sprintf("1 s round trips, %d stalls of 5 s in about 200 s, for 240 in an hour; %d times suspect", stalls, alarms))
	row("sockets of 3 closed, nbremote", []float64{closed(ours)}, 0, "0")
	row("sockets of 3 closed, ssh -L, keepalive 5 x 2", []float64{closed(theirs)}, 0, "")
}

// onWire is what went over the laptop's card, both ways, with Ethernet, IP, TCP
// and SSH around it.
func onWire(t *testing.T, l *lab.Lab) float64 {
	t.Helper()
	for line := range strings.Lines(l.Laptop.Sh("cat /proc/net/dev")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "eth0:"); ok {
			f := strings.Fields(rest)
			in, _ := strconv.ParseFloat(f[0], 64)
			out, _ := strconv.ParseFloat(f[8], 64)
			return in + out
		}
	}
	t.Fatal("no eth0")
	return 0
}

func pidOf(t *testing.T, m *lab.Machine, text string) int {
	t.Helper()
	for _, p := range m.Running(text) {
		return p.PID
	}
	t.Fatalf("%s runs no %s", m.Name, text)
	return 0
}

// TestBench_LinkAtRest: what a line costs that nobody uses.
func TestBench_LinkAtRest(t *testing.T) {
	bench(t)
	t.Parallel()
	for _, watched := range []bool{false, true} {
		t.Run(fmt.Sprintf("Jupyter is asked %v", watched), func(t *testing.T) {
			t.Parallel()
			l := benchLab(t, lab.Chain{})
			timedOpen(t, l)
			if !watched {
				addPage(t, holderOf(t, l), "main", serveRaw(t, l.Hosts[0]))
			}
			time.Sleep(15 * time.Second) // it is idle
			relay, before := pidOf(t, l.Hosts[0], "serve relay-"), onWire(t, l)
			time.Sleep(120 * time.Second) // the span that is measured
			bytes, what := (onWire(t, l)-before)/120, "the link alone, with all headers down to Ethernet's, B/s"
			bound := "40"
			if watched {
				what, bound = "with Jupyter asked how it is, B/s", ""
			}
			rowHeader("idle, over 120 s")
			row(what, []float64{bytes}, 1, bound)
			row("relay, RSS, MB", []float64{float64(resident(t, relay)) / 1e6}, 1, "14")
		})
	}
}

// TestBench_LinkMemory: 1 GiB waits on the host, and then comes.
func TestBench_LinkMemory(t *testing.T) {
	bench(t)
	l := benchLab(t, lab.Chain{})
	host := l.Hosts[0]
	disk, err := os.MkdirTemp("/var/tmp", "nbremote-bench-") // the lab's own file system is memory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(disk) })
	host.ShAs(lab.Me, "umask 077; mkdir -p ~/.local/share/nbremote/spool")
	host.Sh("chown me:me " + disk + " && mount --bind " + disk + " /home/me/.local/share/nbremote/spool")
	at := fmt.Sprintf("127.0.0.1:%d", heldPage(t, l, serveRaw(t, host)).Port)
	relay, keeper := pidOf(t, host, "serve relay-"), pidOf(t, l.Laptop, "nbremote holder")
	const all = 1 << 30
	c := raw(t, l, at, "/down?n="+strconv.Itoa(all+8<<20))
	defer c.Close()
	l.Laptop.Cut()
	began := rawSent.Load()
	lab.Wait(t, 2*time.Minute, "1 GiB to be kept", func() bool { return rawSent.Load()-began >= all })
	waiting := float64(resident(t, relay)) / 1e6
	l.Laptop.Mend()
	if err := take(c, all+8<<20); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { moved(t, l, at, i%2 == 0, 64<<20) })
	}
	wg.Wait()
	rowHeader("memory, MB")
	row("relay, RSS with 1 GiB waiting", []float64{waiting}, 1, "24")
	row("relay, most RSS, that sent and 8 streams of 64 MiB", []float64{float64(memory(t, relay, "VmHWM")) / 1e6}, 1, "")
	row("holder, most RSS in all of that", []float64{float64(memory(t, keeper, "VmHWM")) / 1e6}, 1, "50")
}
