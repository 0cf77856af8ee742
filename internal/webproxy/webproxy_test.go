package webproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const patient = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patient, what)
		}
	}
}

// line is the way to the far server, with an end that can be cut.
type line struct {
	addr string
	fail bool // Dial fails while down, else it waits

	mu      sync.Mutex
	down    bool
	changed chan struct{}
	dials   int
	waiting int
	conns   map[net.Conn]bool
}

func (l *line) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.down
}

func (l *line) dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	l.dials++
	l.waiting++
	defer func() { l.waiting--; l.mu.Unlock() }()
	for l.down {
		if l.fail {
			return nil, errors.New("down")
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			return nil, ctx.Err()
		}
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
	if err == nil {
		l.conns[c] = true
	}
	return c, err
}

// cut ends the connections, as when an SSH connection is lost.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.conns {
		c.Close()
	}
	l.conns = map[net.Conn]bool{}
}

// hush is a cut that ends no connection.
func (l *line) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *line) dialsWaiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// stage is a far server, the line to it, and a proxy before it.
type stage struct {
	*Proxy
	line   *line
	base   string       // http://127.0.0.1:PORT
	served atomic.Int64 // requests under way in the proxy
	begun  atomic.Int64 // and all that ever were
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.served.Add(1)
	s.begun.Add(1)
	defer s.served.Add(-1)
	s.Proxy.ServeHTTP(w, r)
}

func newStage(t *testing.T, far http.Handler, change ...func(*stage)) *stage {
	t.Helper()
	server := httptest.NewServer(far)
	t.Cleanup(server.Close)
	s := newStageTo(t, server.Listener.Addr().String(), change...)
	t.Cleanup(server.CloseClientConnections)
	return s
}

func newStageTo(t testing.TB, far string, change ...func(*stage)) *stage {
	t.Helper()
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	s := &stage{
		line: &line{addr: far, changed: make(chan struct{}), conns: map[net.Conn]bool{}},
		base: "http://127.0.0.1:" + strconv.Itoa(port),
	}
	s.Proxy = &Proxy{Port: port, Dial: s.line.dial, Up: s.line.up, Token: func() string { return "s3cret" }}
	for _, c := range change {
		c(s)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: patient}
	go server.Serve(l)
	t.Cleanup(func() {
		s.Proxy.Close()
		server.Close()
	})
	return s
}

// client does not follow redirects, and shares no connection.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

type answer struct {
	*http.Response
	body string
	err  error
}

// ask sends headers as "Name: value".
func ask(ctx context.Context, t testing.TB, method, url, body string, headers ...string) answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := client(t).Do(req)
	if err != nil {
		return answer{err: err, Response: &http.Response{Header: http.Header{}}}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), err}
}

func (a answer) want(t *testing.T, status int, text string) {
	t.Helper()
	if a.err != nil || a.StatusCode != status || !strings.Contains(a.body, text) {
		t.Errorf("answer %d %q, %v; want %d %q", a.StatusCode, a.body, a.err, status, text)
	}
}

// echo tells what reached the far server.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Far", "yes")
	io.WriteString(w, r.Method+" "+r.RequestURI+" host="+r.Host+"\n")
	r.Header.Write(w)
	w.Write(b)
})

func TestPassesUnchanged(t *testing.T) {
	s := newStage(t, echo)
	// "Accept-Encoding: gzip" must not be added, nor what is compressed undone.
	a := ask(t.Context(), t, "PUT", s.base+"/a%2Fb//c?x=1;y=%zz&z", "body", "Cookie: a=b", "X-Forwarded-For: 9.9.9.9")
	a.want(t, 200, "PUT /a%2Fb//c?x=1;y=%zz&z host="+strings.TrimPrefix(s.base, "http://")+"\n")
	a.want(t, 200, "Cookie: a=b")
	a.want(t, 200, "body")
	for _, no := range []string{"Forwarded", "Accept-Encoding", "9.9.9.9"} {
		if strings.Contains(a.body, no) {
			t.Errorf("%s reached the far server:\n%s", no, a.body)
		}
	}
	if a.Header.Get("Content-Length") == "" && len(a.Header["Server"]) != 0 {
		t.Errorf("headers %v", a.Header)
	}
}

// noneLeft tells that what started since has ended.
func noneLeft(t *testing.T, before int) {
	t.Helper()
	eventually(t, "goroutines are gone", func() bool { return runtime.NumGoroutine() <= before })
}
