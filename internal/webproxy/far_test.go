package webproxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A server that knows itself by another name is told that one, and its answers
// name this port.
func TestFar_NamesAndCookies(t *testing.T) {
	far := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://box:8443/user/me/lab?next=https://box:8443/")
		w.Header().Add("Set-Cookie", "username-box-8443=\"2|1:0\"; Domain=box; HttpOnly; Path=/user/me/; Secure; SameSite=None")
		w.Header().Add("Set-Cookie", "_xsrf=a; Path=/")
		w.WriteHeader(302)
		fmt.Fprintf(w, "%s|%s|%s|%s", r.Host, r.Header.Get("Origin"), r.Header.Get("Referer"), r.Header.Get("Cookie"))
	})
	s := newStage(t, far, func(s *stage) { s.Proxy.Origin = "https://box:8443" })
	port := s.base[strings.LastIndexByte(s.base, ':')+1:]
	mine := "username-127-0-0-1-" + port
	a := ask(t.Context(), t, "POST", s.base+"/user/me/api", "", "Origin: "+s.base, "Referer: "+s.base+"/user/me/lab",
		"Cookie: _xsrf=near; "+mine+"=in; username-127-0-0-1-1=other; _xsrf=root; theme=dark")
	a.want(t, 302, "box:8443|https://box:8443|https://box:8443/user/me/lab|_xsrf=near; username-box-8443=in; theme=dark")
	if got := a.Header.Get("Location"); got != s.base+"/user/me/lab?next=https://box:8443/" {
		t.Errorf("Location %s", got)
	}
	cookies := a.Header.Values("Set-Cookie")
	if len(cookies) != 2 || cookies[0] != mine+"=\"2|1:0\"; HttpOnly; Path=/user/me/" || cookies[1] != "_xsrf=a; Path=/" {
		t.Errorf("cookies %q", cookies)
	}
	// Names that only begin alike are somebody else's.
	a = ask(t.Context(), t, "GET", s.base+"/x", "", "Referer: "+s.base+"0/lab")
	a.want(t, 302, "box:8443||"+s.base+"0/lab|")
}

// Who may speak to this port is looked at before anything is translated.
func TestC1_FarNamesAreRefused(t *testing.T) {
	s := newStage(t, echo, func(s *stage) { s.Proxy.Origin = "http://box:8888" })
	ask(t.Context(), t, "GET", s.base+"/lab", "", "Host: box:8888").want(t, 403, "")
	ask(t.Context(), t, "GET", s.base+"/lab", "", "Origin: http://box:8888").want(t, 403, "")
	ask(t.Context(), t, "GET", s.base+"/lab", "", "Origin: "+s.base).want(t, 200, "host=box:8888\n")
}
