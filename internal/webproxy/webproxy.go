// Package webproxy is the local port of a page: an HTTP proxy for one browser
// and one far Jupyter. It guards who may speak to it, holds requests while the
// line is down, and lets the browser in without the token in any command line.
// It knows HTTP and websockets only; how to reach the far server is a function.
package webproxy

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

const (
	patience    = 15 * time.Second
	linger      = 10 * time.Second
	idle        = 90 * time.Second
	idleStreams = 32
	bufferSize  = 64 << 10
)

// Proxy is the http.Handler of one page. Set its fields before it serves; the
// functions are called from many goroutines.
type Proxy struct {
	Port int // that the browser connects to; At is for more than one

	// Dial reaches the far server. It may wait for the line as long as ctx
	// allows. Connections should have CloseWrite.
	Dial func(ctx context.Context) (net.Conn, error)

	// DialKernel is Dial for the websockets of kernels, whose server must never
	// be kept from writing; nil = Dial.
	DialKernel func(ctx context.Context) (net.Conn, error)

	Store   *Store     // for what is kept of kernels while pages are away, nil = one of its own
	Dropped func(Drop) // is told what of that no page will get, nil = nobody is

	Up    func() bool      // is the line up? nil = always
	Since func() time.Time // when it went down, nil = when we first saw it
	Token func() string    // of the far server, nil or "" = none is needed

	// Prove returns once something has come from the host that was asked for
	// after the call: what it was sent before would have arrived. It waits for
	// as long as ctx allows. nil = Up is proof enough.
	Prove func(ctx context.Context) error

	// Origin is that of a server which knows itself by another name than this
	// port's: "http://box:8888". It is told that one, and what it answers is
	// translated. "" = it is told this port's.
	Origin string

	Host     string        // its name in what a person reads, "" = the host
	Command  string        // what opens the page again, "" = nbremote open
	Patience time.Duration // how long what destroys waits for the line, 0 = 15 s

	ready     sync.Once
	transport transports
	reverse   *httputil.ReverseProxy
	lingering time.Duration // 0 = linger
	ctx       context.Context
	end       context.CancelFunc

	nonces  nonces
	tickets tickets
	tabs    tabs
	alive   alive
	polls   polls
	crowd   crowd
	behind  behind
	keeper  keeper

	keepFor time.Duration // 0 = KeepFor

	testOnlyUnkept bool // websockets of kernels pass as all others do

	mu        sync.Mutex
	downSince time.Time // zero while up
}

// prepare makes what the fields imply, once.
func (p *Proxy) prepare() {
	p.ready.Do(func() {
		p.ctx, p.end = context.WithCancel(context.Background())
		p.keeper.proxy = p
		if p.Store == nil {
			p.Store = &Store{}
		}
		p.transport = p.newTransports()
		p.reverse = &httputil.ReverseProxy{
			Rewrite:        p.rewrite,
			Transport:      roundTripper{p},
			FlushInterval:  flushWithin,
			ModifyResponse: p.answered,
			BufferPool:     buffers{},
			ErrorLog:       log.New(io.Discard, "", 0),
			ErrorHandler:   p.failed,
		}
	})
}

// flushWithin is how long a part of an answer whose length is known may wait for
// more, so that a small one is one write. Of other lengths each part goes at
// once.
const flushWithin = 10 * time.Millisecond

// ServeHTTP passes a request of the page on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.serve(w, r, p.Port) }

// At is the same page at one more port. Each port answers to its own name only;
// an address that is good once is good at any of them.
func (p *Proxy) At(port int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, port) })
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, port int) {
	p.prepare()
	if why := refusal(r, port); why != "" {
		plain(w, http.StatusForbidden, why)
		return
	}
	if r.Method == http.MethodConnect || !strings.HasPrefix(r.URL.Path, "/") {
		plain(w, http.StatusBadRequest, "This is the port of a page, not a proxy.")
		return
	}
	if strings.HasPrefix(r.URL.Path, noncePrefix) {
		p.redeem(w, r)
		return
	}
	p.alive.hear(r)
	r = p.letIn(r)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	h := p.hold(ctx, cancel, r)
	if h == nil {
		return
	}
	defer h.end(w)
	r = r.WithContext(context.WithValue(ctx, holdKey{}, h))
	if isWebsocket(r) {
		p.alive.add(1)
		defer p.alive.add(-1)
	}
	if kernel, session, ok := keepable(r); ok && !p.testOnlyUnkept {
		p.keep(w, r, kernel, session)
		return
	}
	if isWebsocket(r) {
		s := &handshake{ResponseWriter: w, proxy: p, path: r.URL.Path, cancel: cancel}
		defer s.done()
		w = s
	}
	if isQuick(r) {
		p.pass(w, r)
		return
	}
	p.reverse.ServeHTTP(w, r)
}

// Close ends what is held and the open websockets; the listener and its other
// connections are the caller's.
func (p *Proxy) Close() {
	p.prepare()
	p.end()
	p.keeper.close()
	p.transport.CloseIdleConnections()
}

// rewrite changes nothing but the next hop: Host stays, so that Jupyter's own
// check of it counts, and the query stays as it was written. A ticket becomes
// the token.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = "http", "127.0.0.1" // Dial knows where to
	r.Out.Host = r.In.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	ownCookies(r.Out.Header, r.In.Host)
	if h := holdOf(r.In.Context()); h.ticket != nil {
		r.Out.Header.Set("Authorization", "token "+p.token())
	}
}

// answered looks at what the far server has answered.
func (p *Proxy) answered(resp *http.Response) error {
	h := holdOf(resp.Request.Context())
	if h.isPoll {
		p.polls.keep(resp, h.asked)
	}
	if h.navigation && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		resp.Header.Set("Cache-Control", "no-store") // Jupyter's pages have the token in them
	}
	if h.ticket != nil {
		p.tickets.spend(h.ticket, resp.Header)
		p.stayIn(h.ticket, resp)
	}
	return nil
}

// dial ends with the request it is for: http.Transport alone would wait on,
// and all that was ever given up would dial when the line is back.
func (p *Proxy) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if h := holdOf(ctx); h != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(h.ctx, cancel)()
	}
	if isForKernel(ctx) && p.DialKernel != nil {
		return p.DialKernel(ctx)
	}
	return p.Dial(ctx)
}

func (p *Proxy) up() bool {
	up := p.Up == nil || p.Up()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case up:
		p.downSince = time.Time{}
	case p.downSince.IsZero():
		p.downSince = time.Now()
	}
	return up
}

// buffers is a pool of big buffers: what one read of a fast line can bring.
type buffers struct{}

var pool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func (buffers) Get() []byte  { return pool.Get().(*[bufferSize]byte)[:] }
func (buffers) Put(b []byte) { pool.Put((*[bufferSize]byte)(b)) }
