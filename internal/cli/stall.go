package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"nbremote/internal/holder"
)

const (
	stallSaid  = 2 * time.Second  // then it is said that a line is waited for
	stallLimit = 15 * time.Second // as long as a sign-in may take
)

// stall looks at a line that is waited for: that it, or a gateway's, was lost is
// said, and after the time of a sign-in it is no longer waited for.
type stall struct {
	a      *app
	l      *line
	cancel context.CancelFunc
	done   chan struct{}
	gaveUp error // read it after stop
}

func (a *app) watchStall(ctx context.Context, l *line) *stall {
	ctx, cancel := context.WithCancel(ctx)
	s := &stall{a: a, l: l, cancel: cancel, done: make(chan struct{})}
	go s.run(ctx)
	return s
}

// stop ends it, and gives the error if that was why the wait has ended.
func (s *stall) stop() error {
	s.cancel()
	<-s.done
	return s.gaveUp
}

func (s *stall) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began, said := time.Now(), s.a.waiting
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		host, lost := s.lost(ctx)
		waited := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case lost == "":
			began = time.Now()
		case waited >= cmp.Or(s.a.connectTimeout, stallLimit):
			s.gaveUp = &problem{"connect to " + host + ": " + lost, "connect", "nbremote status " + shellWord(host) + "; nbremote open " + shellWord(host) + " --wait"}
			s.l.attached.Close()
			return
		case waited >= stallSaid && !said:
			said = true
			s.a.ui.Note(lost + ": waiting for it, Ctrl-C gives up")
		}
	}
}

// lost is the host that is waited for, and which line on the way to it was lost
// and why; "" when none was, or only a person brings it back.
func (s *stall) lost(ctx context.Context) (host, what string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, err := s.l.Status(ctx)
	if err != nil || status.State == holder.Up {
		return "", ""
	}
	hop := hopDown(status, holder.List(ctx, s.a.place))
	down := status
	if hop != nil && status.State != holder.Down {
		down, hop = *hop, nil
	}
	if down.State != holder.Down || hop != nil && hop.State == holder.NeedsSignIn {
		return status.Name, ""
	}
	row := newHostStatus(down, hop)
	return status.Name, fmt.Sprintf("the line to %s is %s", down.Name, row.line(time.Now()))
}
