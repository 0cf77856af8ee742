package webproxy

import (
	"net/http"
	"net/url"
	"strings"
)

// A server that the page was not made for knows itself by another name than
// this port's, and may serve that name alone. What the page sends names the far
// server then, and what comes back names this port. That the page itself may
// speak to this port was looked at before.

// toFar gives a request as the far server is to see it; local is Host as the
// browser sent it.
func (p *Proxy) toFar(req *http.Request, local string) *http.Request {
	if p.Origin == "" {
		return req
	}
	out := req.WithContext(req.Context())
	out.Header = req.Header.Clone()
	out.Host = hostOf(p.Origin)
	for _, name := range []string{"Origin", "Referer"} {
		if rest, ok := below(out.Header.Get(name), "http://"+local); ok {
			out.Header.Set(name, p.Origin+rest)
		}
	}
	var cookies []string
	xsrf := false
	for _, line := range out.Header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(cookie), "=")
			// Browsers send the one of the longer path first, which is its own;
			// of two servers the last would count.
			if name == "_xsrf" && xsrf {
				continue
			}
			xsrf = xsrf || name == "_xsrf"
			if name == loginOf(local) {
				name = loginOf(out.Host)
			} else if theirs, ok := strings.CutPrefix(name, hubLogin(local)); ok {
				name = theirs
			}
			cookies = append(cookies, name+"="+value)
		}
	}
	if len(cookies) > 0 {
		out.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	return out
}

// fromFar makes an answer one of this port's.
func (p *Proxy) fromFar(resp *http.Response, local string) {
	if p.Origin == "" {
		return
	}
	host := hostOf(p.Origin)
	for _, scheme := range []string{"http://", "https://"} { // some that TLS stands before know only the first
		if rest, ok := below(resp.Header.Get("Location"), scheme+host); ok {
			resp.Header.Set("Location", "http://"+local+rest)
		}
	}
	for i, line := range resp.Header.Values("Set-Cookie") {
		resp.Header["Set-Cookie"][i] = localCookie(line, host, local)
	}
}

// below tells whether address is of that origin, and gives what follows it.
func below(address, origin string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(address, origin)
	return rest, ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0)
}

func hostOf(origin string) string {
	if u, err := url.Parse(origin); err == nil {
		return u.Host
	}
	return ""
}

// localCookie is a cookie of the far server as this port sets it: a login is
// named after this port, so that no other gets it, and what is bound to the far
// name or to TLS is not any more.
func localCookie(line, host, local string) string {
	parts := strings.Split(line, ";")
	if name, value, ok := strings.Cut(parts[0], "="); ok {
		switch name = strings.TrimSpace(name); {
		case name == loginOf(host):
			parts[0] = loginOf(local) + "=" + value
		case isHubLogin(name):
			parts[0] = hubLogin(local) + name + "=" + value
		}
	}
	kept := parts[:1]
	for _, part := range parts[1:] {
		switch attribute := strings.ToLower(strings.TrimSpace(part)); {
		case strings.HasPrefix(attribute, "domain="), attribute == "secure", attribute == "samesite=none":
		default:
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ";")
}

// loginOf is the name that Jupyter gives to the cookie of its login.
func loginOf(host string) string { return loginPrefix + strings.Map(dashed, host) }
