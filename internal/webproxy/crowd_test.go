package webproxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// recorder is a far server that notes the bodies it was sent, by path.
type recorder struct {
	mu  sync.Mutex
	got map[string][]string
}

func (c *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got == nil {
		c.got = map[string][]string{}
	}
	c.got[r.URL.Path] = append(c.got[r.URL.Path], r.Method+" "+r.URL.RawQuery+" "+string(b))
	io.WriteString(w, "done "+string(b))
}

func (c *recorder) at(path string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got[path], ";")
}

// A layout, which JupyterLab writes every few seconds, takes no connection while
// others wait: it is written after the mend, the last of each.
func TestLayoutsAreWrittenBehind(t *testing.T) {
	var far recorder
	s := newStage(t, &far)
	s.line.cut()
	put := func(path, body string) answer { return ask(t.Context(), t, "PUT", s.base+path, body) }
	const one, two = "/lab/api/workspaces/one", "/lab/api/workspaces/two"
	alone := asked(t, func() answer { return put(one, "first") })
	stillHeld(t, alone) // there is room
	var saves []<-chan answer
	for range heldAtMost {
		saves = append(saves, asked(t, func() answer { return put("/api/contents/a", "save") }))
	}
	a := <-alone
	a.want(t, 204, "")
	put(one, "second").want(t, 204, "")
	put(two, "other").want(t, 204, "")
	put(one, "last").want(t, 204, "")
	stillHeld(t, saves...)
	if far.at(one) != "" {
		t.Errorf("written in the cut: %q", far.at(one))
	}
	s.line.mend()
	for _, c := range saves {
		a := <-c
		a.want(t, 200, "save")
	}
	eventually(t, "both are written", func() bool { return far.at(one) != "" && far.at(two) != "" })
	if far.at(one) != "PUT  last" || far.at(two) != "PUT  other" {
		t.Errorf("written %q, %q", far.at(one), far.at(two))
	}
	eventually(t, "nothing is left to write", func() bool {
		s.behind.mu.Lock()
		defer s.behind.mu.Unlock()
		return len(s.behind.all) == 0
	})
	put(one, "now").want(t, 200, "now")
}

// What has come while an older layout waits is the one that counts, also when
// it waits itself.
func TestLayoutsAreNotOvertaken(t *testing.T) {
	var far recorder
	s := newStage(t, &far)
	s.line.cut()
	const path = "/lab/api/workspaces/one"
	put := func(path, body string) answer { return ask(t.Context(), t, "PUT", s.base+path, body) }
	var saves []<-chan answer
	for range heldAtMost {
		saves = append(saves, asked(t, func() answer { return put("/api/contents/a", "save") }))
	}
	eventually(t, "all wait", func() bool { return s.crowd.count() == heldAtMost })
	put(path, "old").want(t, 204, "")
	s.line.mend()
	put(path, "new").want(t, 200, "new")
	for _, c := range saves {
		<-c
	}
	eventually(t, "nothing is left to write", func() bool {
		s.behind.mu.Lock()
		defer s.behind.mu.Unlock()
		return len(s.behind.all) == 0
	})
	if got := far.at(path); !strings.HasSuffix(got, "PUT  new") {
		t.Errorf("written %q", got)
	}
}

// A file is saved when it is saved, wherever it lies.
func TestLayoutsAreNoFiles(t *testing.T) {
	for path, want := range map[string]bool{
		"/lab/api/workspaces/default":                   true,
		"/user/me/lab/api/workspaces/auto-a":            true,
		"/api/contents/lab/api/workspaces/a.ipynb":      false,
		"/user/me/api/contents/x/lab/api/workspaces/a":  false,
		"/api/contents/lab/api/workspaces/a/checkpoint": false,
	} {
		r, _ := http.NewRequest(http.MethodPut, "http://127.0.0.1"+path, strings.NewReader("{}"))
		if isLayout(r) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

var fetched = []string{"Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"}

// When all connections are taken by what must wait, one after the other is told
// to come again, so that what waits in the browser is seen; each is done once.
func TestTurns(t *testing.T) {
	var far recorder
	s := newStage(t, &far)
	browser := client(t)
	browser.CheckRedirect = nil
	put := func(path string) answer {
		req, _ := http.NewRequestWithContext(t.Context(), "PUT", s.base+path, strings.NewReader("save"))
		req.Header.Set("Sec-Fetch-Dest", "empty")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := browser.Do(req)
		if err != nil {
			return answer{err: err, Response: &http.Response{}}
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return answer{resp, string(b), err}
	}
	s.line.cut()
	var saves []<-chan answer
	paths := []string{"/a?x=1", "/b", "/c", "/d%2Fd", "/e", "/f"}
	for i, path := range paths {
		saves = append(saves, asked(t, func() answer { return put(path) }))
		eventually(t, path+" waits", func() bool { return s.crowd.count() == i+1 })
	}
	came := func() (n int) {
		s.crowd.mu.Lock()
		defer s.crowd.mu.Unlock()
		for h := range s.crowd.held {
			n += h.turns
		}
		return n
	}
	eventually(t, "two to have come again", func() bool { return came() >= 2 })
	stillHeld(t, saves...)
	s.line.mend()
	for _, c := range saves {
		a := <-c
		a.want(t, 200, "done save")
	}
	for path, want := range map[string]string{"/a": "PUT x=1 save", "/b": "PUT  save", "/d/d": "PUT  save", "/f": "PUT  save"} {
		if got := far.at(path); got != want {
			t.Errorf("%s was sent %q", path, got)
		}
	}
	eventually(t, "none waits", func() bool { return s.crowd.count() == 0 })
}

// What is no script's, what is new to redirects, and what has come again often
// enough is never told to.
func TestTurnsAreBounded(t *testing.T) {
	for _, c := range []struct {
		query, left string
		n           int
	}{{"", "", 0}, {"a=b", "a=b", 0}, {"nbremote-turn=3", "", 3}, {"a=b&nbremote-turn=17&c", "a=b&c", 17}, {"nbremote-turn=x", "", 0}, {"xnbremote-turn=4", "xnbremote-turn=4", 0}} {
		r, _ := http.NewRequest("GET", "http://127.0.0.1:1/x?"+c.query, nil)
		if n := turns(r); n != c.n || r.URL.RawQuery != c.left {
			t.Errorf("%q: %d %q", c.query, n, r.URL.RawQuery)
		}
	}
	script, _ := http.NewRequest("PUT", "http://127.0.0.1:1/x", nil)
	for _, h := range fetched {
		name, value, _ := strings.Cut(h, ": ")
		script.Header.Set(name, value)
	}
	if !canTurn(script, turnsAtMost-1) || canTurn(script, turnsAtMost) {
		t.Error("bounds")
	}
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Method = "HEAD" },
		func(r *http.Request) { r.Header.Del("Sec-Fetch-Dest") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "document") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		r := script.Clone(t.Context())
		change(r)
		if canTurn(r, 0) {
			t.Errorf("%s %v", r.Method, r.Header)
		}
	}
}

// The question of a page of ours does not take a connection that others need.
func TestQuestionsMakeWay(t *testing.T) {
	s := newStage(t, http.HandlerFunc(slow))
	alivePage(t, s, "/lab") // at the same address: not to be taken for its reload
	question := func() answer {
		return ask(t.Context(), t, "HEAD", s.base+"/lab", "", append(fetched, "Cache-Control: no-cache")...)
	}
	s.line.cut()
	alone := asked(t, question)
	stillHeld(t, alone)
	for range heldAtMost {
		asked(t, func() answer { return ask(t.Context(), t, "PUT", s.base+"/x", "save") })
	}
	a := <-alone
	a.want(t, 503, "")
	question().want(t, 503, "")
}
