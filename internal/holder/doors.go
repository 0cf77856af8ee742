package holder

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"nbremote/internal/webproxy"
)

const (
	firstPort = 8890 // where looking for a free local port starts
	lastPort  = 8989
	// settleEvery is how often a port that was taken is tried again.
	settleEvery = 2 * time.Second
	// quiet is how long a port that is not the page's address any more goes on
	// without a request or a websocket: some pages ask only now and then.
	quiet = 10 * time.Minute
)

// door is one local port of a page.
type door struct {
	port   int
	page   http.Handler
	server *http.Server
	l      net.Listener

	mu   sync.Mutex
	busy int       // requests and websockets under way
	last time.Time // when one began or ended, or the page got another address
}

// ServeHTTP counts what is under way.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.count(1)
	defer d.count(-1)
	d.page.ServeHTTP(w, r)
}

func (d *door) count(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy, d.last = d.busy+n, time.Now()
}

// close frees the port before it returns, even if serving has not begun.
func (d *door) close() {
	d.l.Close()
	d.server.Close()
}

// unused says that nothing went through for so long.
func (d *door) unused(now time.Time, span time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.busy == 0 && now.Sub(d.last) >= span
}

// PortFree says why a page could not have a local port just now, or nil.
func PortFree(port int) error {
	l, err := webproxy.Listen(port)
	if err != nil {
		return notListening(err, port, leaveOutPort)
	}
	return l.Close()
}

const leaveOutPort = "leave out --port: a free one is found and kept"

// house gives a page its port: the one asked for, which is the session's own
// from then on; else the session's own; else, for as long as that is taken, a
// free one. Called with ps.mu held.
func (ps *pages) house(p *page, session string, asked int) error {
	own := ps.h.memory.port(session)
	if asked != 0 {
		own = asked
	}
	var err error
	if own != 0 {
		err = ps.enter(p, own, webproxy.Listen)
	}
	if err != nil && asked != 0 {
		return notListening(err, asked, leaveOutPort)
	}
	if p.port() == 0 {
		l, err := ps.free(session)
		if err != nil {
			return err
		}
		ps.addDoor(p, l)
	}
	if err == nil {
		p.atHome(asked == 0)
		ps.h.memory.setPort(session, p.port())
	} else {
		p.isMoved(own, err)
	}
	if !p.settled() && !p.settling {
		p.settling = true
		ps.wg.Go(func() { ps.settle(p) })
	}
	return nil
}

// atHome notes that the page is at the session's own port; same: at the one
// that was its own before.
func (p *page) atHome(same bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back = p.moved == p.address() || same && p.back
	p.moved, p.takenBy = 0, ""
}

// isMoved notes that the session's own port is taken.
func (p *page) isMoved(own int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved, p.takenBy = own, ""
	var taken *webproxy.TakenError
	if errors.As(err, &taken) {
		p.takenBy = taken.By
	}
}

// enter makes a port the page's address; the one before goes on for the tabs
// that were opened there. A listener is used as it was bound: no port is chosen
// first and bound later.
func (ps *pages) enter(p *page, port int, listen func(int) (net.Listener, error)) error {
	p.mu.Lock()
	at := slices.IndexFunc(p.doors, func(d *door) bool { return d.port == port })
	if at >= 0 {
		d := p.doors[at]
		p.doors[len(p.doors)-1].count(0)
		p.doors = append(slices.Delete(p.doors, at, at+1), d)
	}
	p.mu.Unlock()
	if at >= 0 {
		return nil
	}
	l, err := listen(port)
	if err != nil {
		return err
	}
	ps.addDoor(p, l)
	return nil
}

// addDoor makes a listener the page's address.
func (ps *pages) addDoor(p *page, l net.Listener) {
	port := l.Addr().(*net.TCPAddr).Port
	d := &door{port: port, page: p.waiting.in(p.proxy.At(port)), l: l}
	d.server = &http.Server{Handler: d, ReadHeaderTimeout: 30 * time.Second}
	p.mu.Lock()
	if n := len(p.doors); n > 0 {
		p.doors[n-1].count(0)
	}
	p.doors = append(p.doors, d)
	p.mu.Unlock()
	ps.wg.Go(func() { d.server.Serve(l) })
}

// free is a port that nobody has, here or, as far as is remembered, tomorrow:
// what has an address saved must not find another session there.
func (ps *pages) free(session string) (net.Listener, error) {
	others := ps.h.memory.others(session)
	for port := firstPort; port <= lastPort; port++ {
		if others[port] {
			continue
		}
		if l, err := webproxy.Try(port); err == nil {
			return l, nil
		}
	}
	return webproxy.Listen(0)
}

// settle works until the page is at its own port, and at no other.
func (ps *pages) settle(p *page) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.closed:
			return
		}
		if ps.settleNow(p, time.Now()) {
			return
		}
	}
}

// settleNow takes back the page's own port if it is free, and closes those that
// nobody has used for a while. It tells when there is nothing left to do.
func (ps *pages) settleNow(p *page, now time.Time) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.isClosed() {
		return true
	}
	if moved := p.moved; moved != 0 && ps.enter(p, moved, webproxy.Try) == nil {
		p.atHome(true)
		text := fmt.Sprintf("port %d is free again and used", moved)
		ps.h.log.Print(text)
		ps.h.tell(Event{Kind: "port", Hop: ps.h.spec.Target.Name, Text: text})
	}
	p.closeUnused(now)
	p.settling = !p.settled()
	return !p.settling
}

// closeUnused closes the ports that are not the page's address any more, and
// that nobody uses.
func (p *page) closeUnused(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	address := p.doors[len(p.doors)-1]
	p.doors = slices.DeleteFunc(p.doors, func(d *door) bool {
		if d == address || !d.unused(now, quiet) {
			return false
		}
		d.close()
		return true
	})
	p.back = p.back && len(p.doors) > 1
}

// settled tells whether the page is at its own port and at no other.
func (p *page) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moved == 0 && len(p.doors) == 1
}

// port is the page's address, 0 = it has none yet.
func (p *page) port() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address()
}

func (p *page) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}
