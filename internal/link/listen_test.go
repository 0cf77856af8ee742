//go:build unix

package link

import (
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// freePort of this machine.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// A port of the host leads here, over cuts: connections that come while there is
// no carrier are taken after it, and no byte is lost. Its end frees the port.
func TestListen_OverCuts(t *testing.T) {
	t.Parallel()
	n := &line{r: startRelay(t)}
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20)})
	port := freePort(t)
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ln, err := l.Listen(context10(t), port)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Listen(context10(t), port)
	if reset := new(ResetError); !errors.As(err, &reset) || reset.Code != ResetRefused {
		t.Errorf("a port that is taken: %v", err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	for i := range 20 {
		c, err := net.Dial("tcp4", at)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		text := strconv.Itoa(i) + " there and back"
		io.WriteString(c, text)
		n.last().Close()
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || string(b) != text {
			t.Fatalf("%d: %q, %v", i, b, err)
		}
		c.Close()
	}
	idle, err := net.Dial("tcp4", at) // waits to be taken, or is echoed to
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ln.Close()
	eventually(t, "the port to be free", func() bool {
		again, err := net.Listen("tcp4", at)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
}
