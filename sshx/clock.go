package sshx

import (
	"sync"
	"time"
)

// clock runs out after a time that does not count while a person is asked.
type clock struct {
	mu      sync.Mutex
	left    time.Duration
	since   time.Time // running since; zero: it stands
	stopped int       // how many have it stopped
	stood   time.Time // stopped since
	waited  time.Duration
	timer   *time.Timer
	over    func()
	ended   bool
	granted time.Duration // what it was set to last
}

// startClock calls over once, when the time has run out.
func startClock(limit time.Duration, over func()) *clock {
	c := &clock{left: limit, granted: limit, over: over}
	c.run()
	return c
}

// run lets the time pass. c.mu is held, or nobody else knows c.
func (c *clock) run() {
	c.since = time.Now()
	c.timer = time.AfterFunc(c.left, c.over)
}

// stop halts the clock until the same number of starts.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped++
	if c.stopped == 1 && !c.ended {
		c.timer.Stop()
		c.stood = time.Now()
		c.left -= c.stood.Sub(c.since)
	}
}

// start lets the clock run on, with at least the given time left.
func (c *clock) start(atLeast time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped--
	if c.stopped == 0 && !c.ended {
		c.left = max(c.left, atLeast)
		c.run()
		c.waited += c.since.Sub(c.stood)
	}
}

// asked is how long it stood, in all.
func (c *clock) asked() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waited
}

// grant sets the time that is left.
func (c *clock) grant(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.granted = d, d
	if c.stopped == 0 && !c.ended && c.timer.Stop() {
		c.run()
	}
}

// shorten takes back what was granted beyond d.
func (c *clock) shorten(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped > 0 || c.ended || !c.timer.Stop() {
		return
	}
	c.left = min(d, c.left-time.Since(c.since))
	c.granted = d
	c.run()
}

// limit is the time that the clock was last set to.
func (c *clock) limit() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.granted
}

// end stops the clock for good.
func (c *clock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.timer.Stop()
}
