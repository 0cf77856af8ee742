package holder

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"nbremote/sshx"
)

// Of many dials one asks, and goes on when those who wanted it have gone; its
// answer is for the next who comes, and nobody is asked before that is used up.
func TestSignIns_OneAsks(t *testing.T) {
	var all signIns
	var dials, asking atomic.Int32
	started, answer := make(chan struct{}, 8), make(chan *sshx.Conn)
	dial := func(ctx context.Context) (*sshx.Conn, error) {
		dials.Add(1)
		if !asks(ctx) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		asking.Add(1)
		started <- struct{}{}
		select {
		case c := <-answer:
			return c, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	nobody := func() bool { return false }
	impatient, giveUp := context.WithCancel(t.Context())
	errs := make(chan error, 5)
	for range 5 {
		go func() {
			_, err := all.connect(impatient, t.Context(), nobody, dial)
			errs <- err
		}()
	}
	<-started
	giveUp()
	for range 5 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("one that gave up: %v", err)
		}
	}
	want := &sshx.Conn{}
	answer <- want
	got, err := all.connect(t.Context(), t.Context(), nobody, dial)
	if got != want || err != nil || asking.Load() != 1 {
		t.Errorf("got %v, %v; %d were asked", got, err, asking.Load())
	}
	before := dials.Load()
	if _, err := all.connect(t.Context(), t.Context(), nobody, dial); !errors.Is(err, errNotNow) || dials.Load() != before {
		t.Errorf("while that is made use of: %v", err)
	}
}
