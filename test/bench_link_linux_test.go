package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nbremote/test/lab"
)

// raw is a websocket to Jupyter as far as nbremote can see: after the handshake
// its bytes go by as they are.
func raw(t *testing.T, l *lab.Lab, at, path string) net.Conn {
	t.Helper()
	c, err := l.Dial(context.Background(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", path, at)
	// Not a byte more than the answer: the rest is the stream.
	answer := make([]byte, 0, 1024)
	for !strings.HasSuffix(string(answer), "\r\n\r\n") && len(answer) < cap(answer) {
		n, err := c.Read(answer[len(answer) : len(answer)+1])
		if err != nil {
			t.Fatalf("%s: %v after %q", at, err, answer)
		}
		answer = answer[:len(answer)+n]
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") {
		t.Fatalf("%s: %s", at, answer)
	}
	return c
}

// rawSent is what /down of all servers has got rid of.
var rawSent atomic.Int64

// serveRaw answers raw on the host: /down?n= sends, /up?n= takes and then says
// a byte, /echo gives back, /count prints a line each 20 ms.
func serveRaw(t *testing.T, host *lab.Machine) string {
	t.Helper()
	ln, err := host.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 256<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		if r.Header.Get("Upgrade") == "" {
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		switch r.URL.Path {
		case "/down":
			for n > 0 {
				k, err := c.Write(block[:min(n, int64(len(block)))])
				if err != nil {
					return
				}
				n -= int64(k)
				rawSent.Add(int64(k))
			}
		case "/up":
			if err := take(c, n); err == nil {
				c.Write([]byte{1})
				io.Copy(io.Discard, c)
			}
		case "/echo":
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		case "/count":
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				<-tick.C
				if _, err := fmt.Fprintln(c, i); err != nil {
					return
				}
			}
		}
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// take reads exactly n bytes, in big pieces.
func take(r io.Reader, n int64) error {
	buf := make([]byte, 256<<10)
	for n > 0 {
		k, err := r.Read(buf[:min(n, int64(len(buf)))])
		n -= int64(k)
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

// moved is how long n bytes take on a stream that is open already.
func moved(t *testing.T, l *lab.Lab, at string, up bool, n int64) time.Duration {
	t.Helper()
	path := "/down"
	if up {
		path = "/up"
	}
	began := time.Now()
	c := raw(t, l, at, fmt.Sprintf("%s?n=%d", path, n))
	defer c.Close()
	if up {
		block := make([]byte, 256<<10)
		for left := n; left > 0; {
			k, err := c.Write(block[:min(left, int64(len(block)))])
			if err != nil {
				t.Fatal(err)
			}
			left -= int64(k)
		}
		n = 1
	}
	if err := take(c, n); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// row prints the least, the median and the most of anything.
func row(name string, all []float64, digits int, bound string) {
	s := slices.Clone(all)
	slices.Sort(s)
	f := func(x float64) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	fmt.Printf("| %-54s | %9s | %9s | %9s | %-28s |\n", name, f(s[0]), f(s[len(s)/2]), f(s[len(s)-1]), bound)
}

func rowHeader(title string) {
	fmt.Printf("\n%s\n| %-54s | %9s | %9s | %9s | %-28s |\n|---|---|---|---|---|\n", title, "what", "min", "median", "max", "bound")
}

// TestBench_LinkSpeed: one stream of a page, in turn with one by `ssh -L`.
func TestBench_LinkSpeed(t *testing.T) {
	for _, c := range []struct {
		rtt   time.Duration
		bytes int64
		turns int
		bound string
	}{
		{0, 64 << 20, turns, "0.9"},
		{20 * time.Millisecond, 64 << 20, 7, "1.0"},
		{100 * time.Millisecond, 32 << 20, 5, "1.0"},
	} {
		name := "loopback"
		if c.rtt > 0 {
			name = fmt.Sprintf("%v round trip", c.rtt)
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			l := benchLab(t, lab.Chain{Delay: c.rtt / 2})
			addr := serveRaw(t, l.Hosts[0])
			ours := fmt.Sprintf("127.0.0.1:%d", heldPage(t, l, addr).Port)
			plain := sshForward(t, l, 7001, addr)
			for _, up := range []bool{false, true} {
				title := "one stream, host to laptop, " + name
				if up {
					title = "one stream, laptop to host, " + name
				}
				var a, b, q []float64
				for i := range c.turns + 1 {
					x, y := moved(t, l, ours, up, c.bytes), moved(t, l, plain, up, c.bytes)
					if i == 0 {
						continue // windows and caches
					}
					mb := float64(c.bytes) / 1e6
					a, b, q = append(a, mb/x.Seconds()), append(b, mb/y.Seconds()), append(q, y.Seconds()/x.Seconds())
				}
				rowHeader(fmt.Sprintf("%s, %d MiB, %d paired turns, MB/s", title, c.bytes>>20, c.turns))
				row("nbremote", a, 1, "")
				row("ssh -L, default cipher", b, 1, "")
				row("nbremote / ssh -L, pair by pair", q, 2, "median "+c.bound+" at least")
			}
		})
	}
}

// TestBench_LinkEcho: 4 KiB there and back, in packets as large as those of a
// loopback: there ssh -N -L waits 40 ms for an acknowledgement now and then.
func TestBench_LinkEcho(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	l.Laptop.MTU(65535)
	l.Hosts[0].MTU(65535)
	addr := serveRaw(t, l.Hosts[0])
	ours := fmt.Sprintf("127.0.0.1:%d", heldPage(t, l, addr).Port)
	bare := sshForward(t, l, 7001, addr)
	const each = 1000
	p50, p99 := map[string][]float64{}, map[string][]float64{}
	var over []float64
	for range turns {
		for _, at := range []string{ours, bare} {
			times := echoes(t, raw(t, l, at, "/echo"), each)
			p50[at], p99[at] = append(p50[at], times[each/2]), append(p99[at], times[each*99/100])
		}
		over = append(over, p50[ours][len(p50[ours])-1]-p50[bare][len(p50[bare])-1])
	}
	rowHeader(fmt.Sprintf("4 KiB there and back, loopback, %d paired turns of %d, µs", turns, each))
	row("nbremote, p50", p50[ours], 0, "")
	row("ssh -N -L, p50", p50[bare], 0, "")
	row("nbremote less ssh -N -L, p50, pair by pair", over, 0, "median 100 at most")
	row("nbremote, p99", p99[ours], 0, "below the next row")
	row("ssh -N -L, p99", p99[bare], 0, "")
}

// echoes are the sorted times of n echoes in microseconds.
func echoes(t *testing.T, c net.Conn, n int) []float64 {
	t.Helper()
	defer c.Close()
	message, r := make([]byte, 4<<10), bufio.NewReaderSize(c, 8<<10)
	var times []float64
	for range n {
		began := time.Now()
		if _, err := c.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, message); err != nil {
			t.Fatal(err)
		}
		times = append(times, float64(time.Since(began).Nanoseconds())/1e3)
	}
	slices.Sort(times)
	return times
}
