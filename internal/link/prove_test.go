//go:build unix

package link

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A proof is an answer to what was asked after the call: a carrier that is
// silent and not yet known to be dead gives none, and the next one does.
func TestProve(t *testing.T) {
	n := &line{r: startRelay(t)}
	l := newLink(t, Config{Carrier: n.open})
	if err := l.Prove(context10(t)); err != nil {
		t.Fatal(err)
	}
	n.last().stall()
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	brief, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := l.Prove(brief)
	if down := (*DownError)(nil); !errors.As(err, &down) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("on a silent carrier: %v", err)
	}
	if state := l.Status().State; state != Up {
		t.Fatalf("it is known to be %s: this test came too late", state)
	}
	got := make(chan error, 1)
	go func() { got <- l.Prove(context.Background()) }()
	eventually(t, "it is silent for too long", func() bool { return l.Status().State == Down })
	if len(got) != 0 {
		t.Fatalf("down, and proven: %v", <-got)
	}
	n.mu.Lock()
	n.down = false
	n.mu.Unlock()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.proofs) != 0 {
		t.Errorf("%d wait on", len(l.proofs))
	}
}
