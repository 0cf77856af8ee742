// Package sshd is a small SSH server inside this program: the far side of the
// demo and of the fault tests. It runs commands as the user it runs as, and
// forwards to TCP and Unix sockets, the way OpenSSH's sshd does; it can also
// misbehave on request. It is never a way into somebody's machine: it listens
// on loopback and lives as long as its caller.
package sshd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// acceptPause is for when accepting fails, as with no file descriptors left.
const acceptPause = 10 * time.Millisecond

// Server is one listening SSH server. Set its fields before Start; later only
// the methods change anything. With no keys and no functions to ask, nobody
// can sign in.
type Server struct {
	Addr          string       // where to listen, "" = 127.0.0.1:0
	HostKeys      []ssh.Signer // none = a new Ed25519 key; see also SetHostKeys
	ServerVersion string       // "" = that of the library; else starts with SSH-2.0-
	Banner        string       // shown before signing in, "" = none

	User           string // the only name that may sign in, "" = any
	NoAuth         bool   // everybody may sign in, unasked
	AuthorizedKeys []ssh.PublicKey
	UserCAs        []ssh.PublicKey                  // their certificates may sign in
	Password       func(user, password string) bool // nil = no passwords
	Keyboard       func(user string, ask ssh.KeyboardInteractiveChallenge) error
	SecondFactor   bool // a key or password is not enough: Keyboard must follow
	MaxAuthTries   int  // 0 = 6

	Shell     string   // runs the commands, "" = /bin/sh
	Env       []string // of the commands, nil = our own
	Dir       string   // where commands start, "" = HOME in Env
	AcceptEnv []string // patterns of what a client may set, nil = LANG and LC_*

	Faults Faults // what to do wrong; see also SetFaults

	mu       sync.Mutex
	listener net.Listener
	conns    map[*wire]bool
	commands map[*command]bool
	accepted int
	closed   bool
	gate     gate
	done     chan struct{} // closed by Close
	forget   func() bool   // the ctx of Start
	running  sync.WaitGroup
}

// Start listens and serves until Close, or until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	if len(s.HostKeys) == 0 {
		key, _, err := NewKey()
		if err != nil {
			return err
		}
		s.HostKeys = []ssh.Signer{key}
	}
	addr := s.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for ssh: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil || s.closed {
		l.Close()
		return errors.New("listen for ssh: this server was started before")
	}
	s.listener, s.done = l, make(chan struct{})
	s.conns, s.commands = map[*wire]bool{}, map[*command]bool{}
	s.running.Go(func() { s.accept(l) })
	s.forget = context.AfterFunc(ctx, func() { s.Close() })
	return nil
}

// Address is host:port of the listener.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close ends every connection and kills what still lives in the process
// groups of the commands; what has made a session of its own (setsid) lives on.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed || s.listener == nil {
		s.closed = true
		s.mu.Unlock()
		s.running.Wait()
		return nil
	}
	s.closed = true
	close(s.done)
	s.forget()
	err := s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	commands := s.commands
	s.commands = nil
	s.mu.Unlock()
	for c := range commands {
		c.kill()
	}
	s.running.Wait()
	return err
}

func (s *Server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(acceptPause)
			continue
		}
		w := s.admit(c)
		if w == nil {
			c.Close()
			return
		}
		s.running.Go(func() {
			defer s.dismiss(w)
			s.serve(w)
		})
	}
}

func (s *Server) admit(c net.Conn) *wire {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	w := newWire(c, &s.gate, s.Faults.StopAfter)
	s.conns[w] = true
	s.accepted++
	return w
}

func (s *Server) dismiss(w *wire) {
	w.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, w)
}

// serve speaks SSH on one connection until it ends.
func (s *Server) serve(w *wire) {
	faults := s.faults()
	if faults.Silent {
		w.drain()
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(w, s.config(w))
	if err != nil {
		return
	}
	defer conn.Close()
	if faults.CloseAfterAuth {
		return
	}
	peer := &peer{server: s, conn: conn, wire: w}
	s.running.Go(func() { peer.global(requests) })
	peer.channels(channels)
}
