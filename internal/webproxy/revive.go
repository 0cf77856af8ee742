package webproxy

import (
	"net/http"
	"regexp"
	"time"
)

var restartPath = regexp.MustCompile(`/api/kernels/([^/]+)/restart/?$`)

// settled is how long a page may take to see that its Restart was refused.
const settled = time.Second

// revive is for a Restart that was refused. JupyterLab then keeps what it has
// for the kernel to itself, until its websocket is another: so that is ended,
// once another can be opened at once. A page that tries in vain gives up.
func (ks *keeper) revive(r *http.Request) {
	m := restartPath.FindStringSubmatch(r.URL.EscapedPath())
	if m == nil {
		return
	}
	p := ks.proxy
	go func() {
		h := &hold{proxy: p}
		if h.pause(p.ctx, settled) == nil {
			ks.renew(m[1])
		}
	}()
}

// renew ends the sockets of a kernel's pages, without a close frame.
func (ks *keeper) renew(kernel string) {
	ks.mu.Lock()
	var pages []*pageSocket
	for _, k := range ks.all {
		if k.kernel != kernel {
			continue
		}
		k.mu.Lock()
		if k.page != nil {
			pages = append(pages, k.page)
		}
		k.mu.Unlock()
	}
	ks.mu.Unlock()
	for _, page := range pages {
		page.reset()
	}
}
