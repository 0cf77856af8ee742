package ui

import (
	"testing"
	"time"
)

func TestSpeed(t *testing.T) {
	var s Speed
	now := time.Unix(0, 0)
	if r := s.Rate(now); r != 0 {
		t.Errorf("at once %v", r)
	}
	n := int64(0)
	for range 1000 { // 10 s of 1000 a second, then 10 s of 50
		now, n = now.Add(10*time.Millisecond), n+10
		s.Add(now, n)
	}
	if r := s.Rate(now); r < 900 || r > 1100 {
		t.Errorf("steady %v", r)
	}
	for range 100 {
		now, n = now.Add(100*time.Millisecond), n+5
		s.Add(now, n)
	}
	if r := s.Rate(now); r < 40 || r > 60 {
		t.Errorf("slower %v", r)
	}
}
