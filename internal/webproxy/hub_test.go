package webproxy

import (
	"net/http"
	"strings"
	"testing"
)

// hub is a server behind a JupyterHub: it says what it was sent.
func hub(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-JupyterHub-Version", "6.1.1")
	echo.ServeHTTP(w, r)
}

// signedIn enters a hub's page, and gives the login that stays.
func signedIn(t *testing.T, s *stage) string {
	t.Helper()
	ticket, _ := enter(t, s)
	a := ask(t.Context(), t, "GET", s.base+"/user/me/lab", "", ticket, document)
	a.want(t, 200, letIn)
	var login *http.Cookie
	for _, c := range a.Cookies() {
		if c.MaxAge >= 0 {
			login = c
		}
	}
	if len(a.Cookies()) != 2 || login == nil || login.Path != "/user/me/" || !login.HttpOnly || login.SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookies %v", a.Cookies())
	}
	return "Cookie: " + login.Name + "=" + login.Value
}

// Behind a JupyterHub this port keeps the browser signed in: the pages of that
// user's server, and the address bar; nobody else's pages, be they of another
// port of this computer or of another user's server.
func TestC2_HubLogin(t *testing.T) {
	s := newStage(t, http.HandlerFunc(hub), func(s *stage) { s.Proxy.Origin = "http://box:8000" })
	login := signedIn(t, s)
	own, me := "Sec-Fetch-Site: same-origin", "Referer: "+s.base+"/user/me/lab"
	for name, c := range map[string]struct {
		in      bool
		method  string
		path    string
		headers []string
	}{
		"a reload":                   {true, "GET", "/user/me/lab", []string{"Sec-Fetch-Site: none", document}},
		"a link of its page":         {true, "GET", "/user/me/lab/tree/x", []string{own, me, document}},
		"its script":                 {true, "POST", "/user/me/api/kernels", []string{own, me, "Origin: " + s.base}},
		"an old browser's script":    {true, "GET", "/user/me/api/status", []string{me}},
		"another site's link":        {false, "GET", "/user/me/lab", []string{"Sec-Fetch-Site: cross-site", document}},
		"another port's link":        {false, "GET", "/user/me/lab", []string{"Sec-Fetch-Site: same-site", document}},
		"another port's script":      {false, "GET", "/user/me/files/x.js", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: script"}},
		"an old browser's elsewhere": {false, "GET", "/user/me/files/x.js", []string{"Referer: http://127.0.0.1:1/user/me/"}},
		"another user's page":        {false, "POST", "/user/me/api/kernels", []string{own, "Referer: " + s.base + "/user/mel/lab", "Origin: " + s.base}},
		"a page that hides":          {false, "GET", "/user/me/api/kernels", []string{own}},
		"for another user's server":  {false, "GET", "/user/mel/lab", []string{own, me, document}},
		"for the hub":                {false, "POST", "/hub/api/users", []string{own, me, "Origin: " + s.base}},
		"a token of its own":         {false, "GET", "/user/me/lab", []string{own, me, "Authorization: token other"}},
	} {
		a := ask(t.Context(), t, c.method, s.base+c.path, "", append(c.headers, login)...)
		if a.StatusCode != 200 || strings.Contains(a.body, letIn) != c.in || strings.Contains(a.body, ticketPrefix) {
			t.Errorf("%s: %d\n%s", name, a.StatusCode, a.body)
		}
	}
	forged := login[:len(login)-1] + "x"
	if a := ask(t.Context(), t, "GET", s.base+"/user/me/lab", "", own, me, forged); strings.Contains(a.body, letIn) {
		t.Error("another value was let in")
	}
	ask(t.Context(), t, "POST", s.base+"/user/me/api", "", own, me, login, "Origin: http://evil.example").want(t, 403, "")
}

// The websocket of a kernel comes in with it too, and again when the page
// returns; a foreign page's does not.
func TestC2_HubLoginOfKernels(t *testing.T) {
	j := newJupyter()
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isWebsocket(r) || strings.Contains(r.URL.Path, "/api/") {
			j.ServeHTTP(w, r)
			return
		}
		hub(w, r)
	}), func(s *stage) { s.Proxy.Origin = "http://box:8000" })
	cookie := strings.TrimPrefix(signedIn(t, s), "Cookie: ")
	dial := func() *tab {
		p, _, err := visitWith(t, s, "/user/me"+channels, cookie)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := dial()
	if got := (<-j.opened).header.Get("Authorization"); got != "token s3cret" {
		t.Errorf("the handshake has %q", got)
	}
	p.reset()
	away(t, s)
	dial().CloseNow()
	if got := (<-j.asked).Get("Authorization"); got != "token s3cret" {
		t.Errorf("the question has %q", got)
	}
}

// An address with the token is good where the far server does not look at it;
// what is no hub's gives a login of its own, and ours ends.
func TestHub_TokenInTheAddress(t *testing.T) {
	s := newStage(t, http.HandlerFunc(hub), func(s *stage) { s.Proxy.Origin = "http://box:8000" })
	a := ask(t.Context(), t, "GET", s.base+"/user/me/lab?token=s3cret", "", document)
	if a.want(t, 200, letIn); len(a.Cookies()) != 2 {
		t.Errorf("cookies %v", a.Cookies())
	}
	for _, query := range []string{"?token=s3cre", "?token=", ""} {
		if a := ask(t.Context(), t, "GET", s.base+"/user/me/lab"+query, "", document); strings.Contains(a.body, letIn) || len(a.Cookies()) > 0 {
			t.Errorf("%q: %v\n%s", query, a.Cookies(), a.body)
		}
	}
	for _, origin := range []string{"http://box:8888", ""} {
		s := newStage(t, echo, func(s *stage) { s.Proxy.Origin = origin })
		ticket, c := enter(t, s)
		a := ask(t.Context(), t, "GET", s.base+"/user/me/lab", "", ticket, document)
		if gone := a.Cookies(); len(gone) != 1 || gone[0].Name != c.Name || gone[0].MaxAge >= 0 {
			t.Errorf("%q: cookies %v", origin, gone)
		}
	}
}

// The logins of a hub are one port's here: no other port's server gets them, nor
// those of a hub that runs on this computer.
func TestB3_HubCookies(t *testing.T) {
	set := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "jupyterhub-user-me=a; Path=/user/me/; HttpOnly")
		w.Header().Add("Set-Cookie", "__Host-jupyterhub-session-id=b; Path=/; Secure")
		echo.ServeHTTP(w, r)
	})
	s := newStage(t, set, func(s *stage) { s.Proxy.Origin = "https://box:8443" })
	port := s.base[strings.LastIndexByte(s.base, ':')+1:]
	a := ask(t.Context(), t, "GET", s.base+"/user/me/lab", "", "Cookie: jupyterhub-user-me=local; theme=dark")
	a.want(t, 200, "Cookie: theme=dark\r\n")
	var sent []string
	for _, c := range a.Cookies() {
		if !strings.HasPrefix(c.Name, "username-127-0-0-1-"+port+"-hub-") || c.Secure {
			t.Errorf("cookie %v", c)
		}
		sent = append(sent, c.Name+"="+c.Value)
	}
	cookie := "Cookie: " + strings.Join(sent, "; ")
	ask(t.Context(), t, "GET", s.base+"/user/me/lab", "", cookie).want(t, 200, "Cookie: jupyterhub-user-me=a; __Host-jupyterhub-session-id=b\r\n")
	for _, origin := range []string{"http://box:8000", ""} {
		other := newStage(t, echo, func(s *stage) { s.Proxy.Origin = origin })
		if a := ask(t.Context(), t, "GET", other.base+"/user/me/lab", "", cookie); strings.Contains(a.body, "Cookie") {
			t.Errorf("another port's server got them:\n%s", a.body)
		}
	}
}
