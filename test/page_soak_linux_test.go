package test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nbremote/test/lab"
)

// longCut is a cut too long for CI. In it something happens to the page.
type longCut struct {
	name string
	cut  time.Duration
	do   func(p *labTab)
	then func(p *labTab) // after the mend
	// What the browser itself fails, it says: that dialog may come.
	failed bool
}

// slow is the pause between two lines there: JupyterLab takes thousands at once
// for long.
const slow = 500 * time.Millisecond

// What is too long for CI costs a page nothing either: cuts, in one of which
// the browser gives its websocket up (after 240 s) and in one of which the
// laptop's address changes while requests wait; a browser that is stopped.
func TestSoak_Page(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("a measurement: make soak")
	}
	for _, c := range []longCut{
		{name: "300 s", cut: 300 * time.Second},
		{name: "260 s, handshake given up", cut: 260 * time.Second, do: (*labTab).giveUpHandshake},
		{name: "60 s, other address", cut: 60 * time.Second, do: (*labTab).roamQueued, then: (*labTab).queuedAnswered, failed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
	t.Run("stopped for 300 s", func(t *testing.T) {
		t.Parallel()
		frozen{stopped: 300 * time.Second, before: 200 * time.Second, cut: 20 * time.Second, pause: slow}.run(t)
	})
}

func (c longCut) run(t *testing.T) {
	x := newBrowserLab(t, c.cut+5*time.Minute)
	n := int((c.cut + 40*time.Second) / slow)
	ours := x.notebook("ours", x.o.Port, printingEach(n, slow))
	twin := x.notebook("twin", plain(t, x.Lab, "gpu1", x.sock), printingEach(n, slow))
	for _, p := range []*labTab{ours, twin} {
		p.run(0)
		lab.Wait(t, 20*time.Second, p.name+" to print", func() bool { lost, _ := p.lines(n); return lost < n-3 })
	}
	x.Laptop.Cut()
	cut := time.Now()
	if c.do != nil {
		c.do(ours)
	}
	time.Sleep(c.cut - time.Since(cut)) // how long the cut lasts is what is tested
	before, _ := ours.lines(n)
	x.Laptop.Mend()
	mended := time.Now()
	ours.request("usable")
	lab.Wait(t, 20*time.Second, "the page to be usable", func() bool { return ours.holds(`nbrTest.usable == "200"`) })
	usable := time.Since(mended)
	lab.Wait(t, 30*time.Second, "lines to come again", func() bool { now, _ := ours.lines(n); return now < before })
	t.Logf("a request was answered %v after the mend, lines were back after %v", usable.Round(10*time.Millisecond), time.Since(mended).Round(10*time.Millisecond))
	if usable > 5*time.Second { // beside what else is measured; it is about 1 s
		t.Errorf("usable %v after the mend", usable)
	}
	if c.then != nil {
		c.then(ours)
	}
	lost, wrong, idle := ours.finished(n, 90*time.Second)
	dialogs := ours.dialogs()
	t.Logf("ours: %d of %d lost, %d wrong, finished %v, dialogs %q", lost, n, wrong, idle, dialogs)
	if c.failed {
		dialogs = nil
	}
	if lost != 0 || wrong != 0 || !idle || !ours.sameDocument() || len(dialogs) != 0 {
		t.Errorf("%d lost, %d wrong, finished %v, dialogs %q", lost, wrong, idle, dialogs)
	}
	lost, _, _ = twin.finished(n, 5*time.Second)
	t.Logf("twin: %d lost, dialogs %q", lost, twin.dialogs())
	if lost == 0 {
		t.Error("the twin lost nothing: the cut was none")
	}
}

// request sends one from the page; its answer is nbrTest[name]: a status, or
// that the browser has failed it.
func (p *labTab) request(name string) {
	p.x.t.Helper()
	do(p.x.t, p, "request", chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		`fetch("/api/contents/%s.ipynb?content=0&n=%[2]s").then(r => { nbrTest[%[2]q] = String(r.status) }, () => { nbrTest[%[2]q] = "failed" }), 0`, p.name, name)))
}

// giveUpHandshake ends the page's sockets, as those of a laptop that sleeps,
// and waits until the browser has given up the websocket that it then asked for.
func (p *labTab) giveUpHandshake() {
	t := p.x.t
	t.Helper()
	created, closed := make(chan network.RequestID, 100), make(chan network.RequestID, 100)
	ctx, stop := context.WithCancel(p)
	defer stop()
	err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *network.EventWebSocketCreated:
			if strings.Contains(e.URL, "/channels?") {
				created <- e.RequestID
			}
		case *network.EventWebSocketClosed:
			closed <- e.RequestID
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p.x.Laptop.Sh(fmt.Sprintf("ss -K dst 127.0.0.1 dport = :%d", p.x.o.Port))
	limit := time.After(30 * time.Second)
	var asked network.RequestID
	select {
	case asked = <-created:
	case <-limit:
		t.Fatal("the page did not ask for its websocket")
	}
	began := time.Now()
	for limit = time.After(250 * time.Second); ; {
		select {
		case id := <-closed:
			if id != asked {
				continue
			}
		case <-limit:
			t.Fatal("the browser did not give it up")
		}
		break
	}
	t.Logf("given up after %v", time.Since(began).Round(time.Second))
	if held := time.Since(began); held < 230*time.Second {
		t.Errorf("given up after %v: it was not held", held)
	}
}

// queued is how many requests of a test wait in a cut: more than a browser has
// connections.
const queued = 10

// roamQueued has the laptop's address change while requests wait.
func (p *labTab) roamQueued() {
	for i := range queued {
		p.request(fmt.Sprintf("queued%d", i))
	}
	lab.Wait(p.x.t, 20*time.Second, "requests to wait", func() bool { return statusOf(p.x.t, p.x.Lab).Pages[0].Waiting >= 4 })
	p.x.Laptop.Roam(102)
}

// queuedAnswered waits for all of them, and saves. What the browser had in its
// own queue it may have failed.
func (p *labTab) queuedAnswered() {
	t := p.x.t
	t.Helper()
	var answered, failed int
	lab.Wait(t, 20*time.Second, "what waited to be answered", func() bool {
		answered, failed = 0, 0
		for i := range queued {
			switch p.text(fmt.Sprintf("nbrTest.queued%d", i)) {
			case "200":
				answered++
			case "failed":
				failed++
			}
		}
		return answered+failed == queued
	})
	t.Logf("of %d requests that waited %d were answered, the browser failed %d", queued, answered, failed)
	if answered == 0 {
		t.Error("none was answered")
	}
	do(t, p, "close a dialog", chromedp.KeyEvent(kb.Escape))
	file := "/home/me/" + p.name + ".ipynb"
	until(t, p, "a save", "true", focus(0), chromedp.KeyEvent("s", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	lab.Wait(t, 20*time.Second, "the save", func() bool { return strings.Contains(p.x.host.ReadFile(file), "L1") })
}
