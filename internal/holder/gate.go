package holder

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxThrough = 600             // connections of one gate at once
	dialTime   = 2 * time.Minute // while a line is down, say
)

// gate takes the connections of one local port or socket, and ends them with
// itself.
type gate struct {
	l      net.Listener
	handle func(near net.Conn, r *bufio.Reader)

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	wg     sync.WaitGroup
}

// openGate begins to take connections. handle need not close them.
func openGate(l net.Listener, handle func(near net.Conn, r *bufio.Reader)) *gate {
	g := &gate{l: l, handle: handle, open: map[net.Conn]bool{}}
	g.wg.Go(g.serve)
	return g
}

func (g *gate) serve() {
	for {
		near, err := g.l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor left, say
			time.Sleep(50 * time.Millisecond)
		case !g.enter(near):
			near.Close()
		default:
			g.wg.Go(func() { defer g.leave(near); g.take(near) })
		}
	}
}

// take handles a connection unless it is another user's, who is found out by its
// first Read.
func (g *gate) take(near net.Conn) {
	if _, err := near.Read(nil); err == nil {
		g.handle(near, bufio.NewReaderSize(near, 4<<10))
	}
}

func (g *gate) enter(near net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.open) >= maxThrough {
		return false
	}
	g.open[near] = true
	return true
}

func (g *gate) leave(near net.Conn) {
	near.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, near)
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// close frees the port, ends the connections and waits for their ends.
func (g *gate) close() {
	g.l.Close()
	g.mu.Lock()
	g.closed = true
	for near := range g.open {
		near.Close()
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// whilePresent dials for somebody who may give up meanwhile, so that what he
// wanted is not done much later. An end of what he sends counts as that after
// grace: he may only have nothing more to say.
func whilePresent(near net.Conn, r *bufio.Reader, grace time.Duration, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for n := 1; n <= r.Size(); n = r.Buffered() + 1 {
			if _, err := r.Peek(n); err == io.EOF && grace > 0 {
				time.AfterFunc(grace, cancel)
				return
			} else if err != nil {
				cancel()
				return
			}
		}
	}()
	far, err := dial(ctx)
	near.SetReadDeadline(time.Now()) // ends the look
	<-watched
	near.SetReadDeadline(time.Time{})
	return far, err
}
