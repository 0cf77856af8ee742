package webproxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// jupyterish answers in JSON what it is asked.
func jupyterish(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/contents/file"):
		io.WriteString(w, `{"type": "file", "content": "x"}`)
	case strings.HasPrefix(r.URL.Path, "/api/contents"):
		io.WriteString(w, `{"type": "directory", "content": []}`)
	case r.URL.Path == "/big":
		io.WriteString(w, `"`+strings.Repeat("x", pollSize)+`"`)
	default:
		io.WriteString(w, `{"asked": "`+r.URL.Path+`"}`)
	}
}

// While a browser's connections are all taken by what waits, it does not even
// ask for a page again. So what it asks again and again does not wait.
func TestPollsLeaveConnections(t *testing.T) {
	s := newStage(t, http.HandlerFunc(jupyterish))
	polled := []string{"/api/kernels", "/api/sessions", "/api/terminals", "/api/contents/", "/api/contents/a/dir?content=1"}
	get := func(path string, headers ...string) answer {
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		return ask(t.Context(), t, "GET", s.base+path+mark+time.Now().Format("20060102150405000000"), "", headers...)
	}
	const kernel = "/api/kernels/0123-4567"
	for _, path := range append(polled, "/api/contents/file?content=1", "/big", kernel) {
		get(path).want(t, 200, "")
	}
	eventually(t, "none is under way", func() bool { return s.served.Load() == 0 })
	s.line.cut()
	hold := func(path string, headers ...string) <-chan answer {
		before := s.begun.Load()
		c := asked(t, func() answer { return get(path, headers...) })
		eventually(t, path+" is asked", func() bool { return s.begun.Load() > before })
		return c
	}
	// As long as there is room, all wait.
	three := []<-chan answer{hold(polled[0]), hold(polled[1]), hold("/once")}
	stillHeld(t, three...)
	// The fourth has each poll answered; what is no poll waits on.
	never := []<-chan answer{three[2], hold("/api/contents/file?content=1"), hold("/big"), hold(kernel), hold(polled[2], "Cookie: another=one"), hold("/never/asked")}
	for i, c := range []<-chan answer{three[0], three[1]} {
		a := <-c
		a.want(t, 200, `{"asked": "`+polled[i]+`"}`)
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.Header)
		}
	}
	for _, path := range polled {
		a := get(path)
		a.want(t, 200, "")
	}
	stillHeld(t, never...)
	s.line.mend()
	for _, c := range never {
		a := <-c
		a.want(t, 200, "")
	}
	eventually(t, "none waits", func() bool { return s.crowd.count() == 0 })
}

// What destroys may have waited in the browser, for a connection: then it comes
// right after the mend, and it is not known when it was asked for.
func TestDestructiveAfterACrowd(t *testing.T) {
	s := newStage(t, echo)
	restart := func() answer { return ask(t.Context(), t, "POST", s.base+"/api/kernels/x/restart", "{}") }
	s.line.cut()
	var saves []<-chan answer
	for range almostAll {
		saves = append(saves, asked(t, func() answer { return ask(t.Context(), t, "PUT", s.base+"/x", "save") }))
	}
	eventually(t, "all wait", func() bool { return s.crowd.old() })
	s.line.mend()
	for _, c := range saves {
		a := <-c
		a.want(t, 200, "save")
	}
	restart().want(t, 503, "not sent")
	eventually(t, "that is long ago", func() bool { return !s.crowd.old() })
	restart().want(t, 200, "restart")
}

func TestPollsAreBounded(t *testing.T) {
	var p polls
	for i := range 3 * pollsAtMost {
		p.put(pollKey{byte(i), byte(i >> 8)}, "application/json", nil)
	}
	if len(p.all) != pollsAtMost {
		t.Errorf("%d are kept", len(p.all))
	}
}

// What a page asks before it saves is asked of the host.
func TestPolls_NoFileIsAnswered(t *testing.T) {
	for _, c := range []struct {
		path, body string
		file       bool
	}{
		{"/api/kernels", `[]`, false},
		{"/api/contents/proj", `{"type": "directory", "content": []}`, false},
		{"/api/contents/a.ipynb", `{"type": "notebook", "content": null, "last_modified": "x"}`, true},
		{"/api/contents/a.ipynb", `{"type": "notebook", "content": {"metadata": {"type": "directory"}}}`, true},
		{"/api/contents/a.ipynb", `not JSON`, true},
	} {
		if got := isFile(c.path, []byte(c.body)); got != c.file {
			t.Errorf("%s %s: %v", c.path, c.body, got)
		}
	}
}
