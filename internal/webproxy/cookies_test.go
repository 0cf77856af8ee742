package webproxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A Jupyter gets its own login, and none of those of other ports.
func TestB3_OwnCookiesOnly(t *testing.T) {
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Join(r.Header.Values("Cookie"), "|"))
	}))
	port := s.base[strings.LastIndexByte(s.base, ':')+1:]
	mine := "username-127-0-0-1-" + port + "=mine"
	for sent, want := range map[string]string{
		"_xsrf=2|x; username-127-0-0-1-1=other; " + mine + `; username-127-0-0-1-88="a b"; theme=dark`: "_xsrf=2|x; " + mine + "; theme=dark",
		"username-127-0-0-1-1=other":                         "",
		"username-localhost-" + port + "=o; username-x=mine": "username-x=mine",
		"username-127-0-0-1-" + port + "9=other":             "",
		mine:                                                 mine,
		"":                                                   "",
	} {
		var headers []string
		if sent != "" {
			headers = []string{"Cookie: " + sent}
		}
		a := ask(t.Context(), t, "GET", s.base, "", headers...)
		if a.body != want {
			t.Errorf("sent %q: passed on %q, want %q", sent, a.body, want)
		}
	}
	for _, path := range []string{"/ws", "/api/kernels/k/channels?session_id=s"} { // a websocket's handshake too
		a := ask(t.Context(), t, "GET", s.base+path, "", append(websocketHeaders, "Cookie: username-127-0-0-1-1=other; "+mine)...)
		if a.body != mine {
			t.Errorf("%s: %q", path, a.body)
		}
	}
}

// So are those of what the keeper sends for a page: its first handshake, and
// the question when it returns.
func TestB3_KernelsToo(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	cookies := "username-127-0-0-1-1=other; theme=dark; " + ticketPrefix + "1=x"
	dial := func() *tab {
		p, _, err := visitWith(t, s, channels, cookies)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := dial()
	if got := (<-j.opened).header.Get("Cookie"); got != "theme=dark" {
		t.Errorf("the handshake has %q", got)
	}
	p.reset()
	away(t, s)
	dial().CloseNow()
	if got := (<-j.asked).Get("Cookie"); got != "theme=dark" {
		t.Errorf("the question has %q", got)
	}
}

// Our own pages: a foreign name or page gets nothing, nothing but GET is taken,
// nobody else may read or frame them.
func TestC4_OwnPages(t *testing.T) {
	s := newStage(t, echo, func(s *stage) { s.Host = "gpu1" })
	nonce := "/" + s.NewNonce("/lab")
	for _, h := range []string{"Host: evil.example", "Origin: http://evil.example", "Origin: null"} {
		a := ask(t.Context(), t, "GET", s.base+nonce, "", h)
		a.want(t, 403, "")
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "HEAD", "OPTIONS"} {
		a := ask(t.Context(), t, method, s.base+nonce, "")
		a.want(t, 405, "")
	}
	a := ask(t.Context(), t, "GET", s.base+nonce, "", "X-Long: "+strings.Repeat("x", 10<<20))
	if a.err == nil && a.StatusCode/100 != 4 {
		t.Errorf("with 10 MB of header: %+v", a)
	}
	a = ask(t.Context(), t, "GET", s.base+nonce, "") // none of them has spent it
	a.want(t, 302, "")
	checkGuarded(t, a)
	a = ask(t.Context(), t, "GET", s.base+nonce, "")
	a.want(t, 410, "")
	checkGuarded(t, a)
	s.line.cut()
	a = ask(t.Context(), t, "GET", s.base+"/lab", "", document)
	a.want(t, 503, "is down")
	checkGuarded(t, a)
	a = ask(t.Context(), t, "GET", s.base+"/lab", "", document, "Origin: http://evil.example")
	a.want(t, 403, "")
	checkGuarded(t, a)
}

func checkGuarded(t *testing.T, a answer) {
	t.Helper()
	h := a.Header
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%d: headers %v", a.StatusCode, h)
	}
}
