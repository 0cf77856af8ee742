package holder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"nbremote/internal/webproxy"
)

const (
	firstPort   = 8890 // where looking for a free local port starts
	lastPort    = 8989
	watchEvery  = 60 * time.Second
	watchLimit  = 1 << 20 // bytes of one answer that is looked at
	openingTime = 30 * time.Second
)

func itoa(n int) string { return strconv.Itoa(n) }

// pages are the local ports of one holder.
type pages struct {
	h    *holder
	mu   sync.Mutex
	all  map[string]*page
	look chan struct{} // a wish to watch now
	wg   sync.WaitGroup
}

// page is one port with its proxy.
type page struct {
	mu       sync.Mutex
	spec     PageSpec
	proxy    *webproxy.Proxy
	server   *http.Server
	client   *http.Client // for watching
	moved    int
	takenBy  string
	gone     bool
	report   map[string]json.RawMessage
	reported time.Time
	opened   time.Time // when a tab was last sent here
}

func newPages(h *holder) *pages {
	return &pages{h: h, all: map[string]*page{}, look: make(chan struct{}, 1)}
}

// add opens the local port of a session, or gives the open one its new
// address on the host.
func (ps *pages) add(spec PageSpec) (Page, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if old := ps.all[spec.Session]; old != nil {
		if spec.Port == 0 || spec.Port == old.proxy.Port {
			old.renew(spec)
			ps.wish()
			return old.public(), nil
		}
		old.close()
		delete(ps.all, spec.Session)
	}
	l, moved, by, err := ps.listen(spec)
	if err != nil {
		return Page{}, err
	}
	p := &page{spec: spec, moved: moved, takenBy: by}
	p.start(ps, l)
	ps.all[spec.Session] = p
	ps.h.memory.setPort(spec.Session, p.proxy.Port)
	ps.wish()
	return p.public(), nil
}

// listen takes the wanted port, or that of last time, or a free one. A listener
// is used as it was bound: no port is chosen first and bound later.
func (ps *pages) listen(spec PageSpec) (l net.Listener, moved int, takenBy string, err error) {
	if spec.Port != 0 {
		l, err = webproxy.Listen(spec.Port)
		return l, 0, "", err
	}
	if last := ps.h.memory.port(spec.Session); last != 0 {
		if l, err = webproxy.Listen(last); err == nil {
			return l, 0, "", nil
		}
		moved = last
		var taken *webproxy.TakenError
		if errors.As(err, &taken) {
			takenBy = taken.By
		}
	}
	for port := firstPort; port <= lastPort; port++ {
		if l, err = webproxy.Listen(port); err == nil {
			return l, moved, takenBy, nil
		}
	}
	l, err = webproxy.Listen(0)
	return l, moved, takenBy, err
}

func (p *page) start(ps *pages, l net.Listener) {
	p.proxy = &webproxy.Proxy{
		Port: l.Addr().(*net.TCPAddr).Port,
		Dial: func(ctx context.Context) (net.Conn, error) {
			network, addr := p.address()
			c, err := ps.h.far(ctx, network, addr)
			if err != nil {
				ps.wish()
				return nil, err
			}
			return &watched{Conn: c, ended: ps.wish}, nil
		},
		Up:    func() bool { _, state, _, _ := ps.h.line.now(); return state == Up },
		Token: func() string { p.mu.Lock(); defer p.mu.Unlock(); return p.spec.Token },
		Since: func() time.Time { return ps.h.line.downSince() },
		Host:  ps.h.spec.Target.Name, Command: "nbremote open " + ps.h.spec.Target.Name,
	}
	p.server = &http.Server{Handler: p.proxy, ReadHeaderTimeout: 30 * time.Second}
	p.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.proxy.Dial(ctx) },
	}}
	ps.wg.Add(1)
	go func() { defer ps.wg.Done(); p.server.Serve(l) }()
}

func (p *page) close() {
	p.server.Close()
	p.proxy.Close() // the websockets, which the server no longer knows
	p.client.CloseIdleConnections()
}

func (p *page) address() (network, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec.Network, p.spec.Addr
}

// renew takes the session's new address on the host; the port stays.
func (p *page) renew(spec PageSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.gone = spec, false
	p.moved, p.takenBy = 0, ""
}

func (p *page) public() Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Page{
		PageSpec: p.spec, Tabs: p.proxy.Pages(), Gone: p.gone, Moved: p.moved, TakenBy: p.takenBy,
		Report: p.report, Reported: p.reported, URL: localURL(p.proxy.Port, p.spec.Path),
	}
	out.Port = p.proxy.Port
	return out
}

// watched tells when a connection to the host has ended: the server behind it
// may be gone.
type watched struct {
	net.Conn
	ended func()
	once  sync.Once
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.once.Do(w.ended)
	}
	return n, err
}

func (w *watched) CloseWrite() error {
	closeWrite(w.Conn)
	return nil
}

func (ps *pages) list() []Page {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	out := []Page{}
	for _, p := range ps.all {
		out = append(out, p.public())
	}
	return out
}

func (ps *pages) count() int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.all)
}

// open gives an address that is good once to show the page in the browser,
// unless a tab is connected or just being opened.
func (ps *pages) open(req openRequest) (Opening, error) {
	ps.mu.Lock()
	p := ps.all[req.Session]
	ps.mu.Unlock()
	if p == nil {
		return Opening{}, &Error{Text: fmt.Sprintf("open %s: it has no local port", req.Session), ClassName: "not-found"}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !req.NewTab {
		if p.proxy.Pages() > 0 {
			return Opening{Connected: true}, nil
		}
		if time.Since(p.opened) < openingTime {
			return Opening{Underway: true}, nil
		}
	}
	p.opened = time.Now()
	path := req.Path
	if path == "" {
		path = p.spec.Path
	}
	return Opening{URL: localURL(p.proxy.Port, p.proxy.NewNonce(path))}, nil
}

func (ps *pages) remove(session string) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[session]
	if p == nil {
		return false
	}
	p.close()
	delete(ps.all, session)
	return true
}

func (ps *pages) close() {
	ps.mu.Lock()
	for _, p := range ps.all {
		p.close()
	}
	ps.mu.Unlock()
	ps.wg.Wait()
}

// wish asks for a look at every page now.
func (ps *pages) wish() {
	select {
	case ps.look <- struct{}{}:
	default:
	}
}

// watch looks at every page each minute, and when a connection to it ended.
// The connection it keeps open in between is how a death is learned at once.
func (ps *pages) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ps.look:
		case <-ctx.Done():
			return
		}
		if _, state, _, _ := ps.h.line.now(); state != Up {
			continue
		}
		ps.mu.Lock()
		var now []*page
		for _, p := range ps.all {
			now = append(now, p)
		}
		ps.mu.Unlock()
		for _, p := range now {
			p.watch(ctx)
		}
	}
}

// watch asks the page's server for its watched paths; no answer at all while
// the line is up means that the server is gone.
func (p *page) watch(ctx context.Context) {
	p.mu.Lock()
	spec := p.spec
	p.mu.Unlock()
	report := map[string]json.RawMessage{}
	for _, path := range spec.Watch {
		body, err := p.get(ctx, path, spec.Token)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			up := p.proxy.Up()
			p.mu.Lock()
			p.gone = p.gone || up
			p.mu.Unlock()
			return
		}
		report[path] = body
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.report, p.reported = false, report, time.Now()
}

func (p *page) get(ctx context.Context, path, token string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", localURL(p.proxy.Port, path), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "token "+token)
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, watchLimit))
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		body = []byte("null")
	}
	return body, nil
}
