package holder

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"

	"nbremote/internal/remote"
	"nbremote/sshx"
)

// maxShells is how many scripts run on a host at once; the others wait. A
// server that allows fewer sessions (MaxSessions) is found out and obeyed.
const maxShells = 3

// shells runs scripts on one connection, on shells that stay open: the second
// script costs one round trip.
type shells struct {
	start func(ctx context.Context) (*session, error)
	done  <-chan struct{} // closed when the line is lost for good; nil: never
	lost  func() error
	mu    sync.Mutex
	idle  []*shell
	open  int
	limit int
	freed chan struct{} // closed and replaced when a shell is given back or the limit changes
	// paused: the sessions are wanted for something else.
	paused bool
}

// session is a /bin/sh that reads its stdin.
type session struct {
	stdin  io.Writer
	stdout io.Reader
	close  func() error
	said   *remote.Complaints // on stderr; nil: that is not known
	done   <-chan struct{}    // closed when it has ended; nil: that is not known
}

// errPaused says that the sessions were wanted for something else.
var errPaused = errors.New("the sessions are wanted for the relay")

type shell struct {
	process *session
	answers *bufio.Reader
	used    bool
}

func newShells(start func(ctx context.Context) (*session, error)) *shells {
	return &shells{start: start, limit: maxShells, freed: make(chan struct{})}
}

// directShells are sessions of the connection itself.
func directShells(conn *sshx.Conn) *shells {
	s := newShells(func(ctx context.Context) (*session, error) { return directSession(ctx, conn) })
	s.done, s.lost = conn.Done(), func() error { return lost(conn) }
	return s
}

func directSession(ctx context.Context, conn *sshx.Conn) (*session, error) {
	p, err := conn.Exec(ctx, remote.Command)
	if err != nil {
		return nil, err
	}
	return &session{stdin: p.Stdin, stdout: p.Stdout, close: p.Close, said: remote.ReadComplaints(p.Stderr)}, nil
}

// pause closes the shells that are idle, has those that are busy close, and
// waits until none is left; no script starts until resume.
func (s *shells) pause(ctx context.Context) {
	for {
		s.mu.Lock()
		if !s.paused {
			s.paused = true
			s.signal()
		}
		idle := s.idle
		s.idle = nil
		s.open -= len(idle)
		left, freed := s.open, s.freed
		s.mu.Unlock()
		for _, sh := range idle {
			sh.process.close()
		}
		if left <= 0 {
			return
		}
		select {
		case <-freed:
		case <-s.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *shells) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
	s.signal()
}

// run runs one script and returns what it printed.
func (s *shells) run(ctx context.Context, script string) ([]byte, error) {
	for {
		sh, err := s.take(ctx)
		if err != nil {
			return nil, err
		}
		out, err := sh.run(ctx, script)
		var answered *remote.ScriptError
		if err == nil || errors.As(err, &answered) {
			sh.used = true
			s.give(sh)
			return out, err
		}
		s.drop(sh)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// A shell that was idle may have been ended by the server meanwhile,
		// and a server with few sessions refuses the next one: once more, on
		// another.
		if sh.used || s.fewer() {
			continue
		}
		return nil, err
	}
}

func (s *shells) take(ctx context.Context) (*shell, error) {
	for {
		s.mu.Lock()
		if s.paused {
			s.mu.Unlock()
			return nil, errPaused
		}
		if n := len(s.idle); n > 0 {
			sh := s.idle[n-1]
			s.idle = s.idle[:n-1]
			s.mu.Unlock()
			return sh, nil
		}
		if s.open < s.limit {
			s.open++
			s.mu.Unlock()
			p, err := s.start(ctx)
			if err == nil {
				return &shell{process: p, answers: bufio.NewReaderSize(p.stdout, 64<<10)}, nil
			}
			s.mu.Lock()
			s.open--
			s.signal() // others may wait for it, or for none to be left
			s.mu.Unlock()
			if ctx.Err() == nil && s.fewer() {
				continue
			}
			return nil, err
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-s.done:
			return nil, s.lost()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fewer lowers the limit to what is open now; false when nothing is open, so
// that waiting would be for ever.
func (s *shells) fewer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return false
	default:
	}
	if s.open == 0 || s.open >= s.limit {
		return false
	}
	s.limit = s.open
	return true
}

func (s *shells) give(sh *shell) {
	s.mu.Lock()
	if s.paused {
		s.mu.Unlock()
		s.drop(sh)
		return
	}
	s.idle = append(s.idle, sh)
	s.signal()
	s.mu.Unlock()
}

func (s *shells) drop(sh *shell) {
	sh.process.close()
	s.mu.Lock()
	s.open--
	s.signal()
	s.mu.Unlock()
}

func (s *shells) signal() {
	close(s.freed)
	s.freed = make(chan struct{})
}

// run writes the script and reads its answer; the end of ctx closes the shell,
// which is then of no more use.
func (sh *shell) run(ctx context.Context, script string) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { sh.process.close() })
	defer stop()
	nonce := remote.NewNonce()
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(sh.process.stdin, remote.Frame(nonce, script))
		written <- err
	}()
	answer, err := remote.ReadAnswer(sh.answers, nonce)
	if err != nil {
		if said := sh.process.said; said != nil && !sh.used && ctx.Err() == nil {
			err = said.Of(err)
		}
		sh.process.close()
		<-written
		return nil, err
	}
	if err := <-written; err != nil {
		return nil, err
	}
	return answer.Stdout, answer.Err()
}
