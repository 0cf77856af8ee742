package webproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

const behindAtMost = 64

var errBehind = errors.New("it is done when the line is back")

// isLayout tells what JupyterLab writes again and again, without being asked:
// how the tabs of a workspace stand. Only the last counts. A file in a directory
// of such a name is none.
func isLayout(r *http.Request) bool {
	base, _, ok := strings.Cut(r.URL.Path, "/lab/api/workspaces/")
	return ok && !strings.Contains(base+"/", "/api/") &&
		r.Method == http.MethodPut && r.ContentLength >= 0 && r.ContentLength <= pollSize
}

// behind is layouts whose pages have their answer already: they are written
// when the line is back. A newer one replaces what waits.
type behind struct {
	mu  sync.Mutex
	all map[string]*written
}

type written struct {
	cancel func()
	done   chan struct{}
}

func layoutKey(r *http.Request) string { return r.Host + r.URL.EscapedPath() }

// forget ends what waits to be written where a newer one has come.
func (b *behind) forget(key string) {
	b.mu.Lock()
	old := b.all[key]
	b.mu.Unlock()
	if old != nil {
		old.cancel()
		<-old.done
	}
}

// later writes what out, a request as it goes to the far server, wants written.
// False: there is no room.
func (p *Proxy) later(out *http.Request, body []byte) bool {
	key, b := layoutKey(out), &p.behind
	b.forget(key)
	ctx, cancel := context.WithCancel(p.ctx)
	one := &written{cancel: cancel, done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) >= behindAtMost {
		cancel()
		return false
	}
	if b.all == nil {
		b.all = map[string]*written{}
	}
	b.all[key] = one
	h := &hold{proxy: p, ctx: ctx, safe: true, free: true, whole: body}
	req := out.Clone(context.WithValue(ctx, holdKey{}, h))
	go func() {
		defer close(one.done)
		defer cancel()
		if resp, err := (roundTripper{p}).RoundTrip(req); err == nil {
			io.Copy(io.Discard, io.LimitReader(resp.Body, pollSize))
			resp.Body.Close()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.all[key] == one {
			delete(b.all, key)
		}
	}()
	return true
}

// readWhole takes the body of a request from the browser.
func readWhole(r *http.Request) ([]byte, error) {
	all := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, all)
	return all, err
}

func again(body []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }
