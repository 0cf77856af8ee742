package webproxy

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// alivePage is a page of JupyterLab as the proxy sees it: it has asked for
// something from where it is, and has a websocket open.
func alivePage(t *testing.T, s *stage, path string) {
	t.Helper()
	ask(t.Context(), t, "GET", s.base+"/api/x", "", "Referer: "+s.base+path).want(t, 200, "")
	asked(t, func() answer { return ask(t.Context(), t, "GET", s.base+"/never", "", websocketHeaders...) })
	eventually(t, "the websocket is on its way", func() bool {
		s.alive.mu.Lock()
		defer s.alive.mu.Unlock()
		return s.alive.sockets > 0
	})
}

// slow never answers what is asked of /never.
func slow(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/never" {
		<-r.Context().Done()
		return
	}
	echo(w, r)
}

const document = "Sec-Fetch-Dest: document"

// A reload in a cut leaves the page and its sockets alone; what else a tab is
// sent for gets the page that says how it stands.
func TestReloadLeavesALivingPage(t *testing.T) {
	bothWaysDown(t, func(t *testing.T, change func(*stage)) {
		s := newStage(t, http.HandlerFunc(slow), change)
		alivePage(t, s, "/lab/tree/a.ipynb")
		s.line.cut()
		here := s.base + "/lab/tree/a.ipynb"
		for _, headers := range [][]string{
			{document, "Cache-Control: max-age=0"},                     // the browser's reload
			{document, "Cache-Control: no-cache", "Pragma: no-cache"},  // with Shift
			{document, "Cache-Control: max-age=0", "Referer: " + here}, // location.reload()
			{document, "Referer: " + here},                             // location.href = location.href
			{"Accept: text/html", "Cache-Control: max-age=0"},          // without Sec-Fetch
		} {
			a := ask(t.Context(), t, "GET", here+"?x=y", "", headers...)
			a.want(t, 204, "")
			if a.body != "" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v: %q %v", headers, a.body, a.Header)
			}
		}
		for _, c := range []struct {
			path    string
			headers []string
		}{
			{"/lab/tree/a.ipynb", []string{document}},                             // typed, or a session restored
			{"/lab/tree/b.ipynb", []string{document, "Cache-Control: max-age=0"}}, // no living page is there
			{"/logout", []string{document, "Referer: " + here}},                   // a link
			{"/lab/tree/a.ipynb", []string{document, "Referer: http://evil.example/lab/tree/a.ipynb"}},
		} {
			ask(t.Context(), t, "GET", s.base+c.path, "", c.headers...).want(t, 503, "is down")
		}
		s.line.mend()
		ask(t.Context(), t, "GET", here, "", document, "Cache-Control: max-age=0").want(t, 200, "/lab/tree/a.ipynb")
	})
}

// A page whose sockets have ended is replaced: nothing is left to be kept.
func TestReloadOfADeadPage(t *testing.T) {
	s := newStage(t, echo)
	ask(t.Context(), t, "GET", s.base+"/api/x", "", "Referer: "+s.base+"/lab").want(t, 200, "")
	s.line.cut()
	ask(t.Context(), t, "GET", s.base+"/lab", "", document, "Cache-Control: max-age=0").want(t, 503, "is down")
}

// A reload that was sent before the line was known to be dead.
func TestReloadBeforeTheCutIsKnown(t *testing.T) {
	s := newStage(t, http.HandlerFunc(slow))
	alivePage(t, s, "/never")
	c := asked(t, func() answer {
		return ask(t.Context(), t, "GET", s.base+"/never", "", document, "Cache-Control: max-age=0")
	})
	other := asked(t, func() answer { return ask(t.Context(), t, "GET", s.base+"/never", "", document) })
	eventually(t, "both are sent", func() bool { return s.served.Load() == 3 })
	stillHeld(t, c, other)
	s.line.hush()
	a, b := <-c, <-other
	a.want(t, 204, "")
	b.want(t, 503, "is down")
}

// What begins to be shown is not broken off because the line is down.
func TestAnswerUnderWayIsNotBrokenOff(t *testing.T) {
	more := make(chan struct{})
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "second")
	}))
	req, _ := http.NewRequestWithContext(t.Context(), "GET", s.base, nil)
	req.Header.Set("Sec-Fetch-Dest", "document")
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.line.hush()
	time.Sleep(4 * lookEvery) // a fault here shows as an end, never as a false alarm
	close(more)
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "first second" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestPathsAreBounded(t *testing.T) {
	var a alive
	for i := range 3 * maxPaths {
		r, _ := http.NewRequest("GET", "http://127.0.0.1:1/api", nil)
		r.Header.Set("Referer", "http://127.0.0.1:1/lab/"+string(rune('a'+i)))
		a.hear(r)
	}
	if len(a.paths) != maxPaths {
		t.Errorf("%d paths", len(a.paths))
	}
}

// What destroys is sent only into a line that was proven since it was asked
// for: one that is dead and not yet known to be would do it at the mend.
func TestDestructiveNeedsAProof(t *testing.T) {
	var reached, proofs atomic.Int64
	s := newStage(t, counted(&reached), func(s *stage) {
		s.Patience = 200 * time.Millisecond
		s.Prove = func(ctx context.Context) error {
			if proofs.Add(1) == 1 {
				<-ctx.Done() // silent, and thought to be up
				return ctx.Err()
			}
			return nil
		}
	})
	restart := func() answer { return ask(t.Context(), t, "POST", s.base+"/api/kernels/x/restart", "{}") }
	restart().want(t, 503, "not sent")
	if reached.Load() != 0 {
		t.Error("it was sent into a silent line")
	}
	restart().want(t, 200, "restart")
	ask(t.Context(), t, "POST", s.base+"/api/kernels/x/other", "{}").want(t, 200, "")
	if proofs.Load() != 2 {
		t.Errorf("%d proofs", proofs.Load())
	}
}
