package webproxy

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// KeepFor is how long messages wait for a page that is away.
const KeepFor = 7 * 24 * time.Hour

const (
	keepAway    = 64 // websockets without a page; the one that was left first goes
	sayTogether = time.Second
)

// Drop is messages that no page will get.
type Drop struct {
	Kernel   string // its id
	From, To time.Time
	Messages int64
	Bytes    int64
	Why      string
}

// add puts the times and sums of other to d's.
func (d *Drop) add(other Drop) {
	if other.Messages == 0 {
		return
	}
	if d.Messages == 0 || other.From.Before(d.From) {
		d.From = other.From
	}
	if other.To.After(d.To) {
		d.To = other.To
	}
	d.Messages += other.Messages
	d.Bytes += other.Bytes
}

// Kept is what is kept of one kernel for one page.
type Kept struct {
	Kernel   string
	Messages int64
	Bytes    int64
	Oldest   time.Time // of what is kept
	Away     time.Time // since when the page is; zero: it is connected
	Dropped  Drop      // in all
}

// keeper keeps the websockets of kernels while their pages are away.
type keeper struct {
	proxy *Proxy

	mu     sync.Mutex
	all    map[string]*kept
	closed bool
}

var kernelPath = regexp.MustCompile(`^(.*/api/kernels/([^/]+))/channels$`)

// keepable gives the id of the kernel whose websocket is asked for, by a page
// that can be told from others when it returns.
func keepable(r *http.Request) (kernel, session string, ok bool) {
	m := kernelPath.FindStringSubmatch(r.URL.EscapedPath())
	session = r.URL.Query().Get("session_id")
	if m == nil || session == "" || !isWebsocket(r) || r.Method != http.MethodGet {
		return "", "", false
	}
	return m[2], session, true
}

// keep serves the websocket of a kernel.
func (p *Proxy) keep(w http.ResponseWriter, r *http.Request, kernel, session string) {
	k, err := p.keeper.enter(r.Context(), r.URL.EscapedPath()+" "+session, kernel)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	page := func() *pageSocket {
		defer k.leave()
		return p.welcome(w, r, k)
	}()
	if page == nil {
		return
	}
	p.tabs.add(r.URL.Path, 1)
	defer p.tabs.add(r.URL.Path, -1)
	page.serve()
}

// welcome answers a handshake: by itself when the far websocket is there, once
// Jupyter has said that this page may. Nil: the answer was another.
func (p *Proxy) welcome(w http.ResponseWriter, r *http.Request, k *kept) *pageSocket {
	fresh := false
	for !k.connected() || !offers(r, k.protocol) {
		k.disconnect()
		if fresh = p.connect(w, r, k); !fresh {
			return nil
		}
	}
	if !fresh && !p.accepted(w, r, k) {
		return nil
	}
	hw := &hijacked{ResponseWriter: w}
	options := &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Origin was looked at before all else
		OnPongReceived:     func(_ context.Context, payload []byte) { hw.page.pong(payload) },
	}
	if k.protocol != "" {
		options.Subprotocols = []string{k.protocol}
	}
	conn, err := websocket.Accept(hw, r, options)
	if err != nil {
		if fresh {
			k.disconnect()
		}
		return nil
	}
	conn.SetReadLimit(-1)
	hw.page = &pageSocket{kept: k, conn: conn, raw: hw.raw, done: make(chan struct{})}
	if !k.attach(hw.page) {
		hw.page.reset()
		return nil
	}
	return hw.page
}

func offers(r *http.Request, protocol string) bool {
	return protocol == "" || slices.Contains(protocols(r), protocol)
}

func protocols(r *http.Request) (all []string) {
	for _, v := range r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(v, ",") {
			all = append(all, strings.TrimSpace(name))
		}
	}
	return all
}

// connect opens the far websocket with the page's own headers. False: Jupyter
// would not, and the page has its answer.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request, k *kept) bool {
	conn, resp, err := websocket.Dial(forKernel(r.Context()), farURL(r.URL.RequestURI()), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: unendingBody{roundTripper{p}}, CheckRedirect: noRedirect},
		HTTPHeader: pageHeader(r), Host: r.Host, Subprotocols: protocols(r),
	})
	switch {
	case err == nil:
		conn.SetReadLimit(-1)
		k.connectTo(conn)
		passCookies(w, resp)
		return true
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		p.refused(w, resp, k)
	default:
		p.failed(w, r, err)
	}
	return false
}

// accepted asks Jupyter whether it would accept the page that returns.
func (p *Proxy) accepted(w http.ResponseWriter, r *http.Request, k *kept) bool {
	m := kernelPath.FindStringSubmatch(r.URL.EscapedPath())
	uri := m[1]
	if r.URL.RawQuery != "" {
		uri += "?" + r.URL.RawQuery // a token can be there
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, farURL(uri), nil)
	if err != nil {
		p.failed(w, r, err)
		return false
	}
	req.Header, req.Host = pageHeader(r), r.Host
	if origin := r.Header.Get("Origin"); origin != "" && req.Header.Get("Referer") == "" {
		// Jupyter wants it of a GET; a handshake has only Origin, which was ours.
		req.Header.Set("Referer", origin+"/")
	}
	resp, err := roundTripper{p}.RoundTrip(req)
	if err != nil {
		p.failed(w, r, err)
		return false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.refused(w, resp, k)
		return false
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	passCookies(w, resp)
	return true
}

// refused passes on what Jupyter says instead.
func (p *Proxy) refused(w http.ResponseWriter, resp *http.Response, k *kept) {
	if resp.StatusCode == http.StatusNotFound {
		k.giveUp("the kernel has ended")
	}
	for name, values := range resp.Header {
		switch name {
		case "Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "Keep-Alive":
		default:
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	if resp.Body != nil {
		io.Copy(w, io.LimitReader(resp.Body, 64<<10))
	}
}

func passCookies(w http.ResponseWriter, resp *http.Response) {
	for _, c := range resp.Header.Values("Set-Cookie") {
		w.Header().Add("Set-Cookie", c)
	}
}

// pageHeader is the page's header without what is of one connection.
func pageHeader(r *http.Request) http.Header {
	h := r.Header.Clone()
	for name := range h {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(h, name)
		}
	}
	for _, name := range []string{"Connection", "Upgrade", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding"} {
		delete(h, name)
	}
	ownCookies(h, r.Host)
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // else one is made up
	}
	ownCookies(h, r.Host)
	return h
}

func farURL(uri string) string { return (&url.URL{Scheme: "http", Host: "127.0.0.1"}).String() + uri }

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// enter gives what is kept under a key, or a new one, to one handshake at a
// time.
func (ks *keeper) enter(ctx context.Context, key, kernel string) (*kept, error) {
	for {
		ks.mu.Lock()
		k := ks.all[key]
		if k == nil {
			k = newKept(ks, key, kernel)
			if ks.closed {
				ks.mu.Unlock()
				return nil, context.Canceled
			}
			if ks.all == nil {
				ks.all = map[string]*kept{}
			}
			ks.all[key] = k
		}
		k.users++
		ks.mu.Unlock()
		select {
		case k.turn <- struct{}{}:
		case <-ctx.Done():
			ks.left(k)
			return nil, context.Cause(ctx)
		}
		if !k.isOver() {
			return k, nil
		}
		k.leave()
	}
}

// left is the end of a handshake; what holds nothing is forgotten.
func (ks *keeper) left(k *kept) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	k.users--
	ks.tidy(k)
}

// tidy forgets k if it keeps nothing. Called with mu held.
func (ks *keeper) tidy(k *kept) {
	if k.users == 0 && k.idle() && ks.all[k.key] == k {
		delete(ks.all, k.key)
		k.close()
	}
}

// crowd gives up the websocket that was left first, when there are too many.
func (ks *keeper) crowd() {
	ks.mu.Lock()
	var first *kept
	away := 0
	for _, k := range ks.all {
		if since := k.awaySince(); !since.IsZero() {
			away++
			if first == nil || since.Before(first.awaySince()) {
				first = k
			}
		}
	}
	ks.mu.Unlock()
	if away > keepAway {
		first.giveUp("too many pages did not come back")
	}
}

func (ks *keeper) close() {
	ks.mu.Lock()
	ks.closed = true
	var all []*kept
	for _, k := range ks.all {
		all = append(all, k)
	}
	ks.mu.Unlock()
	for _, k := range all {
		k.giveUp("the page's port was closed")
	}
}

// Kept tells what is kept: of each page that is away, and of those that do not
// take what comes for them.
func (p *Proxy) Kept() []Kept {
	ks := &p.keeper
	ks.mu.Lock()
	defer ks.mu.Unlock()
	out := []Kept{}
	for _, k := range ks.all {
		if s := k.stat(); s.Messages > 0 || !s.Away.IsZero() || s.Dropped.Messages > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Kept) int { return strings.Compare(a.Kernel, b.Kernel) })
	return out
}
