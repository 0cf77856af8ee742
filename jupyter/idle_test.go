package jupyter

import (
	"testing"
	"time"
)

func TestActivity(t *testing.T) {
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		body string
		busy bool
		last time.Time
		bad  bool
	}{
		"none":        {`[]`, false, time.Time{}, false},
		"idle":        {`[{"execution_state":"idle","last_activity":"2026-05-04T09:00:00Z"},{"execution_state":"dead","last_activity":"2026-05-04T10:00:00.000000Z"}]`, false, at, false},
		"busy":        {`[{"execution_state":"idle","last_activity":"2026-05-04T09:00:00Z"},{"execution_state":"busy","last_activity":"2026-05-04T10:00:00Z"}]`, true, time.Time{}, false},
		"starting":    {`[{"execution_state":"starting","last_activity":"2026-05-04T10:00:00Z"}]`, true, time.Time{}, false},
		"no time":     {`[{"execution_state":"idle"}]`, true, time.Time{}, false},
		"a terminal":  {`[{"name":"1","last_activity":"2026-05-04T10:00:00Z"}]`, false, at, false},
		"not a list":  {`{"message":"no"}`, true, time.Time{}, true},
		"not JSON":    {`<html>`, true, time.Time{}, true},
		"another one": {`[1]`, true, time.Time{}, true},
	} {
		last, busy, err := activity([]byte(c.body))
		if busy != c.busy || (err != nil) != c.bad || !busy && !last.Equal(c.last) {
			t.Errorf("%s: %v %v %v", name, last, busy, err)
		}
	}
}
