package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/internal/holder"
	"nbremote/test/lab"
)

// farKernels are the websockets that serveKernels has accepted, each the far end
// of a page's.
type farKernels chan *websocket.Conn

// serveKernels is a server on the host with 1 KiB at /small, and a websocket at
// every other path: what comes is dropped, the test writes.
func serveKernels(t *testing.T, host *lab.Machine) (string, farKernels) {
	t.Helper()
	ln, err := host.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opened, small := make(farKernels, 200), make([]byte, 1<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Write(small)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		opened <- c
		for err == nil {
			_, _, err = c.Read(context.Background())
		}
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String(), opened
}

// way is how a client gets to the server on the host: by the page's port, or by
// a stream of the same link without the page's proxy.
type way func(ctx context.Context, network, addr string) (net.Conn, error)

func waysTo(l *lab.Lab, c *holder.Client, addr string) (proxied, bare way) {
	return l.Dial, func(ctx context.Context, _, _ string) (net.Conn, error) { return c.Dial(ctx, "tcp", addr) }
}

func (w way) client(t *testing.T) *http.Client {
	transport := &http.Transport{DialContext: w, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// socket opens a websocket at a path of the page.
func (w way) socket(t *testing.T, port int, path string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(context.Background(), fmt.Sprintf("http://127.0.0.1:%d%s", port, path), &websocket.DialOptions{HTTPClient: w.client(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return c
}

// medians measures two things in turn, n times each at a time, and gives the
// median of each turn in microseconds, and what the first has more.
func medians(n int, a, b func() time.Duration) (first, second, more []float64) {
	for turn := range turns + 1 {
		var x, y []time.Duration
		for range n {
			x, y = append(x, a()), append(y, b())
		}
		slices.Sort(x)
		slices.Sort(y)
		if turn == 0 {
			continue // connections and caches
		}
		us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
		first, second = append(first, us(x[n/2])), append(second, us(y[n/2]))
		more = append(more, us(x[n/2])-us(y[n/2]))
	}
	return first, second, more
}

// TestBench_PageRequest: 1 KiB, asked for again and again on one connection.
func TestBench_PageRequest(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	addr, _ := serveKernels(t, l.Hosts[0])
	page := heldPage(t, l, addr)
	proxied, bare := waysTo(l, holderOf(t, l), addr)
	get := func(w way) func() time.Duration {
		c := w.client(t)
		return func() time.Duration {
			began := time.Now()
			resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/small", page.Port))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if n, err := io.Copy(io.Discard, resp.Body); n != 1<<10 || err != nil {
				t.Fatal(n, err)
			}
			return time.Since(began)
		}
	}
	const each = 1000
	with, without, more := medians(each, get(proxied), get(bare))
	rowHeader(fmt.Sprintf("GET of 1 KiB, loopback, p50 of %d paired turns of %d, µs", turns, each))
	row("through the page's proxy", with, 0, "")
	row("over the same link without it", without, 0, "")
	row("what the proxy adds, turn by turn", more, 0, "median 100 at most")
}

// TestBench_PageMessage: 500 bytes of a kernel, from its server to the page.
func TestBench_PageMessage(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	addr, opened := serveKernels(t, l.Hosts[0])
	page := heldPage(t, l, addr)
	proxied, bare := waysTo(l, holderOf(t, l), addr)
	message := []byte(strings.Repeat("x", 500))
	tell := func(w way) func() time.Duration {
		came := arrivals(w.socket(t, page.Port, kernelPath(0)))
		far := <-opened
		return func() time.Duration {
			began := time.Now()
			if err := far.Write(context.Background(), websocket.MessageText, message); err != nil {
				t.Fatal(err)
			}
			at, ok := <-came
			if !ok {
				t.Fatal("the websocket has ended")
			}
			return at.Sub(began)
		}
	}
	const each = 1000
	with, without, more := medians(each, tell(proxied), tell(bare))
	rowHeader(fmt.Sprintf("a kernel's message of %d bytes to the page, loopback, p50 of %d paired turns of %d, µs", len(message), turns, each))
	row("through the keeper", with, 0, "")
	row("over the same link without it", without, 0, "")
	row("what the keeper adds, turn by turn", more, 0, "median 200 at most")
}

// arrivals reads a websocket as a browser does: always, so that pings are
// answered. It gives the time of each message, and ends with the websocket.
func arrivals(c *websocket.Conn) <-chan time.Time {
	came := make(chan time.Time, 100)
	go func() {
		defer close(came)
		for {
			if _, _, err := c.Read(context.Background()); err != nil {
				return
			}
			came <- time.Now()
		}
	}()
	return came
}

func kernelPath(session int) string {
	return fmt.Sprintf("/api/kernels/x/channels?session_id=s%d", session)
}

// TestBench_PageKept: 1 GiB waits for a page that is away, and then comes.
func TestBench_PageKept(t *testing.T) {
	bench(t)
	l := benchLab(t, lab.Chain{})
	disk, err := os.MkdirTemp("/var/tmp", "nbremote-bench-") // the lab's own file system is memory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(disk) })
	l.Laptop.ShAs(lab.Me, "umask 077; mkdir -p ~/.local/state/nbremote/kept")
	l.Laptop.Sh("chown me:me " + disk + " && mount --bind " + disk + " /home/me/.local/state/nbremote/kept")
	addr, opened := serveKernels(t, l.Hosts[0])
	page := heldPage(t, l, addr)
	pid, c := pidOf(t, l.Laptop, "nbremote holder"), holderOf(t, l)

	var tcp net.Conn
	w := way(func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
		tcp, err = l.Dial(ctx, network, addr)
		return tcp, err
	})
	w.socket(t, page.Port, kernelPath(0))
	far := <-opened
	before := float64(resident(t, pid)) / 1e6
	tcp.(*net.TCPConn).SetLinger(0)
	tcp.Close()
	kept := func() (n holder.Kept) {
		s, err := c.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Pages {
			for _, k := range p.Kept {
				n = k
			}
		}
		return n
	}
	lab.Wait(t, 10*time.Second, "the page to be away", func() bool { return !kept().Away.IsZero() })
	const many, size = 1 << 16, 16 << 10
	block := make([]byte, size)
	for range many {
		if err := far.Write(context.Background(), websocket.MessageBinary, block); err != nil {
			t.Fatal(err)
		}
	}
	lab.Wait(t, 2*time.Minute, "1 GiB to be kept", func() bool { return kept().Messages == many })
	waiting := float64(resident(t, pid)) / 1e6
	near, began, got := w.socket(t, page.Port, kernelPath(0)), time.Now(), 0
	for range many {
		_, b, err := near.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		got += len(b)
	}
	took := time.Since(began)
	rowHeader(fmt.Sprintf("holder with %d MiB kept for a page, MB; given back in %.1f s", got>>20, took.Seconds()))
	row("RSS before", []float64{before}, 1, "")
	row("RSS with all of it kept", []float64{waiting}, 1, "")
	row("what keeping adds", []float64{waiting - before}, 1, "32")
	row("most RSS until it is given back", []float64{float64(memory(t, pid, "VmHWM")) / 1e6}, 1, "")
}

// TestBench_Page100: each page of JupyterLab has the websocket of its kernel and
// one for events.
func TestBench_Page100(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	addr, opened := serveKernels(t, l.Hosts[0])
	page := heldPage(t, l, addr)
	pid := pidOf(t, l.Laptop, "nbremote holder")
	before := float64(resident(t, pid)) / 1e6
	w := way(l.Dial)
	type kernel struct {
		far  *websocket.Conn
		came <-chan time.Time
	}
	var kernels []kernel
	for i := range 100 {
		came := arrivals(w.socket(t, page.Port, kernelPath(i)))
		kernels = append(kernels, kernel{<-opened, came})
		arrivals(w.socket(t, page.Port, "/api/events/subscribe"))
		<-opened
	}
	message := []byte(strings.Repeat("x", 2000))
	for range 20 {
		for _, k := range kernels {
			if err := k.far.Write(context.Background(), websocket.MessageText, message); err != nil {
				t.Fatal(err)
			}
			if _, ok := <-k.came; !ok {
				t.Fatal("a websocket has ended")
			}
		}
	}
	rowHeader("100 pages, each with 2 websockets and 20 messages, MB")
	row("holder, RSS before", []float64{before}, 1, "")
	row("holder, RSS", []float64{float64(resident(t, pid)) / 1e6}, 1, "60")
	row("holder, most RSS", []float64{float64(memory(t, pid, "VmHWM")) / 1e6}, 1, "")
}
