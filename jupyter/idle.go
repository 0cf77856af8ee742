package jupyter

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Idle says how long nothing has happened in a server: no kernel and no
// terminal of it has done anything since. All times are the host's own. busy: a
// kernel runs something, or it cannot be known that none does.
func Idle(ctx context.Context, dial func(ctx context.Context) (net.Conn, error), s *Server) (idle time.Duration, busy bool, err error) {
	got, err := ask(ctx, dial, s, question{path: "api/kernels", token: s.Token}, question{path: "api/terminals", token: s.Token})
	if err != nil {
		return 0, true, err
	}
	last := s.Started
	for i, a := range got {
		if i == 1 && a.status == http.StatusNotFound {
			continue // terminals are switched off
		}
		if a.status != http.StatusOK {
			return 0, true, fmt.Errorf("ask Jupyter what runs: status %d", a.status)
		}
		at, busy, err := activity(a.body)
		if busy || err != nil {
			return 0, true, err
		}
		if at.After(last) {
			last = at
		}
	}
	if last.IsZero() || got[0].date.IsZero() {
		return 0, true, nil
	}
	return max(got[0].date.Sub(last), 0), false, nil
}

// activity reads a list of kernels or terminals: the last time that one of them
// did something, and whether one is at it.
func activity(body []byte) (last time.Time, busy bool, err error) {
	var list []struct {
		State string `json:"execution_state"` // terminals have none
		Last  string `json:"last_activity"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return last, true, fmt.Errorf("read what runs: %w", err)
	}
	for _, one := range list {
		at, err := time.Parse(time.RFC3339Nano, one.Last)
		if err != nil || one.State != "" && one.State != "idle" && one.State != "dead" {
			return last, true, nil
		}
		if at.After(last) {
			last = at
		}
	}
	return last, false, nil
}
