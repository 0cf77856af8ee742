package kernel

import (
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

// look is asked about each message of the editor's; it gives an answer for the
// editor, or passes the message on.
type look func(frames [][]byte) (answer [][]byte, pass bool)

// splice passes messages on both ways, one connection there for one here, so
// that each side's order and identity stay. Where the kernel has another key
// than the editor, messages are signed anew.
func (p *Proxy) splice(near, far net.Conn, channel string, look look) {
	nearKind, farKind := peers(channel)
	here, err := greet(near, channel, nearKind, nil, true)
	if err != nil {
		return
	}
	there, err := greet(far, channel, farKind, zmq4.SocketIdentity(here.Peer.Meta["Identity"]), false)
	if err != nil {
		return
	}
	ours, theirs := p.Window.Key, p.Window.Key
	if p.kernel.State == "adopted" {
		theirs = p.kernel.Key
	}
	s := &spliced{here: here, there: there}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer near.Close()
		s.toEditor(ours, theirs)
	})
	s.toKernel(ours, theirs, look)
	far.Close()
	wg.Wait()
}

type spliced struct {
	here, there *zmq4.Conn
	mu          sync.Mutex // one message at a time to the editor
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

func (s *spliced) toKernel(ours, theirs string, look look) {
	for {
		m, err := s.here.RecvMsg()
		if err != nil {
			return
		}
		if m.Type != zmq4.UsrMsg {
			continue
		}
		if look != nil {
			answer, pass := look(m.Frames)
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
		if s.there.SendMsg(zmq4.NewMsgFrom(m.Frames...)) != nil {
			return
		}
	}
}

// control looks at what the editor wants of the kernel: one that its own spec
// says to be interrupted by a signal is; that it is to end is remembered.
func (p *Proxy) control(frames [][]byte) (answer [][]byte, pass bool) {
	switch kindOf(p.Window.Key, frames) {
	case "shutdown_request":
		p.once.Do(func() { close(p.asked) })
		p.kernel.ending()
	case "interrupt_request":
		if p.kernel.Message {
			break
		}
		answer, err := answerTo(p.Window.Key, "interrupt_reply", frames)
		if err == nil {
			p.kernel.interrupt()
			return answer, false
		}
	}
	return nil, true
}
