package webproxy

import (
	"net/http"
	"strings"
	"testing"
)

// enter redeems an address that is good once, and gives the cookie for the next.
func enter(t *testing.T, s *stage) (cookie string, c *http.Cookie) {
	t.Helper()
	a := ask(t.Context(), t, "GET", s.base+"/"+s.NewNonce("/lab"), "")
	a.want(t, http.StatusFound, "")
	cookies := a.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies %v", cookies)
	}
	return "Cookie: " + cookies[0].Name + "=" + cookies[0].Value, cookies[0]
}

const letIn = "Authorization: token s3cret"

// The browser is let in by a cookie that is good for one page: the token is in
// no address, which the browser would write down, and the cookie is no token.
func TestB5_TokenIsInNoAddress(t *testing.T) {
	s := newStage(t, echo)
	cookie, c := enter(t, s)
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || len(c.Value) != 32 || strings.Contains(cookie, "s3cret") {
		t.Errorf("cookie %v", c)
	}
	for name, headers := range map[string][]string{
		"a script's request":  {cookie, "Sec-Fetch-Dest: empty"},
		"a frame":             {cookie, "Sec-Fetch-Dest: iframe"},
		"another value":       {cookie[:len(cookie)-1] + "x", document},
		"another name":        {strings.Replace(cookie, c.Name, ticketPrefix+"0", 1), document},
		"no cookie":           {document},
		"a foreign page":      {cookie, document, "Origin: http://evil.example"},
		"a name that is none": {cookie, document, "Host: evil.example"},
	} {
		if a := ask(t.Context(), t, "GET", s.base+"/lab", "", headers...); strings.Contains(a.body, "s3cret") {
			t.Errorf("%s: was let in", name)
		}
	}
	if a := ask(t.Context(), t, "POST", s.base+"/lab", "x", cookie, document); strings.Contains(a.body, "s3cret") {
		t.Error("a POST was let in")
	}
	s.line.cut()
	ask(t.Context(), t, "GET", s.base+"/lab", "", cookie, document).want(t, 503, "is down") // and is good after it
	s.line.mend()
	a := ask(t.Context(), t, "GET", s.base+"/lab", "", cookie+"; theme=dark", document)
	a.want(t, 200, letIn)
	a.want(t, 200, "Cookie: theme=dark")
	if strings.Contains(a.body, ticketPrefix) {
		t.Errorf("Jupyter got the cookie:\n%s", a.body)
	}
	if kept := a.Header.Get("Cache-Control"); kept != "" {
		t.Errorf("what is no page is not to be stored: %q", kept)
	}
	if gone := a.Cookies(); len(gone) != 1 || gone[0].Name != c.Name || gone[0].MaxAge >= 0 {
		t.Errorf("the browser keeps it: %v", gone)
	}
	if a := ask(t.Context(), t, "GET", s.base+"/lab", "", cookie, document); strings.Contains(a.body, "s3cret") || strings.Contains(a.body, ticketPrefix) {
		t.Errorf("it is good twice, or is passed on:\n%s", a.body)
	}
}

// Jupyter writes the token into its pages: the browser is to store none of them.
func TestB5_PagesAreNotStored(t *testing.T) {
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.Header().Set("Cache-Control", "max-age=600")
	}))
	for header, want := range map[string]string{document: "no-store", "Sec-Fetch-Dest: script": "max-age=600"} {
		if got := ask(t.Context(), t, "GET", s.base+"/lab", "", header).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
}

// Tabs that are opened together are each let in; what nobody uses is not kept
// without end.
func TestB5_EachTabIsLetIn(t *testing.T) {
	s := newStage(t, echo)
	first, _ := enter(t, s)
	second, _ := enter(t, s)
	both := first + "; " + strings.TrimPrefix(second, "Cookie: ")
	for range 2 {
		ask(t.Context(), t, "GET", s.base+"/lab", "", both, document).want(t, 200, letIn)
	}
	for range ticketsKept + 1 {
		enter(t, s)
	}
	if n := len(s.tickets.all); n != ticketsKept {
		t.Errorf("%d are kept", n)
	}
	s.Token = nil
	if a := ask(t.Context(), t, "GET", s.base+"/"+s.NewNonce("/lab"), ""); len(a.Cookies()) != 0 {
		t.Errorf("where no token is needed: %v", a.Cookies())
	}
}
