package sshx

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// calls counts the writes that reach a connection.
type calls struct {
	net.Conn
	mu sync.Mutex
	n  int
	b  bytes.Buffer
}

func (c *calls) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.b.Write(b)
}

func (c *calls) got() (int, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.b.Len()
}

// The first piece of a packet waits for the second, and not for long.
func TestWatched_JoinsThePieces(t *testing.T) {
	c := &calls{}
	w := watch(c)
	w.Write(make([]byte, 100))
	if n, size := c.got(); n != 1 || size != 100 {
		t.Errorf("%d writes, %d bytes: what is small waits", n, size)
	}
	w.Write(make([]byte, firstSize))
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, size := c.got(); size == 100+firstSize {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("a packet of just this size stays")
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	var want []byte
	w = watch(near)
	for i := range 300 {
		piece := bytes.Repeat([]byte{byte(i)}, []int{firstSize, 28000, 64, firstSize, firstSize, 17}[i%6])
		want = append(want, piece...)
		if n, err := w.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
		clear(piece) // it is the writer's again
	}
	got := make([]byte, len(want))
	far.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("something else arrived: %v", err)
	}
	w.Close()
	w.Write(make([]byte, firstSize))
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write after Close is no error")
	}
}
