package kernel

import (
	"strings"
	"testing"
	"time"
)

// A kernel is kept for ten minutes unless its window says otherwise.
func TestWindow_KeepsTenMinutes(t *testing.T) {
	for keep, want := range map[time.Duration]string{0: `"keep":600,`, 3 * time.Second: `"keep":3,`} {
		text, err := (&Window{Name: "ds", Spec: "/k/ds", Key: "k", Keep: keep}).script()
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%v: no %s in what the host is told, %v", keep, want, err)
		}
	}
}
