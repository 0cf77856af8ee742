package sshx

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// againFirst is the least time between two connects of one dial, for its
	// first second; againLater that of the others.
	againFirst, againLater = 250 * time.Millisecond, time.Second
	// besideAge is how long a connect beside the first is waited for.
	besideAge = time.Second
	// besideLast is when no more of them begin.
	besideLast = 8 * time.Second
	// overslept is how late one of them is never begun.
	overslept = 2 * time.Second
)

// Reach connects to the SSH server of a target that has no gateway: by TCP, or
// by its ProxyCommand.
func Reach(ctx context.Context, t *Target) (net.Conn, error) {
	if t.ProxyCommand != "" {
		return dialCommand(t)
	}
	return dialHost(ctx, t.Host, t.Port)
}

// Redials is what the dials of one line that was cut know of each other. One
// that is answered by nobody is begun again, which TCP does after 1, 3 and 7 s
// only, while the line may be back any moment.
type Redials struct {
	mu      sync.Mutex
	begun   int // dials
	reached int // of them, the server
}

func (d *Redials) begin() (mine, reached int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begun++
	return d.begun, d.reached
}

// mayRepeat: only the youngest does, and only until one of them gets through,
// or else several would sign in at once.
func (d *Redials) mayRepeat(mine, reached int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun == mine && d.reached == reached
}

func (d *Redials) reach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reached++
}

// again is Reach: connects are begun beside the first, and the first that is
// answered is taken. Usual is the round trip of that line.
func (d *Redials) again(ctx context.Context, t *Target, usual time.Duration) (net.Conn, error) {
	if t.ProxyCommand != "" {
		return dialCommand(t)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results, running := make(chan result), 0
	start := func(limit time.Duration) {
		running++
		go func() {
			ctx, cancel := ctx, func() {}
			if limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, limit)
			}
			conn, err := dialHost(ctx, t.Host, t.Port)
			cancel()
			results <- result{conn, err}
		}()
	}
	mine, reached := d.begin()
	began := time.Now()
	start(0)
	space := max(againFirst, 2*usual)
	next, due := time.NewTimer(space), wall().Add(space)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			// After a sleep another is dialled, at once.
			if wall().Sub(due) > overslept || !d.mayRepeat(mine, reached) {
				continue
			}
			start(max(besideAge, 3*usual))
			past := time.Since(began)
			if past >= time.Second {
				space = max(againLater, 2*usual)
			}
			if past < besideLast {
				next.Reset(space)
				due = wall().Add(space)
			}
		case r := <-results:
			running--
			var slow net.Error
			if running > 0 && errors.As(r.err, &slow) && slow.Timeout() {
				continue
			}
			if r.err == nil {
				d.reach()
			}
			go func(n int) {
				for range n {
					if late := <-results; late.conn != nil {
						late.conn.Close()
					}
				}
			}(running)
			return r.conn, r.err
		}
	}
}

// wall is the time by the clock that goes on while the computer sleeps.
func wall() time.Time { return time.Now().Round(0) }
