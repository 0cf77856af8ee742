package holder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nbremote/internal/link"
	"nbremote/internal/webproxy"
)

const (
	watchEvery  = 60 * time.Second
	restEvery   = 5*time.Minute - watchEvery/2 // where nobody uses the page
	watchLimit  = 1 << 20                      // bytes of one answer that is looked at
	openingTime = 30 * time.Second
)

// errOther: what answers is not the server that the page was opened for, or it
// has another token since.
var errOther = errors.New("it does not take the token any more")

func itoa(n int) string { return strconv.Itoa(n) }

// pages are the local ports of one holder.
type pages struct {
	h     *holder
	mu    sync.Mutex
	all   map[string]*page
	look  chan struct{} // a wish to watch now
	store *webproxy.Store
	wg    sync.WaitGroup
	boot  string // of the host; watch's own

	ended bool
}

// page is one proxy with its ports. Where both are wanted, pages.mu is locked
// before page.mu.
type page struct {
	proxy    *webproxy.Proxy
	client   *http.Client // for watching
	closed   chan struct{}
	settling bool // by pages.settle; under pages.mu
	waiting  waiting

	mu       sync.Mutex
	spec     PageSpec
	doors    []*door // the last is the page's address, the others go when nobody uses them; changed with pages.mu held too
	moved    int     // the session's own port, when it was taken; changed with pages.mu held too
	takenBy  string
	back     bool // it was moved, and the other port is still there
	gone     bool
	rebooted bool // that is why
	report   map[string]json.RawMessage
	reported time.Time
	opened   time.Time // when a tab was last sent here
	dropped  []Dropped
}

func newPages(h *holder) *pages {
	return &pages{h: h, all: map[string]*page{}, look: make(chan struct{}, 1), store: newStore(h.spec.Place, h.spec.Target.Key())}
}

// add opens the local port of a session, or gives the open one its new
// address on the host.
func (ps *pages) add(spec PageSpec) (Page, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.ended {
		return Page{}, &Error{Text: "open a local port: this connection is being closed", ClassName: "line"}
	}
	p := ps.all[spec.Session]
	if p != nil && p.proxy.Origin != spec.Origin { // http, which was https
		p.close()
		p = nil
	}
	if p == nil {
		p = ps.newPage(spec)
	}
	if err := ps.house(p, spec.Session, spec.Port); err != nil {
		return Page{}, err
	}
	p.renew(spec)
	ps.all[spec.Session] = p
	ps.wish()
	return p.public(), nil
}

// newPage is a page without a port.
func (ps *pages) newPage(spec PageSpec) *page {
	p := &page{spec: spec, closed: make(chan struct{})}
	p.proxy = &webproxy.Proxy{
		Dial:       func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, ps) },
		DialKernel: func(ctx context.Context) (net.Conn, error) { return p.dial(ctx, ps, link.Always) },
		Store:      ps.store,
		Dropped:    func(d webproxy.Drop) { p.lost(ps.h, d) },
		Up:         func() bool { _, state, _, _ := ps.h.line.now(); return state == Up },
		Prove:      ps.h.prove,
		Token:      func() string { p.mu.Lock(); defer p.mu.Unlock(); return p.spec.Token },
		Since:      func() time.Time { return ps.h.line.downSince() },
		Host:       ps.h.spec.Target.Name, Command: cmp.Or(spec.Again, "nbremote open "+ps.h.spec.Target.Name),
		Origin: spec.Origin,
	}
	if spec.Origin != "" {
		p.proxy.Host = spec.Origin
	}
	p.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.proxy.Dial(ctx) },
	}}
	return p
}

func (p *page) close() {
	close(p.closed)
	for _, d := range p.doors {
		d.close()
	}
	p.proxy.Close() // the websockets, which the server no longer knows
	p.client.CloseIdleConnections()
}

func (p *page) far() (network, addr string, proves *TLS) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec.Network, p.spec.Addr, p.spec.TLS
}

// address is the local port. Called with p.mu held.
func (p *page) address() int {
	if len(p.doors) == 0 {
		return 0
	}
	return p.doors[len(p.doors)-1].port
}

// renew takes the session's new address on the host; the port stays.
func (p *page) renew(spec PageSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec, p.gone, p.rebooted = spec, false, false
}

func (p *page) public() Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := Page{
		PageSpec: p.spec, Tabs: p.proxy.Pages(), Waiting: int(p.waiting.n.Load()), Gone: p.gone, Rebooted: p.rebooted, Moved: p.moved, TakenBy: p.takenBy, Back: p.back,
		Kept: keptOf(p.proxy), Dropped: slices.Clone(p.dropped), Report: p.report, Reported: p.reported, URL: localURL(p.address(), p.spec.Path),
	}
	out.Port = p.address()
	for _, d := range p.doors[:len(p.doors)-1] {
		out.Also = append(out.Also, d.port)
	}
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
	for _, session := range slices.Sorted(maps.Keys(ps.all)) {
		out = append(out, ps.all[session].public())
	}
	return out
}

// waiting tells whether a tab is connected.
func (ps *pages) waiting() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		if p.proxy.Pages() > 0 {
			return true
		}
	}
	return false
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
	if req.NotOpened {
		p.opened = time.Time{}
		return Opening{}, nil
	}
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
	return Opening{URL: localURL(p.address(), p.proxy.NewNonce(path))}, nil
}

// follow says whether a page wants the ports of its programs followed.
func (ps *pages) follow() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range ps.all {
		p.mu.Lock()
		wanted := p.spec.Follow
		p.mu.Unlock()
		if wanted {
			return true
		}
	}
	return false
}

// farPorts are the ports on the host that pages lead to, not sockets.
func (ps *pages) farPorts() []string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	out := []string{}
	for _, p := range ps.all {
		p.mu.Lock()
		spec := p.spec
		p.mu.Unlock()
		if _, port, err := net.SplitHostPort(spec.Addr); err == nil && spec.Network == "tcp" && spec.Follow {
			out = append(out, port)
		}
	}
	slices.Sort(out)
	return out
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
	ps.ended = true
	for session, p := range ps.all {
		p.close()
		delete(ps.all, session)
	}
	ps.mu.Unlock()
	ps.wg.Wait()
	if ps.store.Dir != "" {
		os.Remove(ps.store.Dir) // it is empty, or goes with the next holder
	}
}

// wish asks for a look at every page now.
func (ps *pages) wish() {
	select {
	case ps.look <- struct{}{}:
	default:
	}
}

func (p *page) get(ctx context.Context, path, token string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", localURL(p.port(), path), nil)
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(p.proxy.Origin); err == nil {
		req.Host = u.Host
	}
	req.Header.Set("Authorization", "token "+token)
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return nil, errOther
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, watchLimit))
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		body = []byte("null")
	}
	return body, nil
}

// localURL is the page's address without its token.
func localURL(port int, path string) string {
	return "http://127.0.0.1:" + itoa(port) + "/" + strings.TrimPrefix(path, "/")
}
