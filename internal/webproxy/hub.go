package webproxy

import (
	"crypto/subtle"
	"net/http"
	"regexp"
	"strings"
)

// JupyterHub's servers take a token with each request and give no login for it,
// nor do they look at one in an address. So it is this port that keeps the
// browser signed in, and puts the token to what the server's own pages ask for.

// userPath is where the server of one user is. What is beside it may be another
// user's.
var userPath = regexp.MustCompile(`^(/[^/]+)*?/user/[^/]+/`)

// stayIn makes of a ticket a login, where a hub's server has answered.
func (p *Proxy) stayIn(ticket *http.Cookie, resp *http.Response) {
	if path := userPath.FindString(resp.Request.URL.Path); path != "" && p.Origin != "" && resp.Header.Get("X-JupyterHub-Version") != "" {
		p.tickets.stay(ticket, path, resp.Header)
	}
}

// letIn puts the token to a request that has our login and none of its own. With
// it, the far server checks no more whose page asks: so that is looked at here.
func (p *Proxy) letIn(r *http.Request) *http.Request {
	if p.Origin == "" || r.Header.Get("Authorization") != "" {
		return r
	}
	login := p.tickets.login(r)
	if login == nil || !strings.HasPrefix(r.URL.Path, login.Path) || !ofPageBelow(login.Path, r) {
		return r
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	out.Header.Set("Authorization", "token "+p.token())
	return out
}

// ofPageBelow: a page there asks, or the person by the address bar. Another port
// of 127.0.0.1 is the same site: its pages send our cookies too. An Origin was
// looked at before, and is all that a websocket tells.
func ofPageBelow(path string, r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "none":
		return isNavigation(r)
	case "same-origin", "":
		return strings.HasPrefix(refererPath(r), path) || isWebsocket(r) && r.Header.Get("Origin") != ""
	}
	return false
}

// ticketOf is the ticket of a request for a page, nil if it has none. An address
// with the token brings one where the far server may not look at it.
func (p *Proxy) ticketOf(r *http.Request) *http.Cookie {
	if c := p.tickets.of(r); c != nil || p.Origin == "" {
		return c
	}
	given, token := r.URL.Query().Get("token"), p.token()
	if token == "" || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
		return nil
	}
	return p.tickets.add()
}
