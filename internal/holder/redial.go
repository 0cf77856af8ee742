package holder

import (
	"context"
	"errors"
	"time"

	"nbremote/internal/link"
	"nbremote/sshx"
)

const (
	besides    = 5               // dials under way at once
	dialSpace  = time.Second     // between their starts
	dialAge    = 5 * time.Second // then the oldest makes room for a new one
	signOfLife = 2 * time.Second // an answer that is later is none
	lingering  = 15 * time.Second
)

// attempt is how a dial ended.
type attempt struct {
	conn *sshx.Conn
	err  error
}

// connect dials. Where the line was lost, and no person is needed, a dial that
// hangs does not hold up the next: the network may be back meanwhile, and TCP
// waits ever longer before it tries again.
func (l *line) connect(ctx context.Context, again bool) (*sshx.Conn, error) {
	if !again || l.person() {
		return l.dial(ctx, again)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt)
	var ages []context.CancelFunc
	running := 0
	start := func() {
		if len(ages) == besides {
			ages[0]()
			ages = ages[1:]
		}
		one, giveUp := context.WithCancel(ctx)
		ages, running = append(ages, giveUp), running+1
		go func() {
			defer giveUp()
			conn, err := l.dial(one, true)
			results <- attempt{conn, err}
		}()
	}
	start()
	tick := time.NewTicker(dialSpace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !l.asking() { // a person, whom none of them leaves alone
				start()
			}
		case r := <-results:
			running--
			if r.err != nil && errors.Is(r.err, context.Canceled) && ctx.Err() == nil {
				continue // it made room
			}
			cancel()
			go drop(results, running)
			return r.conn, r.err
		case <-l.elsewhere():
			cancel()
			go drop(results, running)
			return nil, context.Canceled
		case <-ctx.Done():
			go drop(results, running)
			return nil, ctx.Err()
		}
	}
}

// drop closes what comes too late.
func drop(results <-chan attempt, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			r.conn.Close()
		}
	}
}

// beside replaces a connection that gives no sign of life by another, which is
// dialled beside it; whichever lives first is given back. Its users are told
// that the line is down.
func (l *line) beside(ctx context.Context, old *sshx.Conn) *sshx.Conn {
	l.set(Down, errors.New("nothing comes from the host"), nil)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		if old.Alive(ctx) == nil {
			close(answered)
		}
	}()
	for failures := 0; ctx.Err() == nil; failures++ {
		got := make(chan attempt, 1)
		one, stop := context.WithCancel(ctx)
		go func() {
			conn, err := l.connect(one, true)
			got <- attempt{conn, err}
		}()
		select {
		case r := <-got:
			stop()
			if r.err == nil {
				time.AfterFunc(lingering, func() { old.Close() })
				return r.conn
			}
			l.failed(r.err, failures)
			if l.stuck() {
				return old // its end, or a command that asks, goes on from here
			}
			l.waitForTry(ctx)
		case <-answered:
			stop()
			go drop(got, 1)
			return old
		}
	}
	return old
}

// stuck says that only a person can bring the line back.
func (l *line) stuck() bool {
	_, state, _, _ := l.now()
	return (state == NeedsSignIn || state == Stopped) && !l.asker()
}

// prove asks the connection for a sign of life; without one it is replaced.
// Afterwards the line is up and alive, or down.
func (l *line) prove(ctx context.Context) {
	conn, state, changed, _ := l.now()
	if state != Up || conn == nil || l.person() && !l.asker() {
		return
	}
	limit, cancel := context.WithTimeout(ctx, signOfLife)
	defer cancel()
	if conn.Alive(limit) == nil || ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	suspect := l.suspect
	l.mu.Unlock()
	if suspect != nil {
		suspect()
	} else {
		select {
		case l.doubt <- struct{}{}:
		case <-changed:
		case <-conn.Done():
		case <-l.elsewhere():
		case <-ctx.Done():
		}
	}
	soon := time.NewTimer(signOfLife)
	defer soon.Stop()
	select { // so that whoever asks next sees it down
	case <-changed:
	case <-soon.C:
	case <-ctx.Done():
	}
}

// handOver has somebody else dial from here on: beg asks for it, suspect says
// that nothing comes.
func (l *line) handOver(beg, suspect func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begging == nil {
		l.begging, l.suspect = beg, suspect
		close(l.handed)
	}
}

// takeBack ends a handOver: the line is down, and dialled here.
func (l *line) takeBack(why error) {
	l.mu.Lock()
	if l.begging == nil {
		l.mu.Unlock()
		return
	}
	l.begging, l.suspect, l.handed = nil, nil, make(chan struct{})
	l.mu.Unlock()
	l.set(Down, why, nil)
	l.back <- struct{}{}
}

// elsewhere is closed when somebody else dials.
func (l *line) elsewhere() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handed
}

// replace takes next for a connection that is about to be closed.
func (l *line) replace(old, next *sshx.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == old && old != next {
		l.conn = next
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *line) isHanded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begging != nil
}

// follow takes over what the link says of the line; conn is what is used
// beside the link.
func (l *line) follow(e link.Event, conn *sshx.Conn) {
	switch e.State {
	case link.Up:
		l.set(Up, nil, conn)
	case link.Suspect:
		l.set(Suspect, errors.New("nothing has come from the host for some seconds"), conn)
	case link.Down:
		l.set(Down, orSilent(e.Err), nil)
	case link.NeedsSignIn:
		l.set(NeedsSignIn, l.needsPerson(e.Err), nil)
	case link.Stopped:
		l.set(Stopped, orSilent(e.Err), nil)
	}
}

// needsPerson is why nothing is dialled: what a sign-in said, or that it would
// need a person.
func (l *line) needsPerson(err error) error {
	var classed interface{ Class() string }
	if errors.As(err, &classed) && classed.Class() == "sign-in" {
		return err
	}
	return &Error{Text: "reach " + l.name + ": the line was lost, and signing in needs a person", ClassName: "sign-in", CauseText: errText(err)}
}

func orSilent(err error) error {
	if err == nil {
		return errors.New("nothing comes from the host")
	}
	return err
}

// passable is an error when only a person can bring the line back and none can
// be asked.
func (l *line) passable() error {
	if !l.stuck() {
		return nil
	}
	_, _, _, err := l.now()
	return err
}
