package sshd

import (
	"io"
	"net"
	"sync"
)

// gate holds all who pass while it is shut. The zero value is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil = open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until the gate is open; false if done came first.
func (g *gate) pass(done <-chan struct{}) bool {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return true
		}
		select {
		case <-opened:
		case <-done:
			return false
		}
	}
}

// wire is a client's TCP connection with the faults of bytes.
type wire struct {
	net.Conn
	gate *gate
	done chan struct{}
	once sync.Once

	mu    sync.Mutex
	limit int64 // bytes that may still be written, -1 = any number
}

func newWire(c net.Conn, g *gate, stopAfter int64) *wire {
	if stopAfter == 0 {
		stopAfter = -1
	}
	return &wire{Conn: c, gate: g, done: make(chan struct{}), limit: stopAfter}
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if !w.gate.pass(w.done) {
		return 0, net.ErrClosed
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	if !w.gate.pass(w.done) {
		return 0, net.ErrClosed
	}
	if n, err := w.Conn.Write(b[:w.allowed(len(b))]); err != nil {
		return n, err
	}
	return len(b), nil
}

func (w *wire) allowed(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit < 0 {
		return n
	}
	n = int(min(int64(n), w.limit))
	w.limit -= int64(n)
	return n
}

func (w *wire) Close() error {
	err := w.Conn.Close() // first: who waits for done must find it closed
	w.once.Do(func() { close(w.done) })
	return err
}

// drain reads until the client has gone.
func (w *wire) drain() { io.Copy(io.Discard, w) }
