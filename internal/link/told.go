package link

import (
	"errors"
	"time"
)

// What the life is told of the line.

// hear notes that something came; true: that is news.
func (f *life) hear(now time.Time) bool {
	news := f.suspected || f.declared || f.probing
	f.heard, f.probing = now, false
	if news {
		f.suspected, f.declared, f.back, f.late = false, false, now, true
		f.endOutage()
	}
	return news
}

func (f *life) up(now time.Time) {
	f.onCarrier, f.suspected, f.declared, f.probing, f.refused, f.err = true, false, false, false, "", nil
	f.heard, f.pingAt, f.upAt, f.back, f.late = now, now, now, now, false
	if f.busy() {
		f.busyFrom = now
	}
	f.endOutage()
	f.settle(now)
}

func (f *life) lost(now time.Time, err error) {
	f.onCarrier, f.suspected, f.declared, f.probing, f.kicked = false, false, false, false, true
	f.err = err
	f.beginOutage(now)
	f.settle(now)
}

// beginOutage: one after a short life counts as the same, for back-off.
func (f *life) beginOutage(at time.Time) {
	if f.downAt.IsZero() {
		f.downAt = at
		if f.upAt.IsZero() || at.Sub(f.upAt) >= steady {
			f.outage = at
		}
	}
}

func (f *life) endOutage() { f.downAt = time.Time{} }

// failed notes how a dial failed.
func (f *life) failed(err error) {
	f.err = err
	var classed interface{ Class() string }
	if errors.As(err, &classed) {
		switch classed.Class() {
		case "sign-in":
			f.refused = NeedsSignIn
		case "host-key":
			f.refused = Stopped
		}
	}
}

// measured learns the round trip. The answers to all that was asked during a
// cut come at its end and tell how long that was: of them the first counts, as
// on a line that is so slow, and no answer counts for much more than is usual.
func (f *life) measured(sent, now time.Time) {
	if sent.Before(f.back) {
		if !f.late {
			return
		}
		f.late = false
	}
	rtt := now.Sub(sent)
	if f.rtt == 0 {
		f.rtt = rtt
	}
	f.rtt += (min(rtt, 2*f.rtt+500*time.Millisecond) - f.rtt) / 4
}

func (f *life) close(err error) {
	f.closed, f.onCarrier, f.err = true, false, err
	f.settle(f.lastNow)
}
