package ui

import "time"

// Speed is how fast a number has grown of late. The zero value works.
type Speed struct {
	at   []time.Time
	seen []int64
}

const (
	speedOver = 5 * time.Second
	speedEach = 250 * time.Millisecond
)

// Add says what the number is at a time.
func (s *Speed) Add(at time.Time, n int64) {
	if last := len(s.at) - 1; last >= 0 && at.Sub(s.at[last]) < speedEach {
		return
	}
	s.at, s.seen = append(s.at, at), append(s.seen, n)
	for len(s.at) > 2 && at.Sub(s.at[1]) >= speedOver {
		s.at, s.seen = s.at[1:], s.seen[1:]
	}
}

// Rate is for each second, 0 when that is not known yet.
func (s *Speed) Rate(now time.Time) float64 {
	last := len(s.at) - 1
	if last < 1 || now.Sub(s.at[0]) < time.Second {
		return 0
	}
	return float64(s.seen[last]-s.seen[0]) / now.Sub(s.at[0]).Seconds()
}
