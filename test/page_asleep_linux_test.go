package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/test/lab"
)

// asleep is a browser whose laptop sleeps while a cell prints.
type asleep struct {
	name    string
	firefox bool
	n       int // lines that it prints
	cell    string
	twice   int // so many of them may come again
}

// All TCP sockets of a real browser are reset for 30 s, and in the middle the
// line is cut, while another client is on the kernel, which has Jupyter keep
// nothing: no line is lost, doubled is at most what one ping stands for. The
// twin is the same notebook through ssh -L in a restart loop.
func TestN13_SleepingBrowser(t *testing.T) {
	t.Parallel()
	for _, c := range []asleep{{name: "Chromium"}, {name: "Firefox", firefox: true}} {
		c.n, c.cell, c.twice = 600, printing(600), pingBatch
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// The same with large messages: a page that comes back in between is reset once
// more, and each time a ping is unanswered. JupyterLab itself draws no 1000 lines a second:
// TestN13_SleepingPage is a page that takes them.
func TestSoak_SleepingBrowser(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("a measurement: make soak")
	}
	asleep{name: "20 kB", n: 800, cell: large(800, 50*time.Millisecond), twice: 3 * pingBatch}.run(t)
}

func (c asleep) run(t *testing.T) {
	n := c.n
	x, open := c.browser(t)
	ours := open("ours", x.o.Port, c.cell)
	twinPort := plain(t, x.Lab, "gpu1", x.sock)
	twin := open("twin", twinPort, c.cell)
	for _, p := range []*labTab{ours, twin} {
		x.listenThere(p.name)
		if !c.firefox {
			p.run(0)
		}
	}
	for _, p := range []*labTab{ours, twin} {
		lab.Wait(t, 20*time.Second, p.name+" to print", func() bool { lost, _ := p.lines(n); return lost < n-10 })
	}
	var asleep sync.WaitGroup
	asleep.Go(func() { x.resetFor(sleepFor, x.o.Port, twinPort) })
	time.Sleep(sleepFor / 3) // the first part of it
	cutFor(sleepFor/3)(t, x.Lab)
	asleep.Wait()
	woke := time.Now()
	lost, wrong, idle := ours.finished(n, 90*time.Second+time.Duration(n)*10*time.Millisecond)
	t.Logf("ours: %d of %d lost, %d wrong, finished %v, %v after it", lost, n, wrong, idle, time.Since(woke).Round(10*time.Millisecond))
	t.Logf("dialogs %q", ours.dialogs()) // of requests that never got to us
	if lost != 0 || wrong > c.twice || !idle || !ours.sameDocument() {
		t.Errorf("%d lost, %d wrong, finished %v; %s", lost, wrong, idle, ours.missing(n))
	}
	lost, _, idle = twin.finished(n, 5*time.Second)
	t.Logf("twin: %d lost, finished %v, dialogs %q", lost, idle, twin.dialogs())
	if lost == 0 {
		t.Error("the twin lost nothing: the sleep was none")
	}
}

// browser gives what opens a notebook in a tab of the browser; Firefox runs the
// cell too.
func (c asleep) browser(t *testing.T) (*browserLab, func(name string, port int, cell string) *labTab) {
	if !c.firefox {
		x := newBrowserLab(t, 12*time.Minute)
		return x, func(name string, port int, cell string) *labTab { return x.notebook(name, port, cell) }
	}
	l := lab.New(t, lab.Chain{Gateways: 1})
	x := &browserLab{Lab: l, t: t, o: open(t, l, "gpu1"), host: l.Host("gpu1")}
	x.sock = strings.TrimSpace(x.host.ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	f := l.Firefox(6 * time.Minute)
	return x, func(name string, port int, cell string) *labTab {
		return &inFirefox(t, l, f, name, port, x.o.Token, cell).labTab
	}
}

// resetFor resets every TCP socket of the laptop to these ports of its own,
// again and again.
func (x *browserLab) resetFor(d time.Duration, ports ...int) {
	which := ""
	for _, port := range ports {
		which += fmt.Sprintf(" or dport = :%d", port)
	}
	x.Laptop.Sh(fmt.Sprintf("for i in $(seq %d); do ss -K dst 127.0.0.1 and '(' %s ')' >/dev/null; sleep 0.1; done", d/(100*time.Millisecond), which[len(" or "):]))
}

// listenThere puts a client on the kernel of a notebook, on the host itself.
func (x *browserLab) listenThere(notebook string) {
	t := x.t
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", x.host.Path(x.sock))
	}}}
	header := http.Header{"Authorization": {"token " + x.o.Token}}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/api/sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var sessions []struct {
		Path   string `json:"path"`
		Kernel struct {
			ID string `json:"id"`
		} `json:"kernel"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&sessions); err != nil {
		t.Fatal(err)
	}
	for _, s := range sessions {
		if s.Path != notebook+".ipynb" {
			continue
		}
		c, _, err := websocket.Dial(t.Context(), "http://localhost/api/kernels/"+s.Kernel.ID+"/channels?session_id=another-"+notebook,
			&websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(-1)
		ctx, stop := context.WithCancel(context.Background())
		var reading sync.WaitGroup
		reading.Go(func() {
			for err := error(nil); err == nil; {
				_, _, err = c.Read(ctx)
			}
		})
		t.Cleanup(func() { stop(); _ = c.CloseNow(); reading.Wait() })
		return
	}
	t.Fatalf("no kernel of %s in %+v", notebook, sessions)
}
