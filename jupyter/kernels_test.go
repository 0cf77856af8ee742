package jupyter

import (
	"strings"
	"testing"
	"time"
)

const (
	twoKernels = `[{"id":"a","execution_state":"busy","last_activity":"2026-11-23T10:00:00.5Z"},
		{"id":"b","execution_state":"idle","last_activity":"2026-11-23T09:00:00Z"}]`
	twoSessions = `[{"path":"work/eval.ipynb","kernel":{"id":"b"}},{"path":"work/train.ipynb","kernel":{"id":"a"}}]`
)

func TestParseKernels(t *testing.T) {
	k := ParseKernels([]byte(twoKernels), []byte(twoSessions))
	want := time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)
	if k.Total != 2 || k.Busy != 1 || !k.BusySince.Equal(want) || k.What() != "train.ipynb, 2 kernels" {
		t.Errorf("%+v %s", k, k.What())
	}
	for _, c := range []struct {
		kernels, sessions, what string
		busy                    int
	}{
		{`[]`, `[]`, "no kernels", 0},
		{`[{"id":"a"}]`, `[]`, "1 kernel", 0},
		{`[{"id":"a","execution_state":"busy","last_activity":"soon"}]`, `[{"name":"x.py","kernel":{"id":"a"}}]`, "x.py, 1 kernel", 1},
		{`null`, ``, "no kernels", 0},
		{`{"message":"Forbidden"}`, `<html>`, "no kernels", 0},
		{`[{"id":"a","execution_state":"busy"}]`, `[{"path":"` + strings.Repeat("x", 300) + `","kernel":{"id":"a"}}]`, "1 kernel", 1},
	} {
		k := ParseKernels([]byte(c.kernels), []byte(c.sessions))
		if k.What() != c.what || k.Busy != c.busy || !k.BusySince.IsZero() {
			t.Errorf("%s: %+v %q", c.kernels, k, k.What())
		}
	}
}

func FuzzParseKernels(f *testing.F) {
	f.Add([]byte(twoKernels), []byte(twoSessions))
	f.Fuzz(func(t *testing.T, kernels, sessions []byte) {
		k := ParseKernels(kernels, sessions)
		if k.Busy > k.Total || k.What() == "" || len(k.What()) > 300 {
			t.Fatalf("%+v", k)
		}
	})
}
