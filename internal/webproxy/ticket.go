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
type tickets struct {
	mu  sync.Mutex
	all []*http.Cookie // the oldest first
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
	if len(ts.all) == ticketsKept {
		ts.all = slices.Delete(ts.all, 0, 1)
	}
	ts.all = append(ts.all, c)
	return c
}

// of is a ticket that the request has, nil if it has none that is good.
func (ts *tickets) of(r *http.Request) *http.Cookie {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, got := range r.Cookies() {
		for _, c := range ts.all {
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

func isTicket(cookie string) bool { return strings.HasPrefix(cookie, ticketPrefix) }

func (p *Proxy) token() string {
	if p.Token == nil {
		return ""
	}
	return p.Token()
}
