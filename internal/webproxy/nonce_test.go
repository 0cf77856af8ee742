package webproxy

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestB4_NonceOnce(t *testing.T) {
	s := newStage(t, echo)
	nonce := s.NewNonce("/lab/tree/a b.ipynb?reset")
	if !regexp.MustCompile(`^\.nbremote/[0-9a-f]{32}$`).MatchString(nonce) {
		t.Errorf("nonce %q", nonce)
	}
	a := ask(t.Context(), t, "GET", s.base+"/"+nonce, "")
	a.want(t, http.StatusFound, "")
	if got, want := a.Header.Get("Location"), s.base+"/lab/tree/a%20b.ipynb?reset"; got != want {
		t.Errorf("to %s, want %s", got, want)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		"X-Content-Type-Options": "nosniff", "X-Far": ""} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(a.body, "s3cret") {
		t.Error("the token is in the body")
	}
	again := ask(t.Context(), t, "GET", s.base+"/"+nonce, "")
	again.want(t, http.StatusGone, "nbremote open")
	if again.Header.Get("Location") != "" {
		t.Error("a second redirect")
	}
}

// Of many who come at once, one is let in.
func TestB4_NonceRace(t *testing.T) {
	s := newStage(t, echo)
	nonce := s.NewNonce("/lab")
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for range 20 {
		wg.Go(func() {
			a := ask(t.Context(), t, "GET", s.base+"/"+nonce, "")
			mu.Lock()
			defer mu.Unlock()
			count[a.StatusCode]++
		})
	}
	wg.Wait()
	if count[302] != 1 || count[410] != 19 {
		t.Errorf("answers %v", count)
	}
}

func TestB4_NonceIsNotForLookingAhead(t *testing.T) {
	s := newStage(t, echo)
	nonce := s.base + "/" + s.NewNonce("/lab")
	for _, h := range []string{"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Purpose: prefetch", "X-Moz: prefetch"} {
		ask(t.Context(), t, "GET", nonce, "", h).want(t, 403, "")
	}
	ask(t.Context(), t, "HEAD", nonce, "").want(t, 405, "")
	ask(t.Context(), t, "GET", nonce, "", "Sec-Fetch-Dest: document").want(t, 302, "")
}

func TestB4_NonceExpires(t *testing.T) {
	now := time.Now()
	p := &Proxy{}
	p.nonces.now = func() time.Time { return now }
	good, late := p.NewNonce("/a"), p.NewNonce("/b")
	now = now.Add(nonceLife)
	if path, ok := p.nonces.take(strings.TrimPrefix(good, ".nbremote/")); !ok || path != "/a" {
		t.Error("not good for a minute")
	}
	now = now.Add(time.Second)
	if _, ok := p.nonces.take(strings.TrimPrefix(late, ".nbremote/")); ok {
		t.Error("good for more than a minute")
	}
	p.NewNonce("/c")
	now = now.Add(nonceLife + time.Second)
	p.NewNonce("/d")
	if len(p.nonces.all) != 1 {
		t.Errorf("%d nonces are kept", len(p.nonces.all))
	}
}

// Whatever the path is, it leads to our own port only.
func TestB4_RedirectStaysHere(t *testing.T) {
	s := newStage(t, echo)
	for path, want := range map[string]string{
		"":                       "/",
		"lab":                    "/lab",
		"//evil.com/x":           "//evil.com/x",
		"@evil.com":              "/@evil.com",
		".evil.com":              "/.evil.com",
		":80@evil.com":           "/:80@evil.com",
		"/\\evil.com":            "/%5Cevil.com",
		"/\t/evil.com":           "/%09/evil.com",
		"/x\r\nSet-Cookie: a=b":  "/x%0D%0ASet-Cookie:%20a=b",
		"/tree/%C3%A4?a=b#frag":  "/tree/%C3%A4?a=b#frag",
		"/tree/ä.ipynb":          "/tree/%C3%A4.ipynb",
		"http://evil.com/":       "/http://evil.com/",
		"/lab/tree/it's \"x\" <": "/lab/tree/it's%20%22x%22%20%3C",
	} {
		a := ask(t.Context(), t, "GET", s.base+"/"+s.NewNonce(path), "")
		if got := a.Header.Get("Location"); got != s.base+want {
			t.Errorf("%q: to %q, want %q", path, got, want)
		}
	}
}
