package webproxy

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const protocol = "v1.kernel.websocket.jupyter.org"

// jupyter is a far server with kernels. What a kernel says is written by the
// test; nothing is kept for a page that is not there.
type jupyter struct {
	opened chan *farSide
	status atomic.Int64 // of GET and of handshakes, 0 = 200
	asked  chan http.Header
}

// farSide is the far end of a kernel's websocket.
type farSide struct {
	*websocket.Conn
	header http.Header
	heard  chan string
	ended  chan error
}

func newJupyter() *jupyter {
	return &jupyter{opened: make(chan *farSide, 1000), asked: make(chan http.Header, 1000)}
}

func (j *jupyter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := int(j.status.Load()); status != 0 {
		http.Error(w, "no", status)
		return
	}
	if !isWebsocket(r) {
		j.asked <- r.Header
		fmt.Fprint(w, `{"id": "x"}`)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
	if err != nil {
		return
	}
	c.SetReadLimit(-1)
	f := &farSide{Conn: c, header: r.Header, heard: make(chan string, 1<<12), ended: make(chan error, 1)}
	j.opened <- f
	for {
		_, b, err := c.Read(context.Background())
		if err != nil {
			c.CloseNow()
			f.ended <- err
			return
		}
		f.heard <- string(b)
	}
}

// say writes lines first … last-1.
func (f *farSide) say(t testing.TB, first, last int, behind string) {
	t.Helper()
	for i := first; i < last; i++ {
		if err := f.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, "%d %s", i, behind)); err != nil {
			t.Fatal(err)
		}
	}
}

// tab is a page with a websocket that can be reset.
type tab struct {
	*websocket.Conn
	tcp  *net.TCPConn
	came chan []byte // closed at the end
	end  error       // why
}

// listen reads as a browser does: always, and so it answers pings.
func (p *tab) listen() {
	p.came = make(chan []byte, 1<<11)
	go func() {
		defer close(p.came)
		for {
			_, b, err := p.Read(context.Background())
			if err != nil {
				p.end = err
				return
			}
			p.came <- b
		}
	}()
}

// ended gives the close code the page got, -1 for none.
func (p *tab) ended(t testing.TB) websocket.StatusCode {
	t.Helper()
	select {
	case b, more := <-p.came:
		if more {
			t.Fatalf("%d bytes came instead of the end", len(b))
		}
	case <-time.After(patient):
		t.Fatal("it does not end")
	}
	return websocket.CloseStatus(p.end)
}

const channels = "/api/kernels/x/channels?session_id=s"

// visit opens a kernel's websocket; the answer is what came instead.
func visit(t testing.TB, s *stage, path string) (*tab, *http.Response, error) {
	t.Helper()
	return visitWith(t, s, path, "a=b")
}

// visitWith is visit with these cookies.
func visitWith(t testing.TB, s *stage, path, cookies string) (*tab, *http.Response, error) {
	t.Helper()
	p := &tab{}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			p.tcp = c.(*net.TCPConn)
		}
		return c, err
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, s.base+path, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport},
		HTTPHeader:   http.Header{"Origin": {s.base}, "Cookie": {cookies}},
		Subprotocols: []string{protocol},
	})
	if err != nil {
		return nil, resp, err
	}
	c.SetReadLimit(-1)
	p.Conn = c
	t.Cleanup(func() { c.CloseNow() })
	return p, resp, nil
}

// mute is a page whose socket nobody reads.
func mute(t testing.TB, s *stage) *tab {
	t.Helper()
	p, _, err := visit(t, s, channels)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustVisit(t testing.TB, s *stage) *tab {
	t.Helper()
	p := mute(t, s)
	p.listen()
	return p
}

// reset ends the TCP socket as a laptop that goes to sleep does.
func (p *tab) reset() {
	p.tcp.SetLinger(0)
	p.tcp.Close()
	p.CloseNow()
}

// line gives the number that the next message begins with.
func (p *tab) line(t testing.TB) int {
	t.Helper()
	select {
	case b, more := <-p.came:
		if !more {
			t.Fatal("it has ended: ", p.end)
		}
		return number(b)
	case <-time.After(patient):
		t.Fatal("nothing comes")
	}
	return 0
}

func number(b []byte) (n int) {
	fmt.Sscanf(string(b[:min(len(b), 20)]), "%d", &n)
	return n
}

// lines reads first … last-1, in order.
func (p *tab) lines(t testing.TB, first, last int) {
	t.Helper()
	for i := first; i < last; i++ {
		if got := p.line(t); got != i {
			t.Fatalf("line %d came as the %dth", got, i)
		}
	}
}

// away waits until the proxy has seen that the page is.
func away(t testing.TB, s *stage) {
	t.Helper()
	until(t, "the page is known to be away", func() bool { k := s.Kept(); return len(k) == 1 && !k[0].Away.IsZero() })
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patient, what)
		}
	}
}

func keeps(t testing.TB, s *stage, n int64) {
	t.Helper()
	until(t, fmt.Sprint(n, " messages are kept"), func() bool {
		k := s.Kept()
		return n == 0 && len(k) == 0 || len(k) == 1 && k[0].Messages == n
	})
}

func TestN13_PageReturns(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	p := mustVisit(t, s)
	far := <-j.opened
	if p.Subprotocol() != protocol || far.Subprotocol() != protocol || far.header.Get("Cookie") != "a=b" {
		t.Errorf("subprotocols %q, %q, header %v", p.Subprotocol(), far.Subprotocol(), far.header)
	}
	if far.header.Get("Sec-Websocket-Extensions") != "" {
		t.Error("compression was offered")
	}
	far.say(t, 0, 10, "")
	p.lines(t, 0, 10)
	p.Write(t.Context(), websocket.MessageText, []byte("before"))
	keeps(t, s, 0)
	p.reset()
	away(t, s)
	far.say(t, 10, 500, "")
	keeps(t, s, 490)
	if k := s.Kept()[0]; k.Kernel != "x" || k.Bytes < 490*3 || time.Since(k.Oldest) > patient {
		t.Errorf("kept %+v", k)
	}
	p = mustVisit(t, s)
	if p.Subprotocol() != protocol {
		t.Errorf("subprotocol %q", p.Subprotocol())
	}
	if h := <-j.asked; h.Get("Cookie") != "a=b" || h.Get("Referer") != s.base+"/" || h.Get("Upgrade") != "" {
		t.Errorf("Jupyter was asked with %v", h)
	}
	p.lines(t, 10, 500)
	p.Write(t.Context(), websocket.MessageText, []byte("after"))
	if a, b := <-far.heard, <-far.heard; a != "before" || b != "after" {
		t.Errorf("the far server heard %q, %q", a, b)
	}
	far.say(t, 500, 510, "")
	p.lines(t, 500, 510)
	keeps(t, s, 0)
	if len(j.opened) != 0 {
		t.Error("the far websocket was opened again")
	}
	if s.Pages() != 1 {
		t.Errorf("%d pages", s.Pages())
	}
}

// Without the keeper the same loses what comes in between.
func TestN13_TwinLoses(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j, func(s *stage) { s.testOnlyUnkept = true })
	p := mustVisit(t, s)
	far := <-j.opened
	far.say(t, 0, 10, "")
	p.lines(t, 0, 10)
	p.reset()
	if err := <-far.ended; err == nil {
		t.Error("the far websocket lives on")
	}
}

// What the dead page had not read comes again: it is not the socket's buffer
// that says what a page has.
func TestN13_UnreadComesAgain(t *testing.T) {
	const many = 20000
	j := newJupyter()
	s := newStage(t, j)
	p := mustVisit(t, s)
	far := <-j.opened
	far.say(t, 0, 5, "")
	p.lines(t, 0, 5)
	keeps(t, s, 0)
	p.reset()
	away(t, s)
	p = mute(t, s)
	far.say(t, 5, many, strings.Repeat("x", 100)) // all is taken from the far server
	p.reset()
	p = mustVisit(t, s)
	p.lines(t, 5, many)
}

func TestN13_JupyterSaysWhoMayReturn(t *testing.T) {
	j := newJupyter()
	var said atomic.Pointer[Drop]
	s := newStage(t, j, func(s *stage) { s.Dropped = func(d Drop) { said.Store(&d) } })
	p := mustVisit(t, s)
	far := <-j.opened
	p.reset()
	away(t, s)
	far.say(t, 0, 10, "")
	keeps(t, s, 10)
	j.status.Store(403)
	if _, resp, err := visit(t, s, channels); err == nil || resp.StatusCode != 403 {
		t.Fatal(resp, err)
	}
	keeps(t, s, 10)
	j.status.Store(0)
	p = mustVisit(t, s)
	p.lines(t, 0, 10)
	keeps(t, s, 0)
	p.reset()
	away(t, s)
	far.say(t, 10, 15, "")
	keeps(t, s, 5)
	j.status.Store(404)
	if _, resp, err := visit(t, s, channels); err == nil || resp.StatusCode != 404 {
		t.Fatal(resp, err)
	}
	keeps(t, s, 0)
	<-far.ended
	until(t, "the loss is said", func() bool { return said.Load() != nil })
	if d := said.Load(); d.Messages != 5 || d.Kernel != "x" || d.From.IsZero() || d.To.Before(d.From) || d.Why == "" {
		t.Errorf("said %+v", d)
	}
}

func TestN13_CloseIsPassedOn(t *testing.T) {
	for _, code := range []websocket.StatusCode{1000, 1001, 3333} {
		j := newJupyter()
		s := newStage(t, j)
		p := mustVisit(t, s)
		far := <-j.opened
		p.Write(t.Context(), websocket.MessageText, []byte("last"))
		p.Close(code, "bye")
		if err := <-far.ended; websocket.CloseStatus(err) != code || !strings.Contains(err.Error(), "bye") {
			t.Errorf("page closed with %d, far got %v", code, err)
		}
		if got := <-far.heard; got != "last" {
			t.Errorf("before it came %q", got)
		}
		keeps(t, s, 0)

		p = mustVisit(t, s)
		far = <-j.opened
		far.say(t, 0, 1000, "")
		go far.Close(code, "ended")
		p.lines(t, 0, 1000)
		if got := p.ended(t); got != code {
			t.Errorf("far closed with %d, page got %v", code, got)
		}
		keeps(t, s, 0)
	}
}

// A far websocket that breaks gives the page what came before, and a close
// frame after which it comes back.
func TestN13_FarBreaks(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	p := mustVisit(t, s)
	far := <-j.opened
	far.say(t, 0, 1000, "")
	far.CloseNow()
	p.lines(t, 0, 1000)
	if got := p.ended(t); got != websocket.StatusServiceRestart {
		t.Errorf("the page got %v", got)
	}
	keeps(t, s, 0)

	// While the page is away: what is there comes first, then the new one's.
	p = mustVisit(t, s)
	far = <-j.opened
	p.reset()
	away(t, s)
	far.say(t, 0, 10, "")
	keeps(t, s, 10)
	far.CloseNow()
	until(t, "it is known", func() bool { return !s.keeper.all[channelsKey].connected() })
	p = mustVisit(t, s)
	far = <-j.opened
	far.say(t, 10, 20, "")
	p.lines(t, 0, 20)
}

const channelsKey = "/api/kernels/x/channels s"

// A message that breaks off in the middle is none, on either side.
func TestN13_HalfMessages(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	p := mustVisit(t, s)
	far := <-j.opened
	w, _ := p.Writer(t.Context(), websocket.MessageText)
	w.Write(bytes.Repeat([]byte("x"), 100_000)) // whole frames, no end
	until(t, "it is on its way", func() bool { return p.tcp != nil })
	p.reset()
	away(t, s)
	p = mustVisit(t, s)
	p.Write(t.Context(), websocket.MessageText, []byte("whole"))
	if got := <-far.heard; got != "whole" {
		t.Errorf("the far server heard %d bytes", len(got))
	}
	for _, size := range []int{10, 100_000, 3 << 20} {
		fw, _ := far.Writer(t.Context(), websocket.MessageText)
		fw.Write(bytes.Repeat([]byte("x"), size))
		far.CloseNow()
		if got := p.ended(t); got != websocket.StatusServiceRestart {
			t.Errorf("%d: the page got %v", size, got)
		}
		p = mustVisit(t, s)
		far = <-j.opened
	}
}

func TestN13_Takeover(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	p := mustVisit(t, s)
	far := <-j.opened
	for i := range 5 {
		old := p
		old.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, "old %d", i))
		p = mustVisit(t, s)
		if got := old.ended(t); got != -1 {
			t.Errorf("the old one ended with %v", got)
		}
		p.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, "new %d", i))
		for _, want := range []string{"old", "new"} {
			if got := <-far.heard; got != fmt.Sprintf("%s %d", want, i) {
				t.Errorf("the far server heard %q, not %s %d", got, want, i)
			}
		}
		far.say(t, 10*i, 10*i+10, "")
		p.lines(t, 10*i, 10*i+10)
		keeps(t, s, 0)
	}
	if len(j.opened) != 0 {
		t.Error("the far websocket was opened again")
	}
}

// Another session, kernel or path is another page.
func TestN13_EachPageItsOwn(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	paths := []string{channels, "/api/kernels/x/channels?session_id=t", "/api/kernels/y/channels?session_id=s", "/base/api/kernels/x/channels?session_id=s"}
	var fars []*farSide
	for i, path := range paths {
		p, _, err := visit(t, s, path)
		if err != nil {
			t.Fatal(err)
		}
		p.listen()
		fars = append(fars, <-j.opened)
		fars[i].say(t, i, i+1, "")
		p.lines(t, i, i+1)
		until(t, "it is known", func() bool { return len(s.Kept()) == i })
		p.reset()
		until(t, "it is away", func() bool { return len(s.Kept()) == i+1 })
	}
	for i, path := range paths {
		fars[i].say(t, 10*i, 10*i+10, "")
		p, _, err := visit(t, s, path)
		if err != nil {
			t.Fatal(err)
		}
		p.listen()
		p.lines(t, 10*i, 10*i+10)
	}
	// Who cannot be told from others when it returns passes as before.
	p, _, err := visit(t, s, "/api/kernels/x/channels")
	if err != nil {
		t.Fatal(err)
	}
	far := <-j.opened
	p.reset()
	<-far.ended
}

// The page that returns while the line is down is held; its far websocket goes
// by DialKernel.
func TestN13_HeldInACut(t *testing.T) {
	j := newJupyter()
	var kernels atomic.Int64
	s := newStage(t, j, func(s *stage) {
		s.DialKernel = func(ctx context.Context) (net.Conn, error) { kernels.Add(1); return s.line.dial(ctx) }
	})
	ask(t.Context(), t, "GET", s.base+"/api/status", "").want(t, 200, "") // its connection is free now
	p := mustVisit(t, s)
	s.transport.CloseIdleConnections()
	far := <-j.opened
	p.reset()
	away(t, s)
	far.say(t, 0, 10, "")
	keeps(t, s, 10)
	s.line.mu.Lock() // not cut: the far websocket is a stream that outlives it
	s.line.down = true
	s.line.mu.Unlock()
	came := make(chan *tab, 1)
	go func() { came <- mustVisit(t, s) }()
	until(t, "it is held", func() bool { return s.served.Load() > 0 })
	select {
	case <-came:
		t.Fatal("it was let in unasked")
	case <-time.After(3 * lookEvery):
	}
	s.line.mend()
	(<-came).lines(t, 0, 10)
	if n := kernels.Load(); n != 1 {
		t.Errorf("DialKernel was called %d times", n)
	}
}

// messages of every kind and size, and control frames between.
func TestL12_KeptMessages(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	p := mute(t, s)
	far := <-j.opened
	sizes := []int{0, 1, 125, 126, 20_000, batchBytes, batchBytes + 1, bufferSize, 65_536, 200_000, smallMessage - 1, smallMessage, smallMessage + 1, 5 << 20, 100 << 20, 3}
	go func() {
		for range 20 {
			far.Ping(context.Background())
		}
	}()
	for i, size := range sizes {
		want, kind := random(size), websocket.MessageType(1+i%2)
		go func() {
			w, _ := far.Writer(context.Background(), kind)
			for rest := want; len(rest) > 0; { // fragments
				n := min(len(rest), max(1, size/3))
				w.Write(rest[:n])
				rest = rest[n:]
			}
			w.Close()
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 3*patient)
		if got, b, err := p.Read(ctx); err != nil || got != kind || !bytes.Equal(b, want) {
			t.Fatalf("%d bytes: %v, %d bytes, %v", size, got, len(b), err)
		}
		go p.Write(context.Background(), kind, want)
		if got := <-far.heard; got != string(want) {
			t.Fatalf("%d bytes: the far server heard %d", size, len(got))
		}
		cancel()
	}
	pings := make(chan error, 1)
	go func() { pings <- p.Ping(context.Background()) }()
	p.listen()
	far.say(t, 0, 2, "")
	p.lines(t, 0, 2)
	if err := <-pings; err != nil {
		t.Error("ping of the page:", err)
	}
	if used, _ := s.Store.Disk(); used != 0 {
		until(t, "the disk is free again", func() bool { used, _ := s.Store.Disk(); return used == 0 })
	}
}

// A page that is there and takes nothing does not hold up the far server.
func TestN13_FrozenPage(t *testing.T) {
	const many, behind = 3000, 20_000
	j := newJupyter()
	s := newStage(t, j)
	p := mute(t, s)
	far := <-j.opened
	memory := mostMemory()
	far.say(t, 0, many, strings.Repeat("x", behind))
	until(t, "all is kept", func() bool { k := s.Kept(); return len(k) == 1 && k[0].Messages > many/2 })
	if top := memory(); top > 32<<20 {
		t.Errorf("the heap grew by %d MiB", top>>20)
	}
	if k := s.Kept(); !k[0].Away.IsZero() {
		t.Error("the page is taken for away")
	}
	p.listen()
	p.lines(t, 0, many)
	keeps(t, s, 0)
}

func TestL12_KeeperLeavesNothing(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j)
	before := runtime.NumGoroutine()
	files := openFiles(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			path := fmt.Sprintf("/api/kernels/k%d/channels?session_id=s", i)
			for range 2 {
				p, _, err := visit(t, s, path)
				if err != nil {
					t.Error(err)
					return
				}
				p.Write(context.Background(), websocket.MessageText, make([]byte, 2<<10<<(i%11)))
				p.reset()
			}
			p, _, err := visit(t, s, path)
			if err != nil {
				t.Error(err)
				return
			}
			p.Close(websocket.StatusNormalClosure, "")
		})
	}
	wg.Wait()
	keeps(t, s, 0)
	for len(j.opened) > 0 {
		<-(<-j.opened).ended
	}
	s.transport.CloseIdleConnections() // those that asked Jupyter
	noneLeft(t, before)
	until(t, "files are closed", func() bool { return openFiles(t) <= files })
	if s.Store.memory != 0 || s.Store.disk != 0 {
		t.Errorf("%d bytes of memory and %d on disk are not given back", s.Store.memory, s.Store.disk)
	}
}

func TestN13_CloseEndsKept(t *testing.T) {
	j := newJupyter()
	var said atomic.Pointer[Drop]
	s := newStage(t, j, func(s *stage) { s.Dropped = func(d Drop) { said.Store(&d) } })
	p := mustVisit(t, s)
	far := <-j.opened
	p.reset()
	away(t, s)
	far.say(t, 0, 10, "")
	keeps(t, s, 10)
	s.Proxy.Close()
	if err := <-far.ended; websocket.CloseStatus(err) != -1 {
		t.Errorf("the far one ended with %v", err)
	}
	until(t, "it is said", func() bool { d := said.Load(); return d != nil && d.Messages == 10 })
	if _, _, err := visit(t, s, channels); err == nil {
		t.Error("a page came in after the close")
	}
}
