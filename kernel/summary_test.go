package kernel

import (
	"strings"
	"testing"
	"time"
)

const (
	busyID, idleID = "aaaaaaaa-0000", "bbbbbbbb-0000"
	twoKernels     = `[{"id":"` + busyID + `","execution_state":"busy","last_activity":"2026-11-23T10:00:00.5Z"},
		{"id":"` + idleID + `","execution_state":"idle","last_activity":"2026-11-23T09:00:00Z"}]`
	twoSessions = `[{"path":"work/eval.ipynb","kernel":{"id":"` + idleID + `"}},{"path":"work/train.ipynb","kernel":{"id":"` + busyID + `"}}]`
)

func TestSum(t *testing.T) {
	s := Sum(ParseRunning([]byte(twoKernels), []byte(twoSessions)))
	want := time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)
	if s.Total != 2 || s.Busy != 1 || !s.BusySince.Equal(want) || s.What() != "train.ipynb, 2 kernels" {
		t.Errorf("%+v %s", s, s.What())
	}
	for _, c := range []struct {
		kernels, sessions, what string
		busy                    int
	}{
		{`[]`, `[]`, "no kernels", 0},
		{`[{"id":"` + busyID + `"}]`, `[]`, "1 kernel", 0},
		{`[{"id":"` + busyID + `","execution_state":"busy","last_activity":"soon"}]`, `[{"name":"x.py","kernel":{"id":"` + busyID + `"}}]`, "x.py, 1 kernel", 1},
		{`null`, ``, "no kernels", 0},
		{`{"message":"Forbidden"}`, `<html>`, "no kernels", 0},
		{`[{"id":"` + busyID + `","execution_state":"busy"}]`, `[{"path":"` + strings.Repeat("x", 300) + `","kernel":{"id":"` + busyID + `"}}]`, "1 kernel", 1},
	} {
		s := Sum(ParseRunning([]byte(c.kernels), []byte(c.sessions)))
		if s.What() != c.what || s.Busy != c.busy || !s.BusySince.IsZero() {
			t.Errorf("%s: %+v %q", c.kernels, s, s.What())
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte(twoKernels), []byte(twoSessions))
	f.Fuzz(func(t *testing.T, kernels, sessions []byte) {
		s := Sum(ParseRunning(kernels, sessions))
		if s.Busy > s.Total || s.What() == "" || len(s.What()) > 300 {
			t.Fatalf("%+v", s)
		}
	})
}
