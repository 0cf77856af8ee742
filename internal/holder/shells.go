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
	conn  *sshx.Conn
	mu    sync.Mutex
	idle  []*shell
	open  int
	limit int
	freed chan struct{} // closed and replaced when a shell is given back or the limit changes
}

type shell struct {
	process *sshx.Process
	answers *bufio.Reader
	used    bool
}

func newShells(conn *sshx.Conn) *shells {
	return &shells{conn: conn, limit: maxShells, freed: make(chan struct{})}
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
		if n := len(s.idle); n > 0 {
			sh := s.idle[n-1]
			s.idle = s.idle[:n-1]
			s.mu.Unlock()
			return sh, nil
		}
		if s.open < s.limit {
			s.open++
			s.mu.Unlock()
			p, err := s.conn.Exec(ctx, remote.Command)
			if err == nil {
				go io.Copy(io.Discard, p.Stderr)
				return &shell{process: p, answers: bufio.NewReaderSize(p.Stdout, 64<<10)}, nil
			}
			s.mu.Lock()
			s.open--
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
		case <-s.conn.Done():
			return nil, lost(s.conn)
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
	case <-s.conn.Done():
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
	s.idle = append(s.idle, sh)
	s.signal()
	s.mu.Unlock()
}

func (s *shells) drop(sh *shell) {
	sh.process.Close()
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
	stop := context.AfterFunc(ctx, func() { sh.process.Close() })
	defer stop()
	nonce := remote.NewNonce()
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(sh.process.Stdin, remote.Frame(nonce, script))
		written <- err
	}()
	answer, err := remote.ReadAnswer(sh.answers, nonce)
	if err != nil {
		sh.process.Close()
		<-written
		return nil, err
	}
	if err := <-written; err != nil {
		return nil, err
	}
	return answer.Stdout, answer.Err()
}
