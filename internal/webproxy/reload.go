package webproxy

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const maxPaths = 64

// alive is what is known of the pages that are in a browser: where they are,
// as their own requests tell, and that some have sockets.
type alive struct {
	mu      sync.Mutex
	paths   map[string]time.Time // when one was last heard from there
	sockets int                  // websockets, those that wait to be opened too
}

// hear notes where a page is that asks for something. Websockets do not tell.
func (a *alive) hear(r *http.Request) {
	path := refererPath(r)
	if path == "" || isNavigation(r) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.paths == nil {
		a.paths = map[string]time.Time{}
	}
	a.paths[path] = time.Now()
	if len(a.paths) > maxPaths {
		oldest := path
		for p, at := range a.paths {
			if at.Before(a.paths[oldest]) {
				oldest = p
			}
		}
		delete(a.paths, oldest)
	}
}

func (a *alive) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sockets += n
}

// replaced tells whether a navigation would replace a page that lives: it is
// that page's reload. Without an answer to show, the browser keeps the page and
// its sockets. Another tab that is opened at the same address is no reload: it
// would stay empty.
func (a *alive) replaced(r *http.Request) bool {
	if !isReload(r) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, known := a.paths[r.URL.Path]
	return known && a.sockets > 0
}

// isReload: of the browser's (it wants no old answer), or of the page's script,
// which also may go to where it is.
func isReload(r *http.Request) bool {
	cache := strings.ToLower(r.Header.Get("Cache-Control"))
	return cache == "max-age=0" || cache == "no-cache" || refererPath(r) == r.URL.Path
}

// refererPath is where the page is that asks, "" if it is none of this port.
func refererPath(r *http.Request) string {
	from, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || from.Scheme != "http" || from.Host != r.Host {
		return ""
	}
	return from.Path
}
