package webproxy

import (
	"net/http"
	"strings"
)

// ownCookies leaves a request those cookies that are for this page. Browsers
// send those of every port of 127.0.0.1 to each of them (RFC 6265, 8.5), and a
// Jupyter that gets the login of another could use it. Jupyter names its login
// after host and port, and those of JupyterHub have such a name here; what has
// none, it needs or never looks at.
func ownCookies(h http.Header, host string) {
	all := h.Values("Cookie")
	if len(all) == 0 {
		return
	}
	own := loginOf(host)
	var kept []string
	for _, line := range all {
		for cookie := range strings.SplitSeq(line, ";") {
			cookie = strings.TrimSpace(cookie)
			name, _, _ := strings.Cut(cookie, "=")
			if cookie == "" || isTicket(name) || isHubLogin(name) || isLogin(name) && name != own && !strings.HasPrefix(name, hubLogin(host)) {
				continue
			}
			kept = append(kept, cookie)
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

const loginPrefix = "username-"

// isLogin: of a Jupyter at any port here.
func isLogin(name string) bool {
	return strings.HasPrefix(name, loginPrefix+"127-0-0-1") || strings.HasPrefix(name, loginPrefix+"localhost")
}

// isHubLogin: of a JupyterHub, as it names it.
func isHubLogin(name string) bool {
	return strings.HasPrefix(strings.TrimPrefix(name, "__Host-"), "jupyterhub-")
}

// hubLogin is what JupyterHub's names have in front of them at this port.
func hubLogin(local string) string { return loginOf(local) + "-hub-" }

func dashed(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}
