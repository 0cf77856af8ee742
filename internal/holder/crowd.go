package holder

import (
	"context"
	"slices"
	"sync"
)

// crowd is the dials of one line that wait for its gateway. Once that is back
// they would all sign in at the same moment: the youngest does, and the next
// youngest when that one has failed.
type crowd struct {
	mu      sync.Mutex
	dials   []*int // oldest first
	changed chan struct{}
}

// join adds a dial. It leaves when it has ended, whatever became of it.
func (c *crowd) join() (mine *int, leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine = new(int)
	c.dials = append(c.dials, mine)
	c.tell()
	return mine, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if i := slices.Index(c.dials, mine); i >= 0 {
			c.dials = slices.Delete(c.dials, i, i+1)
		}
		c.tell()
	}
}

// tell wakes those who wait. mu is held.
func (c *crowd) tell() {
	if c.changed != nil {
		close(c.changed)
	}
	c.changed = make(chan struct{})
}

// turn waits until mine is the youngest.
func (c *crowd) turn(ctx context.Context, mine *int) error {
	for {
		c.mu.Lock()
		youngest, changed := c.dials[len(c.dials)-1] == mine, c.changed
		c.mu.Unlock()
		if youngest {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
