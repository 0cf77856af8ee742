package webproxy

import (
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

func TestListenTaken(t *testing.T) {
	l, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if l.Addr().String() != "127.0.0.1:"+strconv.Itoa(port) {
		t.Errorf("listens on %s", l.Addr())
	}
	_, err = Listen(port)
	var taken *TakenError
	if !errors.As(err, &taken) || taken.Port != port || taken.Class() != "other" {
		t.Fatalf("%v", err)
	}
	if listenerOf(port) != "" && !strings.HasSuffix(taken.By, ", pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("taken by %q", taken.By)
	}
	l.Close()
	if l, err = Listen(port); err != nil {
		t.Errorf("after it was closed: %v", err)
	} else {
		l.Close()
	}
}

// Another user on [::1] or 127.0.0.2 at our port sees nothing of it.
func TestB2_OthersOnThePort(t *testing.T) {
	s := newStage(t, echo)
	var seen atomic.Int64
	for _, host := range []string{"::1", "127.0.0.2"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(s.Port)))
		if err != nil {
			t.Logf("no listener on %s: %v", host, err)
			continue
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				seen.Add(1)
				c.Close()
			}
		}()
	}
	nonce := ask(t.Context(), t, "GET", s.base+"/"+s.NewNonce("/lab"), "")
	nonce.want(t, http.StatusFound, "")
	ask(t.Context(), t, "GET", nonce.Header.Get("Location"), "").want(t, 200, "/lab")
	if seen.Load() != 0 {
		t.Errorf("others saw %d connections", seen.Load())
	}
	// One who listens there first does not take the port from us.
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		defer l.Close()
		ours, err := Listen(l.Addr().(*net.TCPAddr).Port)
		if err != nil {
			t.Errorf("listen beside [::1]: %v", err)
		} else {
			ours.Close()
		}
	}
}
