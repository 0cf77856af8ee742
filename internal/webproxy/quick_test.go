package webproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rawFar answers each request with bytes of the test's own; "" ends the
// connection unanswered.
type rawFar struct {
	addr   string
	conns  atomic.Int64
	ended  atomic.Int64 // of those, ended by the proxy
	answer func(path string, nth int) string
}

func newRawFar(t *testing.T, answer func(path string, nth int) string) *rawFar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f := &rawFar{addr: l.Addr().String(), answer: answer}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			go f.serve(c)
		}
	}()
	return f
}

func (f *rawFar) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for nth := 0; ; nth++ {
		req, err := http.ReadRequest(in)
		if err != nil {
			f.ended.Add(1)
			return
		}
		text := f.answer(req.URL.Path, nth)
		if text == "" {
			return
		}
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// Small answers come one after the other over one connection, what is only
// announced before them too.
func TestQuick_OneConnection(t *testing.T) {
	f := newRawFar(t, func(path string, nth int) string {
		switch path {
		case "/chunks":
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
		case "/none":
			return "HTTP/1.1 204 No Content\r\n\r\n"
		case "/same":
			return "HTTP/1.1 304 Not Modified\r\nEtag: x\r\n\r\n"
		case "/early":
			return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Only: early\r\n\r\n" + ok("after")
		case "/hops":
			return "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Far: 2\r\nContent-Length: 2\r\n\r\nhi"
		}
		return ok(fmt.Sprint("answer ", nth))
	})
	s := newStageTo(t, f.addr)
	ask(t.Context(), t, "GET", s.base+"/a", "").want(t, 200, "answer 0")
	ask(t.Context(), t, "GET", s.base+"/chunks", "").want(t, 200, "abc")
	ask(t.Context(), t, "GET", s.base+"/none", "").want(t, 204, "")
	ask(t.Context(), t, "GET", s.base+"/same", "").want(t, 304, "")
	if a := ask(t.Context(), t, "GET", s.base+"/hops", ""); a.Header.Get("X-Hop") != "" || a.Header.Get("X-Far") != "2" || a.body != "hi" {
		t.Errorf("%v %q", a.Header, a.body)
	}
	var early []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		early = append(early, fmt.Sprint(code, " ", h.Get("Link")))
		return nil
	}})
	a := ask(ctx, t, "GET", s.base+"/early", "")
	a.want(t, 200, "after")
	if fmt.Sprint(early) != "[103 </a>]" || a.Header.Get("X-Only") != "" {
		t.Errorf("announced %q, then %v", early, a.Header)
	}
	ask(t.Context(), t, "GET", s.base+"/a", "").want(t, 200, "answer 6")
	if n := f.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A connection that the far server has ended meanwhile costs no answer: seen
// while it rests, or only when it is used.
func TestQuick_Stale(t *testing.T) {
	f := newRawFar(t, func(path string, nth int) string {
		if path == "/end" && nth > 0 {
			return ""
		}
		return ok("fine")
	})
	s := newStageTo(t, f.addr)
	for _, path := range []string{"/a", "/end", "/end", "/a"} {
		ask(t.Context(), t, "GET", s.base+path, "").want(t, 200, "fine")
	}
	if n := f.conns.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	s.line.mu.Lock()
	for c := range s.line.conns {
		c.(*net.TCPConn).CloseRead() // as a far server's end
	}
	s.line.mu.Unlock()
	eventually(t, "its end is seen", func() bool { return s.rests() == 0 })
	ask(t.Context(), t, "GET", s.base+"/a", "").want(t, 200, "fine")
}

func (p *Proxy) rests() int {
	q := p.transport.quick
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.idle)
}

// One that rests is read, and still used: the answer goes to who asked.
func TestQuick_UsedAfterARest(t *testing.T) {
	f := newRawFar(t, func(path string, nth int) string { return ok(path) })
	s := newStageTo(t, f.addr)
	q := func() (watched bool) {
		q := s.transport.quick
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.idle) == 1 && q.idle[0].seen != nil
	}
	for i := range 3 {
		path := fmt.Sprint("/", i)
		ask(t.Context(), t, "GET", s.base+path, "").want(t, 200, path)
		eventually(t, "it is watched", q)
	}
	if n := f.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	s.Proxy.Close()
	eventually(t, "it is closed", func() bool { return f.ended.Load() == 1 })
}

// What a far server says unasked, or beyond what it announced, is nobody's
// answer.
func TestQuick_Unasked(t *testing.T) {
	f := newRawFar(t, func(path string, nth int) string {
		if path == "/more" {
			return ok("x") + ok("stray")
		}
		return ok("right")
	})
	s := newStageTo(t, f.addr)
	for range 3 {
		ask(t.Context(), t, "GET", s.base+"/more", "").want(t, 200, "x")
		ask(t.Context(), t, "GET", s.base+"/a", "").want(t, 200, "right")
	}
}

// A request that is given up ends its connection, so that no other gets its
// answer; and an endless head is not taken in.
func TestQuick_GivenUp(t *testing.T) {
	asked := make(chan struct{}, 1)
	f := newRawFar(t, func(path string, nth int) string {
		switch path {
		case "/slow":
			asked <- struct{}{}
			return "HTTP/1.1 200 OK\r\n"
		case "/head":
			return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*headAtMost) + "\r\n\r\n"
		}
		return ok("right")
	})
	s := newStageTo(t, f.addr)
	ask(t.Context(), t, "GET", s.base+"/a", "").want(t, 200, "right")
	ctx, giveUp := context.WithCancel(t.Context())
	go func() { <-asked; giveUp() }()
	if a := ask(ctx, t, "GET", s.base+"/slow", ""); a.err == nil {
		t.Error("answered")
	}
	eventually(t, "its connection has ended", func() bool { return f.ended.Load() == 1 })
	began := time.Now()
	ask(t.Context(), t, "GET", s.base+"/head", "").want(t, 503, "")
	ask(t.Context(), t, "GET", s.base+"/a", "").want(t, 200, "right")
	if took := time.Since(began); took > patient/2 {
		t.Errorf("took %v", took)
	}
}
