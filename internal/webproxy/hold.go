package webproxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
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
	destructive bool
	safe        bool // may be sent twice
	body        *body
	started     time.Time

	mu     sync.Mutex
	timer  *time.Timer
	sent   bool // a stream has taken it
	ended  bool
	cancel context.CancelCauseFunc // of this attempt
}

func (p *Proxy) hold(ctx context.Context, cancel func(), r *http.Request) *hold {
	h := &hold{
		proxy: p, ctx: ctx, started: time.Now(),
		navigation:  isNavigation(r),
		destructive: isDestructive(r),
		safe:        r.ContentLength == 0 && (r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS"),
	}
	if r.ContentLength != 0 {
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
	if h.sent || h.ended {
		return
	}
	waited := time.Since(h.started)
	if h.body != nil && (!up || waited >= spoolAfter) {
		h.body.spool()
	}
	if h.cancel != nil {
		switch {
		case h.navigation && !up:
			h.cancel(errDown)
		case h.destructive && waited >= h.proxy.patience():
			h.cancel(errLate)
		}
	}
	h.timer.Reset(lookEvery)
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
		if h.destructive && !t.proxy.up() {
			if err := h.pause(ctx, lookEvery); err != nil {
				return nil, err
			}
			continue
		}
		resp, err := t.proxy.transport.RoundTrip(h.request(ctx, req))
		if err == nil {
			return resp, nil
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
	h.mu.Unlock()
	if !h.proxy.up() {
		h.look()
	}
	return ctx
}

// request is the request for one more try.
func (h *hold) request(ctx context.Context, req *http.Request) *http.Request {
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { h.take(false) },
		GotConn: func(httptrace.GotConnInfo) { h.take(true) },
	}))
	if req.Body != nil && h.body != nil {
		req.Body = io.NopCloser(h.body)
	}
	return req
}

// take notes whether a stream has the request, or it waits for one (again).
func (h *hold) take(sent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = sent
	if !sent && !h.ended {
		h.timer.Reset(lookEvery)
	}
}

func (h *hold) wasSent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

// pause waits at least for d, and on for as long as the line is down.
func (h *hold) pause(ctx context.Context, d time.Duration) error {
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
