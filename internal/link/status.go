package link

import (
	"context"
	"slices"
	"time"
)

// Status is what a person may want to know of the line.
type Status struct {
	State   State
	Since   time.Time // of the state
	Down    time.Time // since when the line is down; zero: it is not
	NextTry time.Time // of dialling; zero: none is planned
	Err     error     // why the line is not up
	RTT     time.Duration
	Streams int
	Here    int64 // bytes that wait for the host's acknowledgement
	There   int64 // bytes that wait on the host, as it last said
	Spool   int64 // of all links there, on disk
	Quota   int64
	Cuts    []Cut // the last ten
	Lost    int   // streams that ended early: the relay did, or its room was full
}

// Cut is a time when the line was down.
type Cut struct{ From, To time.Time }

// EventKind says what an Event is about.
type EventKind string

const (
	StateChanged  EventKind = "state"
	DialFailed    EventKind = "dial failed" // the state may be as before
	SpoolHalfFull EventKind = "spool half full"
	StreamsLost   EventKind = "streams lost" // before their end, see Status.Lost; Err says why
)

// Event is a change that a person may be told.
type Event struct {
	Kind         EventKind
	State        State
	Down         time.Time // since when the line is down
	Err          error
	Spool, Quota int64
}

// Status is the line's at this moment.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &l.life
	return Status{
		State: f.state, Since: f.since, Down: f.downAt, NextTry: f.nextTry, Err: f.err, RTT: f.rtt,
		Streams: len(l.streams), Here: int64(l.log.bytes), There: int64(l.far.waiting),
		Spool: int64(l.far.spool), Quota: int64(l.far.quota), Cuts: append([]Cut(nil), l.cuts...),
		Lost: l.lostStreams,
	}
}

// Changed is closed at the next change of the state.
func (l *Link) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Wait waits until the line is up or suspect; it has it dialled now. It does
// not give up because a person is needed: its ctx may. It ends with a
// *DownError, or with what ended the link.
func (l *Link) Wait(ctx context.Context) error {
	for kicked := false; ; {
		l.mu.Lock()
		up, state, changed, closed := l.carrier != nil, l.life.state, l.changed, l.closed
		l.mu.Unlock()
		switch {
		case closed != nil:
			return closed
		case up && state != Down:
			return ctx.Err()
		case up:
			l.Kick()
			return ctx.Err()
		}
		if !kicked {
			kicked = true
			l.Kick()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			st := l.Status()
			return &DownError{State: st.State, Err: st.Err, Ctx: context.Cause(ctx)}
		}
	}
}

// Prove returns once the relay has answered a ping that was sent after the
// call: the line is not only thought to live. It waits for a line that is down
// or silent until ctx ends, which is then a *DownError.
func (l *Link) Prove(ctx context.Context) error {
	if err := l.Wait(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	p := proof{after: l.pingID, done: make(chan struct{})}
	l.proofs = append(l.proofs, p)
	l.ping = true
	l.active() // it is judged by the limits of a busy line
	l.out.Signal()
	l.mu.Unlock()
	select {
	case <-p.done:
		return nil
	case <-l.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		st := l.Status()
		return &DownError{State: st.State, Err: st.Err, Ctx: context.Cause(ctx)}
	}
}

// proof is somebody who waits for the answer to a later ping.
type proof struct {
	after uint64
	done  chan struct{}
}

// proven tells those that the answer to a ping proves the line to. l.mu is held.
func (l *Link) proven(token uint64) {
	l.proofs = slices.DeleteFunc(l.proofs, func(p proof) bool {
		if token > p.after {
			close(p.done)
		}
		return token > p.after
	})
}

// Kick says that somebody wants the line: one that is down is dialled now, one
// dial a second at most.
func (l *Link) Kick() {
	l.mu.Lock()
	l.life.kicked = true
	l.mu.Unlock()
	l.wake()
}

// Wake says that the computer slept or that its address has changed: the line
// is suspect now. A changed wall clock is noticed without it.
func (l *Link) Wake() {
	l.mu.Lock()
	l.life.wakeUp(l.clock.Now())
	l.mu.Unlock()
	l.wake()
}

// SignIn says that a person is there who asks for the line: it is dialled also
// after a refusal. What Manual says still counts.
func (l *Link) SignIn() {
	l.mu.Lock()
	l.life.refused, l.life.kicked = "", true
	l.mu.Unlock()
	l.wake()
}

// tell tells a changed state to those who wait and to Notify. l.mu is held.
func (l *Link) tell() {
	f := &l.life
	if f.state == l.told {
		return
	}
	l.told = f.state
	l.remember(f)
	l.bump()
	l.notify(Event{Kind: StateChanged, State: f.state, Down: f.downAt, Err: f.err})
}

// bump wakes whoever waits for a change. l.mu is held.
func (l *Link) bump() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// remember keeps the last cuts. l.mu is held.
func (l *Link) remember(f *life) {
	switch {
	case !f.downAt.IsZero() && l.cut.IsZero():
		l.cut = f.downAt
	case f.downAt.IsZero() && !l.cut.IsZero():
		l.cuts = append(l.cuts, Cut{From: l.cut, To: l.clock.Now()})
		l.cuts = l.cuts[max(0, len(l.cuts)-10):]
		l.cut = time.Time{}
	}
}

// notify gives an event to Notify, in order and without l.mu, which is held
// here.
func (l *Link) notify(e Event) {
	if l.cfg.Notify == nil {
		return
	}
	l.events = append(l.events, e)
	if l.telling {
		return
	}
	l.telling = true
	l.tasks.Add(1)
	go func() {
		defer l.tasks.Done()
		l.mu.Lock()
		defer l.mu.Unlock()
		for len(l.events) > 0 {
			e := l.events[0]
			l.events = l.events[1:]
			l.mu.Unlock()
			l.cfg.Notify(e)
			l.mu.Lock()
		}
		l.telling = false
	}()
}
