package holder

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A request waits until its answer begins, or the browser gives it up; one that
// became a websocket does not wait.
func TestWaiting_UntilTheAnswerBegins(t *testing.T) {
	var c waiting
	next := make(chan string)
	done := make(chan struct{})
	stage := make(chan struct{})
	server := httptest.NewServer(c.in(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for step := range next {
			switch step {
			case "announce":
				w.WriteHeader(http.StatusEarlyHints)
			case "header":
				w.WriteHeader(http.StatusNoContent)
			case "write":
				fmt.Fprint(w, "x")
			case "hijack":
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
			case "end":
				done <- struct{}{}
				return
			}
			stage <- struct{}{}
		}
	})))
	defer server.Close()
	for _, answer := range []string{"header", "write", "hijack"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		next <- "announce"
		<-stage
		if n := c.n.Load(); n != 1 {
			t.Errorf("%s: %d wait before the answer", answer, n)
		}
		next <- answer
		<-stage
		if n := c.n.Load(); n != 0 {
			t.Errorf("%s: %d wait after it", answer, n)
		}
		next <- "end"
		<-done
		conn.Close()
	}
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	next <- "end"
	<-done
	http.ReadResponse(bufio.NewReader(conn), nil)
	conn.Close()
	if n := c.n.Load(); n != 0 {
		t.Errorf("%d wait after all", n)
	}
}
