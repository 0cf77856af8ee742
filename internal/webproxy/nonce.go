package webproxy

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	noncePrefix = "/.nbremote/"
	nonceLife   = time.Minute
)

// nonces are the addresses that are good once.
type nonces struct {
	mu  sync.Mutex
	all map[string]nonce
	now func() time.Time // nil = time.Now
}

type nonce struct {
	path    string
	expires time.Time
}

// NewNonce gives an address below the port that leads to path, once, within
// 60 seconds, and lets the browser in. It is what may be seen in a command line.
func (p *Proxy) NewNonce(path string) string {
	b := make([]byte, 16)
	rand.Read(b)
	name := hex.EncodeToString(b)
	p.nonces.add(name, path)
	return strings.TrimPrefix(noncePrefix, "/") + name
}

func (n *nonces) add(name, path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = map[string]nonce{}
	}
	now := n.time()
	for old, o := range n.all {
		if now.After(o.expires) {
			delete(n.all, old)
		}
	}
	n.all[name] = nonce{path: path, expires: now.Add(nonceLife)}
}

// take returns the path of a nonce, which is spent then.
func (n *nonces) take(name string) (path string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok := n.all[name]
	delete(n.all, name)
	return found.path, ok && !n.time().After(found.expires)
}

func (n *nonces) time() time.Time {
	if n.now != nil {
		return n.now()
	}
	return time.Now()
}

// redeem sends the browser on with a ticket. Nothing below our prefix ever
// reaches the far server.
func (p *Proxy) redeem(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		plain(w, http.StatusMethodNotAllowed, "Only GET.")
		return
	}
	if prefetched(r.Header) {
		plain(w, http.StatusForbidden, "This address is good once, not for looking ahead.")
		return
	}
	path, ok := p.nonces.take(strings.TrimPrefix(r.URL.Path, noncePrefix))
	if !ok {
		p.spent(w)
		return
	}
	protect(w.Header())
	if p.token() != "" {
		http.SetCookie(w, p.tickets.add())
	}
	// The whole address: a path of two slashes must not name another host.
	w.Header().Set("Location", "http://"+r.Host+escapeControls("/"+strings.TrimPrefix(path, "/")))
	w.WriteHeader(http.StatusFound)
}

func prefetched(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		value := strings.ToLower(h.Get(name))
		if strings.Contains(value, "prefetch") || strings.Contains(value, "preview") {
			return true
		}
	}
	return false
}

// escapeControls makes a path fit for a header: what was escaped stays so.
func escapeControls(path string) string {
	var out strings.Builder
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' {
			out.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
