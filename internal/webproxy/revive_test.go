package webproxy

import (
	"testing"
	"time"
)

// A Restart that was refused: the page's websocket ends when another can be
// opened at once, without a close frame; what comes meanwhile is kept for it.
// Another kernel's stays, and so do all when something else was refused.
func TestRefusedRestartRevives(t *testing.T) {
	j := newJupyter()
	s := newStage(t, j, func(s *stage) { s.Patience = 50 * time.Millisecond })
	p := mustVisit(t, s)
	far := <-j.opened
	other, _, err := visit(t, s, "/api/kernels/y/channels?session_id=s")
	if err != nil {
		t.Fatal(err)
	}
	other.listen()
	<-j.opened
	s.line.hush()
	refuse := func(path string) { ask(t.Context(), t, "POST", s.base+path, "{}").want(t, 503, "not sent") }
	refuse("/api/kernels/y/interrupt")
	refuse("/api/kernels/x/restart")
	far.say(t, 0, 5, "")
	p.lines(t, 0, 5)
	time.Sleep(settled + 4*lookEvery) // an early end shows in what comes next
	far.say(t, 5, 10, "")
	p.lines(t, 5, 10)
	keeps(t, s, 0) // else they come twice, as promised
	s.line.mend()
	if code := p.ended(t); code != -1 {
		t.Errorf("it was closed with %d", code)
	}
	far.say(t, 10, 20, "")
	mustVisit(t, s).lines(t, 10, 20)
	select {
	case _, more := <-other.came:
		t.Errorf("another kernel's websocket: %v", more)
	default:
	}
}
