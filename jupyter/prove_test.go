package jupyter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guard is a Jupyter as Prove sees it.
func guard(token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case token != "" && r.Header.Get("Authorization") != "token "+token:
			http.Error(w, "Forbidden", http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/api/status"):
			fmt.Fprint(w, `{"connections":0,"kernels":1,"last_activity":"x","started":"y"}`)
		}
	})
}

// serve gives a dial to an HTTP server and counts the connections.
func serve(t *testing.T, h http.Handler) (func(context.Context) (net.Conn, error), *atomic.Int32) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	var count atomic.Int32
	return func(ctx context.Context) (net.Conn, error) {
		count.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.Listener.Addr().String())
	}, &count
}

func TestProve(t *testing.T) {
	dial, count := serve(t, guard("good"))
	if err := Prove(t.Context(), dial, &Server{BaseURL: "/a/", Token: "good", Sock: "/s"}); err != nil {
		t.Fatal(err)
	}
	if count.Load() != 1 {
		t.Errorf("%d connections", count.Load())
	}
	var stranger *StrangerError
	if err := Prove(t.Context(), dial, &Server{BaseURL: "/", Token: "bad", Port: 8888}); !errors.As(err, &stranger) || stranger.Class() != "refused" {
		t.Errorf("wrong token: %v", err)
	}
	if err := Prove(t.Context(), dial, &Server{BaseURL: "/", Port: 8888, Password: true}); err != nil {
		t.Errorf("with a password: %v", err)
	}
	if err := Prove(t.Context(), dial, &Server{BaseURL: "/", Port: 8888}); !errors.As(err, &stranger) {
		t.Errorf("no token known: %v", err)
	}
}

func TestA11_OpenServerIsRefused(t *testing.T) {
	dial, _ := serve(t, guard(""))
	err := Prove(t.Context(), dial, &Server{BaseURL: "/", Token: "x", Port: 8888, ConfigFile: "~/.jupyter/jupyter_server_config.py"})
	var open *OpenServerError
	if !errors.As(err, &open) || open.Class() != "refused" || !strings.Contains(open.Cause(), "jupyter_server_config.py") {
		t.Errorf("%v", err)
	}
}

// talk is a server that says text to whoever comes, after the first request.
func talk(t *testing.T, speak func(net.Conn)) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer there.Close()
			go io.Copy(io.Discard, bufio.NewReader(there))
			speak(there)
		}()
		t.Cleanup(func() { here.Close(); <-done })
		return here, nil
	}
}

func TestD3_HostileAnswers(t *testing.T) {
	ok := "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	huge := strings.Repeat("x", bodyLimit+1)
	for name, text := range map[string]string{
		"nothing":           "",
		"ssh":               "SSH-2.0-OpenSSH_9.2\r\n",
		"half":              "HTTP/1.1 403 For",
		"one answer":        ok,
		"huge header":       "HTTP/1.1 403 Forbidden\r\nX: " + strings.Repeat(huge, 3) + "\r\n\r\n",
		"many headers":      "HTTP/1.1 403 Forbidden\r\n" + strings.Repeat("X: y\r\n", 1<<20),
		"huge length":       "HTTP/1.1 403 Forbidden\r\nContent-Length: 9999999999\r\n\r\n",
		"negative length":   "HTTP/1.1 403 Forbidden\r\nContent-Length: -5\r\n\r\n",
		"two lengths":       "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
		"huge body":         ok + "HTTP/1.1 200 OK\r\n\r\n" + huge + huge,
		"huge chunk":        ok + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + huge,
		"informational":     strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10),
		"odd status":        "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
		"not our json":      ok + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"html":              ok + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
		"moved elsewhere":   ok + "HTTP/1.1 302 Found\r\nLocation: http://evil.com/\r\nContent-Length: 0\r\n\r\n",
		"control character": "HTTP/1.1 403 For\x1b[2Jbidden\r\nContent-Length: 0\r\n\r\n\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			dial := talk(t, func(c net.Conn) { io.WriteString(c, text) })
			if err := Prove(t.Context(), dial, &Server{BaseURL: "/", Token: "secrettoken", Port: 1}); err == nil {
				t.Error("it is taken for ours")
			} else if len(err.Error()) > 1000 || strings.Contains(err.Error(), "secrettoken") {
				t.Errorf("error of %d bytes: %.200s", len(err.Error()), err)
			}
		})
	}
}

func TestD3_SilentServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	dial := talk(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	err := Prove(ctx, dial, &Server{BaseURL: "/", Token: "x", Port: 1})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if err == nil && (a.status < 200 || a.status > 599 || len(a.body) > bodyLimit) {
			t.Fatalf("%d, %d bytes", a.status, len(a.body))
		}
	})
}
