package webproxy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// counted counts what reaches the far server.
func counted(n *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.Add(1); echo(w, r) })
}

var websocketHeaders = []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

func TestC1_Host(t *testing.T) {
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	port := strconv.Itoa(s.Port)
	for _, host := range []string{"evil.com:" + port, "evil.com", "127.0.0.1", "localhost", "127.0.0.1:1", "[::1]:" + port,
		"127.0.0.1.evil.com:" + port, "localhost.:" + port, "LOCALHOST:" + port, "127.1:" + port, "127.0.0.2:" + port,
		"user@127.0.0.1:" + port} {
		ask(t.Context(), t, "GET", s.base+"/lab", "", "Host: "+host).want(t, 403, "")
	}
	if reached.Load() != 0 {
		t.Errorf("%d requests reached the far server", reached.Load())
	}
	for _, host := range []string{"127.0.0.1:" + port, "localhost:" + port} {
		ask(t.Context(), t, "GET", s.base+"/lab", "", "Host: "+host).want(t, 200, "host="+host+"\n")
	}
}

// The port is left out of Host when it is 80, and only then.
func TestC1_HostPort80(t *testing.T) {
	for _, c := range []struct {
		port int
		host string
		ok   bool
	}{{80, "localhost", true}, {80, "127.0.0.1", true}, {80, "evil.com", false}, {8890, "localhost", false}} {
		if got := ours(c.host, c.port); got != c.ok {
			t.Errorf("%s at port %d: %v", c.host, c.port, got)
		}
	}
}

// raw sends bytes as no well-behaved client does.
func raw(t *testing.T, s *stage, request string) (status string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, request)
	status, _ = bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(status)
}

func TestC1_RawRequests(t *testing.T) {
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	ours := "Host: " + strings.TrimPrefix(s.base, "http://") + "\r\n\r\n"
	for request, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n":                                  "HTTP/1.0 403 Forbidden",
		"GET / HTTP/1.1\r\n\r\n":                                  "HTTP/1.1 400 Bad Request: missing required Host header",
		"GET http://evil.com/ HTTP/1.1\r\n" + ours:                "HTTP/1.1 403 Forbidden",
		"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + ours:                "HTTP/1.1 403 Forbidden",
		"CONNECT " + s.base[7:] + " HTTP/1.1\r\n" + ours:          "HTTP/1.1 400 Bad Request",
		"OPTIONS * HTTP/1.1\r\n" + ours:                           "HTTP/1.1 200 OK", // by net/http itself
		"GET / HTTP/1.1\r\nHost: evil.com\r\n" + ours:             "HTTP/1.1 400 Bad Request",
		"GET / HTTP/1.1\r\nOrigin: null\r\n" + ours:               "HTTP/1.1 403 Forbidden",
		"GET / HTTP/1.1\r\nOrigin: " + s.base + "\r\n" + ours:     "HTTP/1.1 200 OK",
		"GET " + s.base + "/x HTTP/1.1\r\n" + ours:                "HTTP/1.1 200 OK",
		"GET / HTTP/1.1\r\nOrigin:" + s.base + ".evil\r\n" + ours: "HTTP/1.1 403 Forbidden",
	} {
		if got := raw(t, s, request); got != want {
			t.Errorf("%q: %s, want %s", request, got, want)
		}
	}
	if reached.Load() != 2 {
		t.Errorf("%d requests reached the far server, want 2", reached.Load())
	}
}

func TestC2_Origin(t *testing.T) {
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	port := strconv.Itoa(s.Port)
	for _, origin := range []string{"http://evil.com", "http://evil.com:" + port, "null", "https://127.0.0.1:" + port,
		"http://127.0.0.1", "http://127.0.0.1:1", "http://localhost:" + port, s.base + "/", s.base + ".evil.com", "http://[::1]:" + port} {
		for _, kind := range [][]string{nil, websocketHeaders} {
			headers := append([]string{"Origin: " + origin}, kind...)
			a := ask(t.Context(), t, "GET", s.base+"/api/kernels/x/channels", "", headers...)
			a.want(t, 403, "")
			if a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("a CORS header")
			}
		}
		ask(t.Context(), t, "OPTIONS", s.base+"/api/kernels", "", "Origin: "+origin, "Access-Control-Request-Method: POST").want(t, 403, "")
	}
	ask(t.Context(), t, "GET", s.base+"/", "", "Origin: "+s.base, "Origin: http://evil.com").want(t, 403, "")
	if reached.Load() != 0 {
		t.Errorf("%d requests reached the far server", reached.Load())
	}
	ask(t.Context(), t, "POST", s.base+"/api/kernels", "x", "Origin: "+s.base).want(t, 200, "Origin: "+s.base)
	ask(t.Context(), t, "GET", s.base+"/", "", "Host: localhost:"+port, "Origin: http://localhost:"+port).want(t, 200, "")
}

func TestC3_ZeroAddress(t *testing.T) {
	s := newStage(t, echo)
	ask(t.Context(), t, "GET", s.base+"/lab", "", fmt.Sprintf("Host: 0.0.0.0:%d", s.Port)).want(t, 403, "")
	ask(t.Context(), t, "GET", s.base+"/lab", "", "Origin: http://0.0.0.0:"+strconv.Itoa(s.Port)).want(t, 403, "")
}

// Our own addresses: GET only, nothing for others, nothing that changes.
func TestC4_OwnEndpoints(t *testing.T) {
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	nonce := s.base + "/" + s.NewNonce("/lab")
	for _, c := range []struct {
		method, header string
		status         int
	}{
		{"GET", "Host: evil.com", 403}, {"GET", "Origin: http://evil.com", 403}, {"GET", "Origin: null", 403},
		{"POST", "A: b", 405}, {"HEAD", "A: b", 405}, {"DELETE", "A: b", 405}, {"OPTIONS", "A: b", 405},
		{"GET", "X-Big: " + strings.Repeat("x", 10<<20), 431},
	} {
		a := ask(t.Context(), t, c.method, nonce, "", c.header)
		if a.err == nil {
			a.want(t, c.status, "")
		} else if c.status != 431 { // the answer may be cut off by what is not read
			t.Error(a.err)
		}
		if a.Header.Get("Location") != "" || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %.40s: %v", c.method, c.header, a.Header)
		}
		if c.status != 431 && a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %.40s: %v", c.method, c.header, a.Header)
		}
	}
	for _, path := range []string{"", "x", "x/y", "../lab"} {
		ask(t.Context(), t, "GET", s.base+"/.nbremote/"+path, "").want(t, 410, "nbremote open")
	}
	if reached.Load() != 0 {
		t.Errorf("%d requests reached the far server", reached.Load())
	}
	ask(t.Context(), t, "GET", nonce, "").want(t, 302, "")
}

func TestAnswersAreEscaped(t *testing.T) {
	s := newStageTo(t, "127.0.0.1:1", func(s *stage) { s.Host, s.Command = "<b>'\"&", "nbremote open '<i>'" })
	a := ask(t.Context(), t, "GET", s.base+"/<u>?x=<u>", "", "Sec-Fetch-Dest: document")
	a.want(t, 503, "&lt;b&gt;&#39;&#34;&amp;")
	a.want(t, 503, "nbremote open &#39;&lt;i&gt;&#39;")
	if strings.Contains(a.body, "<b>") || strings.Contains(a.body, "<i>") || strings.Contains(a.body, "<u>") {
		t.Error(a.body)
	}
}

// A page at two ports is one page, and each port answers to its own name only.
func TestC1_EachPortToItsOwnName(t *testing.T) {
	var reached atomic.Int64
	s := newStage(t, counted(&reached))
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	first, second := strconv.Itoa(s.Port), strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: s.At(l.Addr().(*net.TCPAddr).Port), ReadHeaderTimeout: patient}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	for _, c := range []struct{ at, host, origin string }{
		{first, second, ""}, {second, first, ""}, {first, first, second}, {second, second, first},
	} {
		headers := []string{"Host: 127.0.0.1:" + c.host}
		if c.origin != "" {
			headers = append(headers, "Origin: http://127.0.0.1:"+c.origin)
		}
		ask(t.Context(), t, "GET", "http://127.0.0.1:"+c.at+"/lab", "", headers...).want(t, 403, "")
	}
	if reached.Load() != 0 {
		t.Errorf("%d requests reached the far server", reached.Load())
	}
	ask(t.Context(), t, "GET", "http://127.0.0.1:"+second+"/lab", "").want(t, 200, "host=127.0.0.1:"+second+"\n")
	once := ask(t.Context(), t, "GET", "http://127.0.0.1:"+second+"/"+s.NewNonce("/lab"), "")
	once.want(t, http.StatusFound, "")
	if to := once.Header.Get("Location"); to != "http://127.0.0.1:"+second+"/lab" {
		t.Errorf("it leads to %s", to)
	}
}
