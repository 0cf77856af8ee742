package holder

import (
	"context"
	"errors"
	"sync"
	"time"

	"nbremote/sshx"
)

// line is the connection to the target: dialled, watched, dialled again. It
// tells every change to notify.
type line struct {
	dial   func(ctx context.Context, again bool) (*sshx.Conn, error)
	person func() bool // the last sign-in needed a person: never redial unasked
	asker  func() bool // somebody who can be asked is connected
	asking func() bool // somebody is asked
	notify func(Event)
	name   string

	mu      sync.Mutex
	state   State
	since   time.Time
	down    time.Time // when the line was lost; zero while it is up
	nextTry time.Time
	err     error
	conn    *sshx.Conn
	changed chan struct{} // closed and replaced at each change
	kick    chan struct{} // a wish to dial now
	doubt   chan struct{} // a wish to have the connection replaced: it is silent
	handed  chan struct{} // closed when somebody else dials from here on
	begging func()        // then: asks for a dial
	suspect func()        // then: the line is doubted
	back    chan struct{} // a wish to dial ourselves again
}

func newLine(name string) *line {
	return &line{
		name: name, state: Connecting, since: time.Now(), changed: make(chan struct{}),
		kick: make(chan struct{}, 1), doubt: make(chan struct{}), handed: make(chan struct{}),
		back: make(chan struct{}, 1),
	}
}

// run dials and dials again until ctx ends or, before the first success, a
// dial fails; it returns that failure. After handOver it only waits, until
// takeBack.
func (l *line) run(ctx context.Context) error {
	everUp := false
	for failures := 0; ctx.Err() == nil; {
		if l.isHanded() {
			select {
			case <-l.back:
				failures = 0
				l.unasked(ctx, nil)
			case <-ctx.Done():
			}
			continue
		}
		conn, err := l.connect(ctx, everUp)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			l.failed(err, failures)
			if !everUp {
				return err
			}
			failures++
			if !l.waitForTry(ctx) {
				l.unasked(ctx, err)
			}
			continue
		}
		everUp, failures = true, 0
		if err := l.hold(ctx, conn); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// hold keeps a connection until it is lost or handed over; an error: ctx has
// ended.
func (l *line) hold(ctx context.Context, conn *sshx.Conn) error {
	l.set(Up, nil, conn)
	for {
		select {
		case <-conn.Done():
			l.set(Down, lost(conn), nil)
			l.unasked(ctx, lost(conn))
			return nil
		case <-l.doubt:
			conn = l.beside(ctx, conn)
			l.set(Up, nil, conn)
		case <-l.elsewhere():
			return nil
		case <-ctx.Done():
			l.set(Down, ctx.Err(), nil)
			conn.Close()
			return ctx.Err()
		}
	}
}

// unasked waits, before a dial that would ask a person by itself, for a wish of
// somebody who can be asked. Others, the hosts behind this one say, are told why
// there is none.
func (l *line) unasked(ctx context.Context, lost error) {
	for l.person() && !l.asker() && ctx.Err() == nil && !l.isHanded() {
		l.mu.Lock()
		l.nextTry = time.Time{}
		l.mu.Unlock()
		why := l.needsPerson(lost)
		l.set(NeedsSignIn, why, nil)
		if l.waitForTry(ctx) && !l.asker() {
			l.notify(Event{Kind: "error", Error: newError(why)})
		}
	}
}

func lost(conn *sshx.Conn) error {
	if err := conn.Err(); err != nil {
		return err
	}
	return errors.New("the connection ended")
}

// failed enters the state that a failed dial leads to, and sets when to try
// next.
func (l *line) failed(err error, failures int) {
	var classed interface{ Class() string }
	state, wait := Down, backOff(failures)
	if errors.As(err, &classed) {
		switch classed.Class() {
		case "sign-in":
			state, wait = NeedsSignIn, 0
		case "host-key":
			state, wait = Stopped, 0
		}
	}
	l.mu.Lock()
	l.nextTry = time.Time{}
	if wait > 0 {
		l.nextTry = time.Now().Add(wait)
	}
	l.mu.Unlock()
	l.set(state, err, nil)
	l.notify(Event{Kind: "error", Error: newError(err)})
}

// backOff is the pause after so many failures in a row: a second for about
// two minutes, five seconds to ten minutes, then twenty seconds for ever.
func backOff(failures int) time.Duration {
	switch {
	case failures < 60:
		return time.Second
	case failures < 150:
		return 5 * time.Second
	}
	return 20 * time.Second
}

// waitForTry waits for the time of the next try, or for a wish; true: for that.
func (l *line) waitForTry(ctx context.Context) (wished bool) {
	l.mu.Lock()
	var due <-chan time.Time
	if !l.nextTry.IsZero() {
		t := time.NewTimer(time.Until(l.nextTry))
		defer t.Stop()
		due = t.C
	}
	l.mu.Unlock()
	select {
	case <-due:
	case <-l.kick:
		return true
	case <-l.elsewhere():
	case <-ctx.Done():
	}
	return false
}

// wish asks for a dial now, if none is under way.
func (l *line) wish() {
	l.mu.Lock()
	beg := l.begging
	l.mu.Unlock()
	if beg != nil {
		beg()
		return
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *line) set(s State, err error, conn *sshx.Conn) {
	l.mu.Lock()
	same := l.state == s
	if !same {
		l.since = time.Now()
	}
	switch {
	case s == Up:
		l.down = time.Time{}
	case l.down.IsZero():
		l.down = time.Now()
	}
	l.state, l.err, l.conn = s, err, conn
	if s == Up {
		l.nextTry = time.Time{}
		select { // an old wish is fulfilled
		case <-l.kick:
		default:
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	if same && s == Up { // on another connection
		return
	}
	e := Event{Kind: "state", State: s, Hop: l.name}
	if err != nil {
		e.Text = err.Error()
	}
	l.notify(e)
	if s == Up {
		l.notify(Event{Kind: "up", Hop: l.name})
	}
}

// now is the connection if the line is up, and a channel that closes at the
// next change.
func (l *line) now() (*sshx.Conn, State, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn, l.state, l.changed, l.err
}

func (l *line) downSince() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

// wait returns the connection once the line is up. A wish to dial is made; it
// ends with ctx, or when only a person can bring the line back.
func (l *line) wait(ctx context.Context) (*sshx.Conn, error) {
	for {
		conn, state, changed, err := l.now()
		switch state {
		case Up:
			if conn != nil { // else it has just been lost
				return conn, nil
			}
		case NeedsSignIn, Stopped:
			if !l.asker() {
				return nil, err
			}
		}
		if state != Suspect && state != Up {
			l.wish()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, &Error{Text: "reach " + l.name + ": the line is down", ClassName: "line", CauseText: errText(err)}
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
