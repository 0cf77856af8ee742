package link

import (
	"sync"
	"time"
)

// SetDeadline sets both.
func (s *Stream) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline makes Read end at t; the zero time: never.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.rdead.set(s, &s.canRead, t)
	return nil
}

// SetWriteDeadline makes Write end at t; the zero time: never.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.wdead.set(s, &s.canWrite, t)
	return nil
}

// deadline is guarded by l.mu.
type deadline struct {
	timer  *time.Timer
	at     time.Time
	passed bool
}

func (d *deadline) set(s *Stream, c *sync.Cond, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at, d.passed = t, false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.passed = true
		c.Broadcast()
		return
	}
	d.timer = time.AfterFunc(left, func() {
		s.l.mu.Lock()
		defer s.l.mu.Unlock()
		if d.at.Equal(t) {
			d.passed = true
			c.Broadcast()
		}
	})
}
