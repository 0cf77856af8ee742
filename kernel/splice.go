package kernel

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

const greetTime = 30 * time.Second // that ZeroMQ here has for its greeting

// join passes bytes on both ways, and each end of them.
func join(near, far net.Conn) {
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		wg.Go(func() {
			if _, err := io.Copy(way[0], way[1]); err != nil {
				near.Close()
				far.Close()
				return
			}
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
		})
	}
	wg.Wait()
}

// peers are the kinds of sockets that a channel has: ours that faces the
// editor, and ours that faces the kernel.
func peers(channel string) (near, far zmq4.SocketType) {
	if channel == "iopub" {
		return zmq4.XPub, zmq4.Sub
	}
	return zmq4.Router, zmq4.Dealer
}

// greet does ZeroMQ's greeting; server: with the editor's side. That panics for a
// kind of socket that it does not know.
func greet(conn net.Conn, channel string, kind zmq4.SocketType, id zmq4.SocketIdentity, server bool) (z *zmq4.Conn, err error) {
	defer func() {
		if recover() != nil {
			z, err = nil, zmq4.ErrBadCmd
		}
	}()
	if server {
		conn.SetDeadline(time.Now().Add(greetTime))
		defer conn.SetDeadline(time.Time{})
	}
	return zmq4.Open(limit(conn, channel), null.Security(), kind, id, server, nil)
}

// echo answers heartbeats.
func echo(near net.Conn) {
	z, err := greet(near, "hb", zmq4.Rep, nil, true)
	if err != nil {
		return
	}
	for {
		m, err := z.RecvMsg()
		if err != nil {
			return
		}
		if m.Type == zmq4.UsrMsg && z.SendMsg(m) != nil {
			return
		}
	}
}

// look is shown each message of the editor's as soon as it comes, and is asked
// about it in its turn: it gives an answer for the editor, or passes it on.
type look struct {
	came func(frames [][]byte, at time.Time)
	turn func(frames [][]byte, at time.Time) (answer [][]byte, pass bool)
}

// splice passes messages on both ways, one connection there for one here, so
// that each side's order and identity stay. Where the kernel has another key
// than the editor, messages are signed anew. The editor's are read before there
// is one there, which may have to wait for the line.
func (p *Proxy) splice(near net.Conn, channel string, look *look) {
	nearKind, farKind := peers(channel)
	here, err := greet(near, channel, nearKind, nil, true)
	if err != nil {
		return
	}
	ours, theirs := p.Window.Key, p.Window.Key
	if p.kernel.State == "adopted" {
		theirs = p.kernel.Key
	}
	s := &spliced{here: here, joined: make(chan struct{}), over: make(chan struct{})}
	ctx, cancel := context.WithCancel(p.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer near.Close()
		defer close(s.over)
		far, err := p.dial(ctx, channel)
		if err != nil {
			return // the editor's side comes again
		}
		defer far.Close()
		defer context.AfterFunc(ctx, func() { far.Close() })()
		s.there, err = greet(far, channel, farKind, zmq4.SocketIdentity(here.Peer.Meta["Identity"]), false)
		if err != nil {
			return
		}
		close(s.joined)
		s.toEditor(ours, theirs)
	})
	s.toKernel(ours, theirs, look)
	cancel()
	wg.Wait()
}

type spliced struct {
	here, there *zmq4.Conn
	joined      chan struct{} // closed when there is one there
	over        chan struct{} // closed when there is none any more
	mu          sync.Mutex    // one message at a time to the editor
}

func (s *spliced) toEditor(ours, theirs string) {
	for {
		m, err := s.there.RecvMsg()
		if err != nil {
			return
		}
		if m.Type != zmq4.UsrMsg || ours != theirs && !signAnew(theirs, ours, m.Frames) {
			continue
		}
		if s.answer(m.Frames) != nil {
			return
		}
	}
}

func (s *spliced) answer(frames [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.here.SendMsg(zmq4.NewMsgFrom(frames...))
}

// came is one message, and when it did.
type came struct {
	zmq4.Msg
	at time.Time
}

const waiting = 64 // messages, behind one that waits for the line

// fromEditor reads on while a message waits, so that its time is known.
func (s *spliced) fromEditor(look *look, done <-chan struct{}) <-chan came {
	all := make(chan came, waiting)
	go func() {
		defer close(all)
		for {
			m, err := s.here.RecvMsg()
			if err != nil {
				return
			}
			c := came{m, time.Now()}
			if look != nil && m.Type == zmq4.UsrMsg {
				look.came(m.Frames, c.at)
			}
			select {
			case all <- c:
			case <-done:
				return
			}
		}
	}()
	return all
}

func (s *spliced) toKernel(ours, theirs string, look *look) {
	done := make(chan struct{})
	defer close(done)
	for m := range s.fromEditor(look, done) {
		if m.Type != zmq4.UsrMsg {
			continue
		}
		if look != nil {
			answer, pass := look.turn(m.Frames, m.at)
			if answer != nil && s.answer(answer) != nil {
				return
			}
			if !pass {
				continue
			}
		}
		if ours != theirs && !signAnew(ours, theirs, m.Frames) {
			continue
		}
		select {
		case <-s.joined:
		case <-s.over:
			return
		}
		if s.there.SendMsg(zmq4.NewMsgFrom(m.Frames...)) != nil {
			return
		}
	}
}

// wants sees that the editor wants the kernel to end: it may end the proxy before
// that message has its turn.
func (p *Proxy) wants(frames [][]byte, at time.Time) {
	if kindOf(p.Window.Key, frames) == "shutdown_request" {
		p.wanted.Store(&at)
	}
}

// control looks at what the editor wants of the kernel. What ends it or
// interrupts it is not done late; one that its own spec says to be interrupted by
// a signal is.
func (p *Proxy) control(frames [][]byte, at time.Time) (answer [][]byte, pass bool) {
	switch kindOf(p.Window.Key, frames) {
	case "shutdown_request":
		if !p.end(p.ctx, at, p.kernel.ending) {
			return p.refusal("shutdown_reply", frames), false
		}
	case "interrupt_request":
		if p.kernel.Message {
			if !p.interrupt(at, func() {}) {
				return p.refusal("interrupt_reply", frames), false
			}
			return nil, true
		}
		if !p.interrupt(at, p.kernel.interrupt) {
			return p.refusal("interrupt_reply", frames), false
		}
		answer, _ = answerTo(p.Window.Key, "interrupt_reply", frames, map[string]string{"status": "ok"})
		return answer, false
	}
	return nil, true
}

// refusal answers what was not done.
func (p *Proxy) refusal(kind string, frames [][]byte) [][]byte {
	answer, _ := answerTo(p.Window.Key, kind, frames, map[string]string{
		"status": "error", "ename": "LineDown", "evalue": "nbremote: not done: the line to " + p.On + " was down",
	})
	return answer
}
