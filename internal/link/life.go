package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// State is what a person is told of the line.
type State string

const (
	Connecting  State = "connecting" // for the first time
	Up          State = "up"
	Suspect     State = "suspect" // silent for too long; a second carrier is dialled
	Down        State = "down"
	NeedsSignIn State = "needs sign-in" // not dialled until SignIn
	Stopped     State = "stopped"       // likewise: the host key, or another machine
	Closed      State = "closed"
)

const (
	busyBeat, idleBeat = 2 * time.Second, 15 * time.Second
	busyDown, idleDown = 10 * time.Second, 35 * time.Second
	suspectMin         = 3 * time.Second
	busyFor            = 10 * time.Second // after the last data
	dialSpace          = time.Second      // between two starts, whatever happens
	suspectSpace       = 2 * time.Second
	maxDials           = 5
	dialAge            = 5 * time.Second // then one may be given up for the next
	steady             = 10 * time.Second
	tick               = 2 * time.Second
	jump               = 5 * time.Second
)

// life decides by the clock alone what is to be done about the line. It is
// guarded by the link's mu and waits for nothing.
type life struct {
	manual  bool // as last asked
	state   State
	since   time.Time // of the state
	downAt  time.Time // zero: not down
	err     error
	refused State // by the host; "" if not

	onCarrier bool
	heard     time.Time
	pingAt    time.Time
	activity  time.Time // the last data, either way
	busyFrom  time.Time // zero: idle
	probing   bool      // the computer woke or moved, and nothing was heard since
	suspected bool
	declared  bool // silent for so long that it is called down
	rtt       time.Duration
	back      time.Time // when the last silence ended
	late      bool      // then: its first answer has not been measured yet

	dials    []*underway
	lastDial time.Time
	space    time.Duration // to the next
	kicked   bool
	taking   bool      // a carrier is being taken over
	outage   time.Time // since when back-off counts
	upAt     time.Time
	nextTry  time.Time

	lastNow, lastWall, planned time.Time
	closed                     bool
}

// underway is a dial that has not ended.
type underway struct {
	id     int
	start  time.Time
	cancel context.CancelFunc
}

// todo is what a step wants done.
type todo struct {
	ping, dial bool
	giveUp     []*underway
	wake       time.Time // when to step again at the latest
}

func (f *life) start(now, wall time.Time) {
	f.state, f.since, f.lastNow, f.lastWall = Connecting, now, now, wall
	f.outage, f.heard = now, now
}

// step looks at the clock. waiting: something of ours is unanswered.
func (f *life) step(now, wall time.Time, waiting bool) todo {
	if f.closed {
		return todo{giveUp: f.abandon(), wake: now.Add(tick)}
	}
	f.jumped(now, wall)
	f.setBusy(now, waiting)
	do := todo{wake: now.Add(tick)}
	if f.onCarrier {
		f.judge(now)
		do.ping = f.beat(now, &do)
	}
	f.settle(now)
	f.plan(now, &do)
	f.planned = do.wake
	return do
}

// jumped notices that the computer slept: the wall clock went on without the
// steady one, or both went on without us.
func (f *life) jumped(now, wall time.Time) {
	slept := wall.Sub(f.lastWall)-now.Sub(f.lastNow) > jump
	stood := !f.planned.IsZero() && now.Sub(f.planned) > jump
	if slept || stood {
		f.wakeUp(now)
	}
	f.lastNow, f.lastWall = now, wall
}

// wakeUp probes the line, and dials as soon as may be.
func (f *life) wakeUp(now time.Time) {
	f.probing, f.kicked, f.pingAt = true, true, time.Time{}
	f.activity = now
	f.busyFrom = now
	f.heard = later(f.heard, now.Add(-busyBeat)) // the sleep does not count as silence
}

func (f *life) setBusy(now time.Time, waiting bool) {
	busy := waiting || f.probing || !f.activity.IsZero() && now.Sub(f.activity) < busyFor
	// A line that fell silent while much came is no idle one because of that.
	busy = busy || f.onCarrier && f.suspected && f.busy()
	switch {
	case busy && f.busyFrom.IsZero():
		f.busyFrom = now
	case !busy:
		f.busyFrom = time.Time{}
	}
}

func (f *life) busy() bool { return !f.busyFrom.IsZero() }

func (f *life) interval() time.Duration {
	if f.busy() {
		return busyBeat
	}
	return idleBeat
}

// limits are how long a silence may last.
func (f *life) limits() (suspect, down time.Duration) {
	suspect = max(suspectMin, 4*f.rtt, f.interval()*3/2)
	down = idleDown
	if f.busy() {
		down = busyDown
	}
	return suspect, max(down, suspect*3/2)
}

// judge the silence; it counts from when somebody began to wait.
func (f *life) judge(now time.Time) {
	silent := now.Sub(later(f.heard, f.busyFrom))
	suspect, down := f.limits()
	f.suspected = f.probing || silent > suspect
	if silent > down && !f.declared {
		f.declared, f.kicked = true, true
		f.err = errors.New("nothing comes from the host")
		f.beginOutage(f.heard)
	}
}

// beat says whether a ping is due.
func (f *life) beat(now time.Time, do *todo) bool {
	due := later(f.heard, f.pingAt).Add(f.interval())
	// Also while much comes: for the round trip and for what waits there.
	due = sooner(due, f.pingAt.Add(idleBeat))
	if f.probing && f.pingAt.IsZero() {
		due = now
	}
	suspect, down := f.limits()
	quiet := later(f.heard, f.busyFrom)
	for _, at := range []time.Time{quiet.Add(suspect + time.Millisecond), quiet.Add(down + time.Millisecond)} {
		if at.After(now) {
			do.wake = sooner(do.wake, at)
		}
	}
	if now.Before(due) {
		do.wake = sooner(do.wake, due)
		return false
	}
	f.pingAt = now
	return true
}

// settle makes the state of what is known.
func (f *life) settle(now time.Time) {
	state := Down
	switch {
	case f.closed:
		state = Closed
	case f.onCarrier && !f.declared && f.suspected:
		state = Suspect
	case f.onCarrier && !f.declared:
		state = Up
	case f.refused != "":
		state = f.refused
	case f.manual:
		state = NeedsSignIn
	case f.upAt.IsZero():
		state = Connecting
	}
	if state != f.state {
		f.state, f.since = state, now
	}
}

// plan decides about the next dial.
func (f *life) plan(now time.Time, do *todo) {
	f.nextTry = time.Time{}
	if f.onCarrier && !f.suspected && !f.declared {
		do.giveUp = f.abandon()
		f.kicked = false
		return
	}
	if f.refused != "" || f.manual || f.taking {
		return
	}
	early := f.onCarrier && !f.declared
	if early && len(f.dials) > 0 && !f.kicked {
		return
	}
	due := f.dueAt(early)
	if now.Before(due) {
		f.nextTry = due
		do.wake = sooner(do.wake, due)
		return
	}
	if len(f.dials) >= maxDials {
		oldest := f.dials[0]
		if over := oldest.start.Add(max(dialAge, 15*f.rtt)); now.Before(over) {
			do.wake = sooner(do.wake, over)
			return
		}
		do.giveUp = append(do.giveUp, oldest)
		f.dials = f.dials[1:]
	}
	do.dial = true
	f.lastDial, f.kicked, f.space = now, false, backOff(now.Sub(f.outage))
	do.wake = sooner(do.wake, f.dueAt(early))
}

func (f *life) dueAt(early bool) time.Time {
	switch {
	case f.lastDial.IsZero():
		return time.Time{}
	case f.kicked:
		return f.lastDial.Add(dialSpace)
	case early:
		return f.lastDial.Add(suspectSpace)
	}
	return f.lastDial.Add(f.space)
}

// backOff is the time between two dials so long after the line was lost.
func backOff(down time.Duration) time.Duration {
	switch {
	case down < 2*time.Minute:
		return time.Second
	case down < 10*time.Minute:
		return 5 * time.Second
	}
	return 15*time.Second + rand.N(15*time.Second)
}

func (f *life) abandon() []*underway {
	all := f.dials
	f.dials = nil
	return all
}

// ended takes a dial off the list; false: it had been given up.
func (f *life) ended(id int) bool {
	for i, d := range f.dials {
		if d.id == id {
			d.cancel()
			f.dials = append(f.dials[:i:i], f.dials[i+1:]...)
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
