package link

import (
	"errors"
	"testing"
	"time"
)

// script drives a life by a clock of its own.
type script struct {
	t       *testing.T
	f       life
	now     time.Time
	skew    time.Duration // of the wall clock
	dials   []time.Duration
	pings   []time.Duration
	states  map[State]time.Duration // when each was first seen
	waiting bool
	hears   bool // each ping is answered at once
	fails   bool // each dial fails at once
	up      bool // each dial succeeds at once
	gaveUp  int
	id      int
}

var zero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newScript(t *testing.T) *script {
	s := &script{t: t, now: zero, states: map[State]time.Duration{}}
	s.f.start(s.now, s.now)
	return s
}

func (s *script) at() time.Duration { return s.now.Sub(zero) }

// step does what the life says and returns when it wants to be asked again.
func (s *script) step() time.Time {
	do := s.f.step(s.now, s.now.Add(s.skew), s.waiting)
	if _, seen := s.states[s.f.state]; !seen {
		s.states[s.f.state] = s.at()
	}
	s.gaveUp += len(do.giveUp)
	if do.ping {
		s.pings = append(s.pings, s.at())
		if s.hears {
			s.f.hear(s.now)
		}
	}
	if do.dial {
		s.id++
		s.dials = append(s.dials, s.at())
		s.f.dials = append(s.f.dials, &underway{id: s.id, start: s.now, cancel: func() {}})
		switch {
		case s.fails:
			s.f.ended(s.id)
			s.f.failed(errors.New("no route"))
		case s.up:
			s.f.ended(s.id)
			s.f.up(s.now)
		}
	}
	return do.wake
}

// pass lets so much time go by.
func (s *script) pass(d time.Duration) {
	s.t.Helper()
	for end := s.now.Add(d); ; {
		next := s.step()
		if !next.After(s.now) {
			next = s.now.Add(time.Microsecond)
		}
		if next.After(end) {
			s.now = end
			s.step()
			return
		}
		s.now = next
	}
}

// clean forgets what was seen, and starts the time anew.
func (s *script) clean() time.Duration {
	s.dials, s.pings, s.states, s.gaveUp = nil, nil, map[State]time.Duration{}, 0
	return s.at()
}

// working is a line that is up and answers.
func working(t *testing.T) *script {
	s := newScript(t)
	s.up, s.hears = true, true
	s.pass(time.Minute)
	if s.f.state != Up || len(s.dials) != 1 || s.dials[0] != 0 {
		t.Fatalf("%s after dials %v", s.f.state, s.dials)
	}
	s.up = false
	return s
}

func about(t *testing.T, what string, got, want, slack time.Duration) {
	t.Helper()
	if got < want || got > want+slack {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

func TestLife_Heartbeat(t *testing.T) {
	s := working(t)
	s.clean()
	s.pass(10 * time.Minute)
	if n := len(s.pings); n < 39 || n > 41 {
		t.Errorf("%d pings in 10 idle minutes", n)
	}
	s.clean()
	s.waiting = true
	s.pass(time.Minute)
	if n := len(s.pings); n < 29 || n > 31 {
		t.Errorf("%d pings in a busy minute", n)
	}
	if len(s.dials) > 0 {
		t.Errorf("dials at %v", s.dials)
	}
}

func TestN3_SilentWhileBusy(t *testing.T) {
	s := working(t)
	s.waiting = true
	s.pass(10 * time.Second)
	last := s.f.heard.Sub(zero)
	s.clean()
	s.hears = false
	s.pass(30 * time.Second)
	about(t, "suspect", s.states[Suspect]-last, 3*time.Second, 10*time.Millisecond)
	about(t, "down", s.states[Down]-last, 10*time.Second, 10*time.Millisecond)
	about(t, "the first dial", s.dials[0]-last, 3*time.Second, 10*time.Millisecond)
	if len(s.dials) < 2 {
		t.Fatalf("dials at %v", s.dials)
	}
	about(t, "the dial at once", s.dials[1]-last, 10*time.Second, 10*time.Millisecond)
	if !s.f.onCarrier {
		t.Error("a silent carrier was ended")
	}
	// It speaks again: nothing was lost.
	s.f.hear(s.now)
	s.hears = true
	s.pass(time.Second)
	if s.f.state != Up || len(s.f.dials) != 0 || !s.f.downAt.IsZero() {
		t.Errorf("%s, %d dials", s.f.state, len(s.f.dials))
	}
}

// A stream that only brings something leaves nothing of ours unanswered. That it
// stops with the line does not make the line an idle one.
func TestN3_SilentWhileReceiving(t *testing.T) {
	s := working(t)
	for range 100 {
		s.f.hear(s.now)
		s.f.activity = s.now
		s.pass(100 * time.Millisecond)
	}
	s.f.hear(s.now)
	s.f.activity = s.now
	last := s.at()
	s.clean()
	s.hears = false
	s.pass(30 * time.Second)
	about(t, "suspect", s.states[Suspect]-last, 3*time.Second, 10*time.Millisecond)
	about(t, "down", s.states[Down]-last, 10*time.Second, 10*time.Millisecond)
}

func TestN3_SilentWhileIdle(t *testing.T) {
	s := working(t)
	last := s.f.heard.Sub(zero)
	s.clean()
	s.hears = false
	s.pass(time.Minute)
	about(t, "suspect", s.states[Suspect]-last, 22500*time.Millisecond, 10*time.Millisecond)
	about(t, "down", s.states[Down]-last, 35*time.Second, 10*time.Millisecond)
}

// A request on an idle line that died unnoticed: it is asked at once.
func TestN3_NextRequest(t *testing.T) {
	s := working(t)
	s.pass(5 * time.Second)
	s.hears = false
	s.clean()
	s.waiting = true
	began := s.at()
	s.pass(20 * time.Second)
	about(t, "a ping", s.pings[0]-began, 0, 10*time.Millisecond)
	about(t, "suspect", s.states[Suspect]-began, 3*time.Second, 10*time.Millisecond)
	about(t, "down", s.states[Down]-began, 10*time.Second, 10*time.Millisecond)
}

// A slow line is not suspected early.
func TestLife_LongRoundTrip(t *testing.T) {
	s := working(t)
	for range 50 {
		s.f.measured(s.now, s.now.Add(4*time.Second))
	}
	s.waiting, s.hears = true, false
	s.pass(time.Millisecond)
	began := s.f.heard.Sub(zero)
	s.clean()
	s.pass(time.Minute)
	if got := s.states[Suspect] - later(zero.Add(began), s.f.busyFrom).Sub(zero); got < 15*time.Second {
		t.Errorf("suspect after %v", got)
	}
}

// What was asked in a cut and is answered at its end makes the next cut no
// later seen.
func TestN3_AnswersOfACut(t *testing.T) {
	s := working(t)
	for range 10 {
		s.f.measured(s.now, s.now.Add(100*time.Millisecond))
	}
	s.hears, s.waiting = false, true
	asked := s.now
	s.pass(30 * time.Second)
	s.f.hear(s.now)
	for i := range 10 {
		s.f.measured(asked.Add(time.Duration(i)*2*time.Second), s.now)
	}
	if s.f.rtt > 300*time.Millisecond {
		t.Errorf("the round trip is held to be %v", s.f.rtt)
	}
}

// A line that is slow all of a sudden is learnt, though each answer comes when
// it is suspected already.
func TestLife_SlowFromNowOn(t *testing.T) {
	s := working(t)
	s.f.measured(s.now, s.now.Add(100*time.Millisecond))
	for range 20 {
		sent := s.now
		s.f.suspected = true
		s.now = s.now.Add(5 * time.Second)
		s.f.hear(s.now)
		s.f.measured(sent, s.now)
		s.f.measured(sent.Add(2*time.Second), s.now)
	}
	if suspect, _ := s.f.limits(); suspect < 15*time.Second {
		t.Errorf("suspect after %v", suspect)
	}
}

func TestN7_BackOff(t *testing.T) {
	s := working(t)
	s.fails = true
	began := s.clean()
	s.f.lost(s.now, errors.New("reset"))
	s.pass(8 * time.Hour)
	var two, ten, rest int
	var least, most time.Duration = time.Hour, 0
	for i, at := range s.dials {
		switch at -= began; {
		case at < 2*time.Minute:
			two++
		case at < 10*time.Minute:
			ten++
		default:
			rest++
			gap := s.dials[i] - s.dials[i-1]
			least, most = min(least, gap), max(most, gap)
		}
	}
	if s.dials[0] != began || two != 120 || ten < 95 || ten > 97 || rest < 900 || rest > 1900 {
		t.Errorf("first at %v; %d, %d and %d dials", s.dials[0]-began, two, ten, rest)
	}
	if most > 30*time.Second || least < 4*time.Second {
		t.Errorf("late dials %v to %v apart", least, most)
	}
	if s.f.state != Down {
		t.Errorf("%s", s.f.state)
	}
	// A request: now.
	s.clean()
	s.f.kicked = true
	began = s.at()
	s.pass(time.Second)
	if len(s.dials) == 0 || s.dials[0]-began > time.Second {
		t.Errorf("%v", s.dials)
	}
}

// No dial within a second of another, however the line flaps and people ask.
func TestN8_Flapping(t *testing.T) {
	s := working(t)
	s.up = true
	for range 1000 {
		s.pass(300 * time.Millisecond)
		s.f.lost(s.now, errors.New("reset"))
		s.f.kicked = true
	}
	for i := 1; i < len(s.dials); i++ {
		if gap := s.dials[i] - s.dials[i-1]; gap < time.Second {
			t.Fatalf("two dials %v apart", gap)
		}
	}
}

// Dials that hang: five at most, the oldest given up.
func TestLife_HangingDials(t *testing.T) {
	s := working(t)
	s.clean()
	s.f.lost(s.now, errors.New("reset"))
	s.pass(time.Minute)
	if len(s.f.dials) != 5 || len(s.dials) < 55 || s.gaveUp != len(s.dials)-5 {
		t.Errorf("%d under way of %d, %d given up", len(s.f.dials), len(s.dials), s.gaveUp)
	}
}

func TestN13_Sleep(t *testing.T) {
	for name, sleep := range map[string]func(s *script){
		"the steady clock stood still": func(s *script) { s.skew += time.Hour },
		"both went on":                 func(s *script) { s.now = s.now.Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := working(t)
			s.hears = false
			s.clean()
			sleep(s)
			woke := s.at()
			s.pass(20 * time.Second)
			if len(s.pings) == 0 || s.pings[0] < woke || s.pings[0]-woke > 2*time.Second {
				t.Errorf("pings at %v, woke at %v", s.pings, woke)
			}
			if len(s.dials) == 0 || s.dials[0]-woke > 2*time.Second {
				t.Errorf("dials at %v, woke at %v", s.dials, woke)
			}
			if s.f.state != Down {
				t.Errorf("%s", s.f.state)
			}
		})
	}
	// The line lives: no more than a look.
	s := working(t)
	s.clean()
	s.skew += time.Hour
	s.pass(20 * time.Second)
	if s.f.state != Up || len(s.dials) > 1 {
		t.Errorf("%s, dials at %v", s.f.state, s.dials)
	}
}

// Clocks that are set do no harm.
func TestL10_ClockSet(t *testing.T) {
	s := working(t)
	s.clean()
	for _, d := range []time.Duration{time.Hour, -time.Hour, -50 * 365 * 24 * time.Hour, 50 * 365 * 24 * time.Hour, time.Second} {
		s.skew += d
		s.pass(time.Minute)
		if s.f.state != Up {
			t.Errorf("%s after the clock was set by %v", s.f.state, d)
		}
	}
	if len(s.dials) > 2 {
		t.Errorf("dials at %v", s.dials)
	}
}

type classed string

func (c classed) Error() string { return string(c) }
func (c classed) Class() string { return string(c) }

// Nothing that needs a person is tried again by itself.
func TestLife_NeedsPerson(t *testing.T) {
	s := working(t)
	s.f.manual = true
	s.waiting = true
	s.hears = false
	s.clean()
	s.pass(time.Hour)
	if s.f.state != NeedsSignIn || len(s.dials) > 0 {
		t.Errorf("%s, dials at %v", s.f.state, s.dials)
	}
	s.f.kicked = true
	s.f.wakeUp(s.now)
	s.pass(time.Minute)
	if len(s.dials) > 0 {
		t.Errorf("dials at %v", s.dials)
	}
	s.f.manual = false // somebody is there
	s.pass(time.Second)
	if len(s.dials) == 0 {
		t.Error("no dial though a person is there")
	}
	for class, state := range map[string]State{"sign-in": NeedsSignIn, "host-key": Stopped} {
		s := working(t)
		s.f.lost(s.now, errors.New("reset"))
		s.step()
		s.f.ended(s.id)
		s.f.failed(classed(class))
		s.clean()
		s.pass(time.Hour)
		if s.f.state != state || len(s.dials) > 0 {
			t.Errorf("%s: %s, dials at %v", class, s.f.state, s.dials)
		}
	}
}
