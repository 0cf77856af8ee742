package holder

import (
	"context"
	"testing"
	"time"
)

func TestCrowd_OnlyTheYoungestGoes(t *testing.T) {
	var c crowd
	old, leaveOld := c.join()
	young, leaveYoung := c.join()
	if err := c.turn(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	went := make(chan error, 1)
	go func() { went <- c.turn(t.Context(), old) }()
	select {
	case <-went:
		t.Fatal("the older one goes beside the youngest")
	case <-time.After(50 * time.Millisecond): // that nothing happens is what is tested
	}
	leaveYoung()
	if err := <-went; err != nil {
		t.Fatal(err)
	}
	leaveOld()
	leaveOld() // once is enough
}

func TestCrowd_WaitEndsWithItsDial(t *testing.T) {
	var c crowd
	old, leaveOld := c.join()
	defer leaveOld()
	_, leave := c.join()
	defer leave()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.turn(ctx, old); err != context.Canceled {
		t.Fatalf("%v, want %v", err, context.Canceled)
	}
}
