package holder

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What comes in one piece with the answer is not lost, whoever copies.
func TestClient_FirstBytesWithTheAnswer(t *testing.T) {
	sock := filepath.Join(newPlace(t).Run, "x.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		near, err := l.Accept()
		if err != nil {
			return
		}
		defer near.Close()
		if _, err := http.ReadRequest(bufio.NewReader(near)); err == nil {
			io.WriteString(near, switching+"SSH-2.0-OpenSSH_9.2\r\n")
		}
	}()
	far, err := (&Client{Sock: sock}).DialDirect(limit(t), "tcp", "10.0.0.1:22")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() { io.Copy(w, far); w.Close() }()
	if got, err := io.ReadAll(r); string(got) != "SSH-2.0-OpenSSH_9.2\r\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// A holder that ends under a command is a lost line: exit code 9.
func TestClient_HolderEnds(t *testing.T) {
	sock := filepath.Join(newPlace(t).Run, "x.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if near, err := l.Accept(); err == nil {
			http.ReadRequest(bufio.NewReader(near))
			near.Close()
		}
	}()
	_, err = (&Client{Sock: sock}).Run(limit(t), "true")
	var classed interface{ Class() string }
	if !errors.Is(err, ErrNone) || !errors.As(err, &classed) || classed.Class() != "line" {
		t.Errorf("got %v", err)
	}
}

// A holder that is stopped answers nobody: what asks it for a line, or to end,
// says so and does not wait for ever.
func TestClient_HolderIsStopped(t *testing.T) {
	defer func(d time.Duration) { testOnlyAnswer = d }(testOnlyAnswer)
	testOnlyAnswer = 50 * time.Millisecond
	sock := filepath.Join(newPlace(t).Run, "x.sock")
	l, err := net.Listen("unix", sock) // the kernel takes connections, nobody else does
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &Client{Sock: sock}
	_, attach := c.Attach(limit(t), AttachOptions{})
	_, status := c.Status(limit(t))
	for what, err := range map[string]error{"attach": attach, "status": status, "close": c.Close(limit(t))} {
		var e *SilentError
		if !errors.As(err, &e) || errors.Is(err, ErrNone) || e.PID != os.Getpid() || e.Class() != "line" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
