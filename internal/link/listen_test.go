//go:build unix

package link

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
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
	ln, err := l.Listen(context10(t), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Listen(context10(t), "tcp", at)
	if reset := new(ResetError); !errors.As(err, &reset) || reset.Code != ResetRefused {
		t.Errorf("a port that is taken: %v", err)
	}
	lab.Accept(ln, lab.Echo)
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

// So does a socket: it is the account's alone, takes the place of one that was
// left, and of nothing else, and is gone with its end.
func TestListen_Socket(t *testing.T) {
	t.Parallel()
	l := newLink(t, Config{Carrier: (&line{r: startRelay(t)}).open})
	at := filepath.Join(t.TempDir(), "x.sock")
	left, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(context10(t), "unix", at); err == nil {
		t.Error("a socket that is in use was replaced")
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	ln, err := l.Listen(context10(t), "unix", at)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(at); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	told := make(chan string, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			b, _ := io.ReadAll(c)
			told <- string(b)
			c.Close()
		}
	}()
	c, err := net.Dial("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "here")
	c.Close()
	if text := <-told; text != "here" {
		t.Errorf("it was told %q", text)
	}
	ln.Close()
	eventually(t, "the socket to be gone", func() bool { _, err := os.Lstat(at); return err != nil })

	text := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(text, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, filepath.Dir(text), strings.Repeat("a", 200), "/nowhere/x.sock"} {
		_, err := l.Listen(context10(t), "unix", path)
		if reset := new(ResetError); !errors.As(err, &reset) || reset.Code != ResetRefused {
			t.Errorf("%.20s: %v", path, err)
		}
	}
	if b, err := os.ReadFile(text); string(b) != "mine" {
		t.Errorf("the file is %q, %v", b, err)
	}
}
