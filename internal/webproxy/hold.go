package webproxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Why a request was not answered.
var (
	errDown   = errors.New("the line is down")
	errLate   = errors.New("the line was down for too long")
	errGone   = errors.New("nobody answers on the host")
	errBroken = errors.New("the connection ended before there was an answer")
)

const (
	lookEvery  = 50 * time.Millisecond // how often a waiting request looks at the line
	spoolAfter = time.Second
)

// settle are the pauses before a far server that refuses, with the line up, is
// said to be gone: the line may have died, or the server be just restarting.
var settle = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond}

type holdKey struct{}

func holdOf(ctx context.Context) *hold {
	h, _ := ctx.Value(holdKey{}).(*hold)
	return h
}

// hold is a request on its way to the far server. Until a stream takes it, it
// may wait without limit, except what a person would not want to see shown or
// done hours later.
type hold struct {
	proxy       *Proxy
	ctx         context.Context // of the whole request
	navigation  bool            // a page is waited for: tell how it stands
	ticket      *http.Cookie    // that lets it in, nil = none
	destructive bool
	old         bool // destructive, and nobody knows since when it was wanted
	safe        bool // may be sent twice
	isPoll      bool // it may be one
	asked       *http.Request
	layout      bool
	question    bool // of a page of ours, whether there is something else to see
	fetched     bool // by a script, so that it can be told to come again
	turns       int  // how often it was
	free        bool // it takes none of the browser's connections
	body        *body
	whole       []byte // the body, if it was taken at once
	started     time.Time

	mu       sync.Mutex
	timer    *time.Timer
	sent     bool // a stream has taken it
	answered bool // there is an answer, which may still be coming
	counted  bool // among those that wait
	ended    bool
	attempts context.Context         // of what is tried now
	cancel   context.CancelCauseFunc // of that
}

// hold takes in a request; nil: the browser has given it up.
func (p *Proxy) hold(ctx context.Context, cancel func(), r *http.Request) *hold {
	h := &hold{
		proxy: p, ctx: ctx, started: time.Now(), turns: turns(r), layout: isLayout(r), free: isWebsocket(r),
		navigation:  isNavigation(r),
		destructive: isDestructive(r),
		safe:        r.ContentLength == 0 && (r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS"),
	}
	if h.navigation {
		h.ticket = p.ticketOf(r)
	}
	h.old = h.destructive && p.up() && p.crowd.old()
	h.question = r.Method == http.MethodHead && r.Header.Get("Sec-Fetch-Dest") == "empty"
	h.fetched = canTurn(r, h.turns)
	h.isPoll, h.asked = mayBePoll(r), r
	switch {
	case h.layout:
		var err error
		if h.whole, err = readWhole(r); err != nil {
			return nil
		}
		h.safe = true
		p.behind.forget(layoutKey(r))
	case r.ContentLength != 0:
		h.body = newBody(r.Body, cancel)
		r.Body = h.body
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(lookEvery, h.look)
	return h
}

func (h *hold) end(w http.ResponseWriter) {
	h.mu.Lock()
	h.ended = true
	h.timer.Stop()
	h.uncount()
	if h.cancel != nil {
		h.cancel(nil)
	}
	h.mu.Unlock()
	if h.body != nil {
		h.body.end(w)
	}
}

// look is what happens to a request that waits.
func (h *hold) look() {
	up := h.proxy.up()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answered || h.ended {
		return
	}
	waited := time.Since(h.started)
	if h.body != nil && !h.sent && (!up || waited >= spoolAfter) {
		h.body.spool()
	}
	if !up && !h.free && !h.navigation {
		h.count()
	}
	if why := h.why(up, waited); why != nil && h.cancel != nil {
		h.uncount()
		h.cancel(why)
	}
	if h.timer != nil {
		h.timer.Reset(lookEvery)
	}
}

// why is why a request waits no longer, nil: it waits on. h.mu is held.
func (h *hold) why(up bool, waited time.Duration) error {
	crowd := &h.proxy.crowd
	switch {
	case h.navigation && !up: // sent or not: it would replace the page at the mend
		return errDown
	case h.destructive && !h.sent && waited >= h.proxy.patience():
		return errLate
	case up || !h.counted || crowd.count() <= heldAtMost:
		return nil
	case h.isPoll && h.proxy.polls.has(keyOf(h.asked)):
		return errStale
	case h.layout:
		return errBehind
	case h.question:
		return errDown
	case crowd.turn(h):
		return errTurn
	}
	return nil
}

// count puts a request among those that wait. h.mu is held.
func (h *hold) count() {
	if !h.counted {
		h.counted = true
		h.proxy.crowd.add(h)
	}
	h.proxy.crowd.look(h, h.fetched && (h.safe || !h.sent))
}

func (h *hold) uncount() {
	if h.counted {
		h.counted = false
		h.proxy.crowd.remove(h)
	}
}

func (p *Proxy) patience() time.Duration {
	if p.Patience == 0 {
		return patience
	}
	return p.Patience
}

// roundTripper tries until there is an answer, or a reason to give up.
type roundTripper struct{ proxy *Proxy }

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	h := holdOf(req.Context())
	ctx := h.attempt(req.Context())
	for failures := 0; ; {
		if h.old {
			return nil, errLate
		}
		if h.destructive {
			if err := h.prove(ctx); err != nil {
				return nil, err
			}
		} else if err := h.pause(ctx, 0); err != nil {
			return nil, err
		}
		resp, err := t.proxy.transport.roundTrip(t.proxy.toFar(h.request(ctx, req), req.Host), h.take)
		if err == nil && h.answer() {
			t.proxy.fromFar(resp, req.Host)
			return resp, nil
		}
		if err == nil { // given up just now
			resp.Body.Close()
			return nil, context.Cause(ctx)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if h.wasSent() && !h.safe {
			return nil, errBroken
		}
		h.take(false)
		wait := lookEvery
		if !t.proxy.up() {
			failures = 0
		} else if failures == len(settle) {
			return nil, errGone
		} else {
			wait = settle[failures]
			failures++
		}
		if err := h.pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// attempt makes the context that look cancels.
func (h *hold) attempt(ctx context.Context) context.Context {
	h.mu.Lock()
	ctx, h.cancel = context.WithCancelCause(ctx)
	h.attempts = ctx
	h.mu.Unlock()
	if !h.proxy.up() {
		h.look()
	}
	return ctx
}

// request is the request for one more try.
func (h *hold) request(ctx context.Context, req *http.Request) *http.Request {
	req = req.WithContext(ctx)
	switch {
	case h.whole != nil:
		req.Body = again(h.whole)
	case req.Body != nil && h.body != nil:
		req.Body = io.NopCloser(h.body)
	}
	return req
}

// take notes whether a stream has the request, or it waits for one (again).
func (h *hold) take(sent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = sent
}

func (h *hold) wasSent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

// answer notes that there is an answer; false: it was given up just before.
func (h *hold) answer() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answered = true
	h.uncount()
	return h.attempts.Err() == nil
}

// prove waits until the line is known to live now. What is sent into a line
// that has died, and is not yet known to have, would be done at the mend.
func (h *hold) prove(ctx context.Context) error {
	for {
		if h.proxy.up() && (h.proxy.Prove == nil || h.proxy.Prove(ctx) == nil) {
			return nil
		}
		if err := h.pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// pause waits at least for d, and on for as long as the line is down. What is
// given to a stream then would be done at the mend, given up or not.
func (h *hold) pause(ctx context.Context, d time.Duration) error {
	if d == 0 && h.proxy.up() {
		return nil
	}
	tick := time.NewTimer(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if h.proxy.up() {
			return nil
		}
		tick.Reset(lookEvery)
	}
}

// isNavigation tells whether a person waits for a page in a tab of its own.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Upgrade") != "" {
		return false
	}
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" {
		return dest == "document"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html") && r.Header.Get("X-Requested-With") == ""
}

// isDestructive tells what must not happen long after it was asked for.
func isDestructive(r *http.Request) bool {
	switch r.Method {
	case http.MethodDelete:
		return true
	case http.MethodPost:
		path := strings.TrimRight(r.URL.Path, "/")
		for _, end := range []string{"/interrupt", "/restart", "/api/shutdown"} {
			if strings.HasSuffix(path, end) {
				return true
			}
		}
	}
	return false
}
