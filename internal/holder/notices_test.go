package holder

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

type toldNotices struct {
	*notices
	got                  chan Notice
	waits, seen, gateway atomic.Bool
}

func newToldNotices(after time.Duration) *toldNotices {
	x := &toldNotices{got: make(chan Notice, 10)}
	x.waits.Store(true)
	x.notices = &notices{
		name: "gpu1", after: after, waiting: x.waits.Load, kept: func() bool { return true },
		alone: func() bool { return !x.seen.Load() }, ours: func() bool { return !x.gateway.Load() },
		show: func(n Notice) { x.got <- n },
	}
	return x
}

func (x *toldNotices) next(t *testing.T, want string) {
	t.Helper()
	select {
	case n := <-x.got:
		if !strings.Contains(n.Title+": "+n.Text, want) {
			t.Errorf("told %+v, want %q", n, want)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("nothing is told, want %q", want)
	}
}

func (x *toldNotices) none(t *testing.T) {
	t.Helper()
	select {
	case n := <-x.got:
		t.Errorf("told %+v", n)
	case <-time.After(100 * time.Millisecond): // a fault shows as a notice, never as a false alarm
	}
}

func TestNotices_LongCut(t *testing.T) {
	x := newToldNotices(50 * time.Millisecond)
	x.hear(Connecting, time.Now())
	x.hear(Down, time.Now()) // never up: the command tells
	x.none(t)
	x.hear(Up, time.Time{})
	since := time.Now()
	x.hear(Suspect, since)
	x.hear(Down, since)
	x.next(t, "The line to gpu1 is down: Since "+since.Format("15:04:05"))
	x.hear(Down, since)
	x.none(t)
	x.hear(Up, time.Time{})
	x.next(t, "The line to gpu1 is back: After 0s.")
	x.hear(Up, time.Time{})
	x.none(t)
}

// A short cut, or one with no page, is nobody's concern.
func TestNotices_NotForNothing(t *testing.T) {
	x := newToldNotices(time.Hour)
	x.hear(Up, time.Time{})
	x.hear(Down, time.Now())
	x.hear(Up, time.Time{})
	x.none(t)
	x = newToldNotices(10 * time.Millisecond)
	x.waits.Store(false)
	x.hear(Up, time.Time{})
	x.hear(Down, time.Now())
	x.none(t)
	x.close()
	x.waits.Store(true)
	x.hear(Up, time.Time{})
	x.none(t)
	x.show = nil
	x.hear(NeedsSignIn, time.Now())
	x.none(t)
}

func TestNotices_SignIn(t *testing.T) {
	x := newToldNotices(time.Hour)
	x.hear(NeedsSignIn, time.Now()) // the first one: a command has asked
	x.none(t)
	x.hear(Up, time.Time{})
	x.hear(NeedsSignIn, time.Now())
	x.next(t, "gpu1 needs a sign-in: In a terminal: nbremote open gpu1")
	x.hear(Down, time.Now())
	x.hear(NeedsSignIn, time.Now())
	x.none(t)
	x.hear(Up, time.Time{})
	x.next(t, "is back")
	x.seen.Store(true) // somebody at a terminal is asked
	x.hear(NeedsSignIn, time.Now())
	x.none(t)
	x.hear(Up, time.Time{})
	x.seen.Store(false)
	x.gateway.Store(true) // the gateway's own holder tells
	x.hear(NeedsSignIn, time.Now())
	x.none(t)
}
