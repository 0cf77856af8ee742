package webproxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// repeat answers each message with itself.
var repeat = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v1.kernel.websocket.jupyter.org"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(64 << 20)
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
})

func open(t *testing.T, s *stage, path string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.base+path, &websocket.DialOptions{
		HTTPClient:   client(t),
		HTTPHeader:   http.Header{"Origin": {s.base}},
		Subprotocols: []string{"v1.kernel.websocket.jupyter.org"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(64 << 20)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func TestWebsocket(t *testing.T) {
	s := newStage(t, repeat)
	c := open(t, s, "/api/kernels/x/channels")
	if c.Subprotocol() != "v1.kernel.websocket.jupyter.org" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 5 << 20} {
		want := random(size)
		if err := c.Write(t.Context(), websocket.MessageBinary, want); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Error("the close was not passed on:", err)
	}
	eventually(t, "it is not counted", func() bool { return s.Pages() == 0 })
}

func TestPagesCountsTabs(t *testing.T) {
	s := newStage(t, repeat)
	count := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d tabs", want), func() bool { return s.Pages() == want })
	}
	count(0)
	kernels := []*websocket.Conn{open(t, s, "/api/kernels/a/channels"), open(t, s, "/api/kernels/b/channels")}
	count(1) // an old Notebook: no socket for events
	first := open(t, s, "/base/api/events/subscribe")
	count(1)
	second := open(t, s, "/api/events/subscribe")
	count(2)
	first.CloseNow()
	count(1)
	second.Close(websocket.StatusNormalClosure, "")
	kernels[0].CloseNow()
	count(1)
	kernels[1].CloseNow()
	count(0)
	ask(t.Context(), t, "GET", s.base+"/x", "", "Connection: Upgrade", "Upgrade: websocket").want(t, 400, "")
	count(0)
}

// upgraded is a far server that speaks bytes after the handshake.
func upgraded(then func(net.Conn, *bufio.Reader)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nat once,")
		then(c, rw.Reader)
	})
}

// shakeHands opens a raw connection whose handshake was accepted.
func shakeHands(t *testing.T, s *stage) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	host := strings.TrimPrefix(s.base, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: "+host+"\r\n"+strings.Join(websocketHeaders, "\r\n")+"\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	return c.(*net.TCPConn), r
}

func TestL12_WebsocketHalfClose(t *testing.T) {
	s := newStage(t, upgraded(func(c net.Conn, r *bufio.Reader) {
		b, _ := io.ReadAll(r) // until the page's half has ended
		fmt.Fprintf(c, "%s,then the end", b)
	}))
	before := runtime.NumGoroutine()
	c, r := shakeHands(t, s)
	fmt.Fprint(c, "said")
	c.CloseWrite()
	if got, err := io.ReadAll(r); string(got) != "at once,said,then the end" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	noneLeft(t, before)
}

// The far server's half ends first; the page still has something to say.
func TestL12_WebsocketFarHalfClose(t *testing.T) {
	heard := make(chan string, 1)
	s := newStage(t, upgraded(func(c net.Conn, r *bufio.Reader) {
		c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(r)
		heard <- string(b)
	}))
	c, r := shakeHands(t, s)
	if got, err := io.ReadAll(r); string(got) != "at once," || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	fmt.Fprint(c, "last words")
	c.Close()
	if got := <-heard; got != "last words" {
		t.Errorf("%q", got)
	}
}

// Who never says that it is over does not keep a connection for ever.
func TestL12_NoHalfOpenWebsocketIsLeft(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	for name, far := range map[string]func(net.Conn, *bufio.Reader){
		"page silent":       func(net.Conn, *bufio.Reader) {},
		"far server silent": func(_ net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r); <-over },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, upgraded(far), func(s *stage) { s.lingering = 50 * time.Millisecond })
			c, r := shakeHands(t, s)
			if name == "far server silent" {
				c.CloseWrite()
			}
			io.Copy(io.Discard, r)
			eventually(t, "it is over", func() bool { return s.Pages() == 0 })
			if name == "page silent" {
				eventually(t, "the page's end is closed", func() bool {
					_, err := c.Write([]byte("x"))
					return err != nil
				})
			}
		})
	}
}

func TestL12_WebsocketsLeaveNothing(t *testing.T) {
	s := newStage(t, repeat)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			c := open(t, s, "/ws")
			c.Write(t.Context(), websocket.MessageText, []byte("x"))
			c.Read(t.Context())
			if i%2 == 0 {
				c.CloseNow()
			} else {
				c.Close(websocket.StatusNormalClosure, "")
			}
		})
	}
	wg.Wait()
	eventually(t, "none is counted", func() bool { return s.Pages() == 0 })
	noneLeft(t, before)
}

// A lost line ends the page's websocket without a close frame: JupyterLab
// gives up after one that says 1000 or 1001, and comes back after none.
func TestWebsocketEndsWithTheLine(t *testing.T) {
	s := newStage(t, repeat)
	c := open(t, s, "/api/kernels/x/channels")
	s.line.cut()
	if _, _, err := c.Read(t.Context()); err == nil || websocket.CloseStatus(err) != -1 {
		t.Errorf("ended with %v", err)
	}
	// And the new one is held, not refused.
	opened := make(chan *websocket.Conn, 1)
	go func() { opened <- open(t, s, "/api/kernels/x/channels") }()
	time.Sleep(2 * lookEvery)
	if len(opened) > 0 {
		t.Error("opened with the line down")
	}
	s.line.mend()
	(<-opened).CloseNow()
}

func TestCloseEndsWebsockets(t *testing.T) {
	s := newStage(t, repeat)
	c := open(t, s, "/ws")
	s.Proxy.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("ended with %v", err)
	}
}
