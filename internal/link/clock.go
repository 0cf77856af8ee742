package link

import "time"

// Clock is the time that the life of a line goes by.
type Clock interface {
	Now() time.Time  // goes on steadily
	Wall() time.Time // jumps when the computer slept or was set
	After(d time.Duration) (c <-chan time.Time, stop func())
}

type realClock struct{}

func (realClock) Now() time.Time  { return time.Now() }
func (realClock) Wall() time.Time { return time.Now().Round(0) }

func (realClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
