package holder

import (
	"context"
	"sync"

	"nbremote/sshx"
)

// signIns are the dials of a link. It gives up those that take long, and a
// person takes long: a dial in which one is asked is the only one, goes on when
// those who wanted it are gone, and serves whoever wants the next.
type signIns struct {
	mu     sync.Mutex
	person *signIn    // somebody is asked in it
	given  *sshx.Conn // what the last of those gave, until the line is up by it
	others map[*signIn]struct{}
}

// signIn is one dial.
type signIn struct {
	all    *signIns
	cancel context.CancelFunc
	done   chan struct{}
	conn   *sshx.Conn
	err    error
}

type signInKey struct{}

// sameError is an error of a dial that another has been told already.
type sameError struct{ error }

func (e *sameError) Unwrap() error { return e.error }

// connect dials, or waits for the dial that a person takes part in. That one
// ends with life only.
func (all *signIns) connect(ctx, life context.Context, person func() bool, dial func(context.Context) (*sshx.Conn, error)) (*sshx.Conn, error) {
	for {
		s := all.join(life, person, dial)
		if s == nil {
			return nil, errNotNow
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			all.leave(s)
			return nil, context.Cause(ctx)
		}
		conn, err, mine := all.take(s)
		switch {
		case mine:
			return conn, err
		case err != nil && ctx.Err() == nil && life.Err() == nil && all.asked() != nil:
			continue // it made room for the one with the person
		case err != nil:
			return nil, &sameError{err}
		}
		return nil, errNotNow // another has the connection
	}
}

func (all *signIns) asked() *signIn {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.person
}

// join gives the dial to wait for; nil: one has just been won, and is being
// made use of.
func (all *signIns) join(life context.Context, person func() bool, dial func(context.Context) (*sshx.Conn, error)) *signIn {
	asks := person()
	all.mu.Lock()
	defer all.mu.Unlock()
	if s := all.person; s != nil && !s.dead() {
		return s
	}
	if all.given != nil && !over(all.given) {
		return nil
	}
	all.given = nil
	s := &signIn{all: all, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithValue(life, signInKey{}, s))
	s.cancel = cancel
	if all.person = nil; asks {
		all.person = s
	} else {
		if all.others == nil {
			all.others = map[*signIn]struct{}{}
		}
		all.others[s] = struct{}{}
	}
	go func() {
		s.conn, s.err = dial(ctx)
		close(s.done)
	}()
	return s
}

// dead: it has ended, and its connection too.
func (s *signIn) dead() bool {
	select {
	case <-s.done:
	default:
		return false
	}
	return s.conn == nil || over(s.conn)
}

func over(conn *sshx.Conn) bool {
	select {
	case <-conn.Done():
		return true
	default:
		return false
	}
}

// take gives the result to the first who comes for it.
func (all *signIns) take(s *signIn) (conn *sshx.Conn, err error, mine bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	_, other := all.others[s]
	if !other && all.person != s {
		return nil, s.err, false
	}
	delete(all.others, s)
	if all.person == s {
		all.person, all.given = nil, s.conn
	}
	s.cancel()
	return s.conn, s.err, true
}

// leave ends a dial whose result nobody wants.
func (all *signIns) leave(s *signIn) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if _, other := all.others[s]; other {
		delete(all.others, s)
		s.drop()
	}
}

func (s *signIn) drop() {
	s.cancel()
	go func() {
		if <-s.done; s.conn != nil {
			s.conn.Close()
		}
	}()
}

// withdraw ends the dial that asks a person: the line is there without it.
func (all *signIns) withdraw() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.given = nil
	if all.person != nil {
		all.person.drop()
		all.person = nil
	}
}

// asks says whether the dial of ctx may ask a person: one at a time does, and
// all others make room for it.
func asks(ctx context.Context) bool {
	s, ok := ctx.Value(signInKey{}).(*signIn)
	if !ok {
		return true
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if _, other := s.all.others[s]; other && s.all.person == nil {
		s.all.person = s
		delete(s.all.others, s)
		for other := range s.all.others {
			other.drop()
		}
		clear(s.all.others)
	}
	return s.all.person == s
}
