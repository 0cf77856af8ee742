package webproxy

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
)

const (
	ticketPrefix = "nbremote-in-"
	ticketsKept  = 64
)

// tickets let browsers in that came by an address that is good once, with the
// token in no address: browsers write down where they were. A ticket is a
// cookie; the first page that is asked for with it is asked for with the token,
// however long the line was down meanwhile, and Jupyter gives a login.
//
// A server behind JupyterHub gives none for a token. There a ticket stays good:
// it is the login, as long as the browser and this port live.
type tickets struct {
	mu     sync.Mutex
	all    []*http.Cookie // good for one page; the oldest first
	logins []*http.Cookie // that stay good; the oldest first
}

// add makes a ticket. Those that nobody uses make room.
func (ts *tickets) add() *http.Cookie {
	b := make([]byte, 24)
	rand.Read(b)
	c := &http.Cookie{
		Name: ticketPrefix + hex.EncodeToString(b[:8]), Value: hex.EncodeToString(b[8:]),
		Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = withOne(ts.all, c)
	return c
}

// withOne drops the oldest where there are too many.
func withOne(all []*http.Cookie, c *http.Cookie) []*http.Cookie {
	if len(all) == ticketsKept {
		all = slices.Delete(all, 0, 1)
	}
	return append(all, c)
}

// of is a ticket that the request has, nil if it has none that is good.
func (ts *tickets) of(r *http.Request) *http.Cookie {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return has(r, ts.all)
}

// login is of, of those that stay good.
func (ts *tickets) login(r *http.Request) *http.Cookie {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return has(r, ts.logins)
}

func has(r *http.Request, all []*http.Cookie) *http.Cookie {
	for _, got := range r.Cookies() {
		for _, c := range all {
			if got.Name == c.Name && subtle.ConstantTimeCompare([]byte(got.Value), []byte(c.Value)) == 1 {
				return c
			}
		}
	}
	return nil
}

// spend ends a ticket that has brought an answer, here and in the browser.
func (ts *tickets) spend(c *http.Cookie, h http.Header) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all = slices.DeleteFunc(ts.all, func(other *http.Cookie) bool { return other == c })
	h.Add("Set-Cookie", (&http.Cookie{Name: c.Name, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode}).String())
}

// stay makes of a ticket that is spent a login, below a path.
func (ts *tickets) stay(c *http.Cookie, path string, h http.Header) {
	login := *c
	login.Path = path
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.logins = withOne(ts.logins, &login)
	h.Add("Set-Cookie", login.String())
}

func isTicket(cookie string) bool { return strings.HasPrefix(cookie, ticketPrefix) }

func (p *Proxy) token() string {
	if p.Token == nil {
		return ""
	}
	return p.Token()
}
