package webproxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// asked is a request under way.
func asked(t *testing.T, f func() answer) <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- f() }()
	return c
}

func stillHeld(t *testing.T, answers ...<-chan answer) {
	t.Helper()
	time.Sleep(4 * lookEvery) // a fault here shows as an answer, never as a false alarm
	for i, c := range answers {
		if len(c) > 0 {
			t.Errorf("request %d was answered: %+v", i, <-c)
		}
	}
}

func bothWaysDown(t *testing.T, f func(t *testing.T, change func(*stage))) {
	t.Run("Dial waits", func(t *testing.T) { f(t, func(s *stage) { s.line.fail = false }) })
	t.Run("Dial fails", func(t *testing.T) { f(t, func(s *stage) { s.line.fail = true }) })
}

func TestHeldUntilTheMend(t *testing.T) {
	bothWaysDown(t, func(t *testing.T, change func(*stage)) {
		var reached atomic.Int64
		s := newStage(t, counted(&reached), change)
		s.line.cut()
		var held []<-chan answer
		for _, r := range [][3]string{{"GET", "/api/sessions", ""}, {"HEAD", "/x", ""}, {"PUT", "/api/contents/a", "saved"},
			{"POST", "/api/kernels", "{}"}, {"POST", "/api/x", ""}, {"PATCH", "/y", "z"}} {
			held = append(held, asked(t, func() answer { return ask(t.Context(), t, r[0], s.base+r[1], r[2]) }))
		}
		stillHeld(t, held...)
		s.line.mend()
		for i, c := range held {
			a := <-c
			a.want(t, 200, "")
			if i == 2 && !strings.HasSuffix(a.body, "saved") {
				t.Errorf("body %q", a.body)
			}
		}
		if reached.Load() != int64(len(held)) {
			t.Errorf("%d requests reached the far server, want %d", reached.Load(), len(held))
		}
	})
}

// What the browser has given up is dropped, and its bytes are never sent on.
func TestGivenUpIsDropped(t *testing.T) {
	bothWaysDown(t, func(t *testing.T, change func(*stage)) {
		var reached atomic.Int64
		s := newStage(t, counted(&reached), change)
		ask(t.Context(), t, "GET", s.base, "").want(t, 200, "")
		eventually(t, "that is over", func() bool { return s.served.Load() == 0 })
		s.line.cut()
		before := runtime.NumGoroutine()
		ctx, giveUp := context.WithCancel(t.Context())
		big := strings.Repeat("x", 3*spoolMemory)
		var held []<-chan answer
		for _, body := range []string{"", "save", big} {
			held = append(held, asked(t, func() answer { return ask(ctx, t, "PUT", s.base+"/api/contents/a", body) }))
		}
		held = append(held, asked(t, func() answer { return ask(ctx, t, "GET", s.base+"/ws", "", websocketHeaders...) }))
		eventually(t, "all are held", func() bool { return s.served.Load() == int64(len(held)) })
		stillHeld(t, held...)
		giveUp()
		for _, c := range held {
			if a := <-c; a.err == nil {
				t.Errorf("answered %+v", a)
			}
		}
		eventually(t, "all are dropped", func() bool { return s.served.Load() == 0 })
		noneLeft(t, before)
		if n := s.line.dialsWaiting(); n != 0 {
			t.Errorf("%d dials wait on", n)
		}
		s.line.mend()
		ask(t.Context(), t, "GET", s.base, "").want(t, 200, "")
		if reached.Load() != 2 {
			t.Errorf("%d requests reached the far server, want 2", reached.Load())
		}
	})
}

// The browser gives up half-way through a body.
func TestGivenUpInTheBodyIsDropped(t *testing.T) {
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	s.line.cut()
	before := runtime.NumGoroutine()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "PUT /a HTTP/1.1\r\nHost: "+strings.TrimPrefix(s.base, "http://")+"\r\nContent-Length: 100\r\n\r\nhalf")
	eventually(t, "it waits", func() bool { return s.crowd.count() == 1 })
	c.Close()
	eventually(t, "it is dropped", func() bool { return s.served.Load() == 0 && s.line.dialsWaiting() == 0 })
	noneLeft(t, before)
	s.line.mend()
	if reached.Load() != 0 {
		t.Error("it reached the far server")
	}
}

func TestDestructiveDoesNotWaitLong(t *testing.T) {
	bothWaysDown(t, func(t *testing.T, change func(*stage)) {
		var reached atomic.Int64
		s := newStage(t, counted(&reached), change, func(s *stage) { s.Patience = 200 * time.Millisecond })
		s.line.cut()
		started := time.Now()
		var held []<-chan answer
		for _, r := range [][2]string{{"DELETE", "/api/kernels/x"}, {"POST", "/api/kernels/x/interrupt"},
			{"POST", "/base/api/kernels/x/restart/"}, {"POST", "/api/shutdown"}} {
			held = append(held, asked(t, func() answer { return ask(t.Context(), t, r[0], s.base+r[1], "{}") }))
		}
		for _, c := range held {
			a := <-c
			a.want(t, 503, "not sent")
		}
		if waited := time.Since(started); waited < s.Patience {
			t.Errorf("gave up after %v", waited)
		}
		s.line.mend()
		ask(t.Context(), t, "DELETE", s.base+"/api/kernels/y", "").want(t, 200, "")
		if reached.Load() != 1 {
			t.Errorf("%d requests reached the far server, want 1", reached.Load())
		}
	})
}

func TestDestructiveWaitsALittle(t *testing.T) {
	s := newStage(t, echo)
	s.line.cut()
	c := asked(t, func() answer { return ask(t.Context(), t, "POST", s.base+"/api/kernels/x/restart", "{}") })
	stillHeld(t, c)
	s.line.mend()
	a := <-c
	a.want(t, 200, "restart")
	if (&Proxy{}).patience() != 15*time.Second {
		t.Error("patience")
	}
}

// A stalled upload of something destructive does not hold up its answer.
func TestDestructiveWithStalledBody(t *testing.T) {
	s := newStage(t, echo, func(s *stage) { s.Patience = 50 * time.Millisecond })
	s.line.cut()
	request := "DELETE /a HTTP/1.1\r\nHost: " + strings.TrimPrefix(s.base, "http://") + "\r\nContent-Length: 100\r\n\r\nhalf"
	if got := raw(t, s, request); got != "HTTP/1.1 503 Service Unavailable" {
		t.Error(got)
	}
}

func TestDownPage(t *testing.T) {
	bothWaysDown(t, func(t *testing.T, change func(*stage)) {
		since := time.Now().Add(-time.Minute)
		s := newStage(t, echo, change, func(s *stage) { s.Host, s.Since = "gpu1", func() time.Time { return since } })
		s.line.cut()
		for _, h := range []string{"Sec-Fetch-Dest: document", "Accept: text/html,*/*"} {
			a := ask(t.Context(), t, "GET", s.base+"/lab", "", h)
			a.want(t, 503, "The line to gpu1 is down")
			a.want(t, 503, since.Format("15:04:05"))
			a.want(t, 503, "fetch(location.href")
			if csp := a.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'sha256-") || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", a.Header)
			}
		}
		// What the page asks to come back is held, and so is what is not a tab.
		held := []<-chan answer{
			asked(t, func() answer { return ask(t.Context(), t, "HEAD", s.base+"/lab", "", "Sec-Fetch-Dest: empty") }),
			asked(t, func() answer {
				return ask(t.Context(), t, "GET", s.base+"/x", "", "Sec-Fetch-Dest: iframe", "Accept: text/html")
			}),
		}
		stillHeld(t, held...)
		s.line.mend()
		for _, c := range held {
			a := <-c
			a.want(t, 200, "")
		}
		ask(t.Context(), t, "GET", s.base+"/lab", "", "Sec-Fetch-Dest: document").want(t, 200, "/lab")
	})
}

// A navigation that waits for a silent line learns of it when it is known.
func TestDownPageWhenTheLineGoesDown(t *testing.T) {
	block := make(chan struct{})
	var once sync.Once
	s := newStage(t, echo)
	dial := s.Proxy.Dial
	s.Proxy.Dial = func(ctx context.Context) (net.Conn, error) {
		once.Do(func() { close(block) })
		<-ctx.Done()
		return dial(ctx)
	}
	c := asked(t, func() answer { return ask(t.Context(), t, "GET", s.base+"/lab", "", "Sec-Fetch-Dest: document") })
	<-block
	stillHeld(t, c)
	s.line.cut()
	a := <-c
	a.want(t, 503, "is down")
}

func TestGone(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody answers there now
	s := newStageTo(t, l.Addr().String(), func(s *stage) { s.Host, s.Command = "gpu1", "nbremote open gpu1" })
	a := ask(t.Context(), t, "GET", s.base+"/lab", "", "Sec-Fetch-Dest: document")
	a.want(t, 503, "Jupyter on gpu1 has ended")
	a.want(t, 503, "nbremote open gpu1")
	ask(t.Context(), t, "GET", s.base+"/api/sessions", "").want(t, 503, "does not answer")
	ask(t.Context(), t, "PUT", s.base+"/api/contents/x", "save").want(t, 503, "does not answer")
	ask(t.Context(), t, "GET", s.base+"/ws", "", websocketHeaders...).want(t, 503, "does not answer")

	again, err := net.Listen("tcp4", l.Addr().String())
	if err != nil {
		t.Skip("the port was taken meanwhile")
	}
	go http.Serve(again, echo)
	defer again.Close()
	ask(t.Context(), t, "PUT", s.base+"/api/contents/x", "save").want(t, 200, "save")
}

// A server that just restarts is waited for.
func TestRestartIsNotGone(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := newStageTo(t, l.Addr().String())
	dial, tries := s.Proxy.Dial, atomic.Int64{}
	s.Proxy.Dial = func(ctx context.Context) (net.Conn, error) {
		if tries.Add(1) == 2 {
			again, err := net.Listen("tcp4", l.Addr().String())
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { again.Close() })
			go http.Serve(again, echo)
		}
		return dial(ctx)
	}
	ask(t.Context(), t, "PUT", s.base+"/x", "save").want(t, 200, "save")
}

// The line dies while Jupyter thinks: what is safe is asked again after the
// mend, what is not is never done twice.
func TestCutWhileAnswering(t *testing.T) {
	var reached sync.Map
	arrived := make(chan string, 10)
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, again := reached.LoadOrStore(r.Method, true); again {
			io.WriteString(w, "again")
			return
		}
		io.Copy(io.Discard, r.Body)
		arrived <- r.Method
		<-r.Context().Done()
	}))
	get := asked(t, func() answer { return ask(t.Context(), t, "GET", s.base+"/x", "") })
	put := asked(t, func() answer { return ask(t.Context(), t, "PUT", s.base+"/x", "save") })
	post := asked(t, func() answer { return ask(t.Context(), t, "POST", s.base+"/x", "") })
	for range 3 {
		<-arrived
	}
	s.line.cut()
	for _, c := range []<-chan answer{put, post} {
		a := <-c
		a.want(t, 503, "ended before it answered")
	}
	stillHeld(t, get)
	s.line.mend()
	a := <-get
	a.want(t, 200, "again")
}

// An answer that breaks off must not look whole.
func TestCutInsideAnAnswer(t *testing.T) {
	sent := make(chan struct{})
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first half")
		w.(http.Flusher).Flush()
		<-sent
		<-r.Context().Done()
	}))
	resp, err := client(t).Get(s.base)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("first half"))); err != nil {
		t.Fatal(err)
	}
	close(sent)
	s.line.cut()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("ended well after %q", b)
	}
}

func TestCloseEndsWhatIsHeld(t *testing.T) {
	s := newStage(t, echo)
	s.line.cut()
	c := asked(t, func() answer { return ask(t.Context(), t, "GET", s.base, "") })
	stillHeld(t, c)
	s.Proxy.Close()
	if a := <-c; a.err == nil {
		t.Errorf("answered %+v", a)
	}
}
