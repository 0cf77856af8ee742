package cli

import (
	"strings"
	"testing"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// Who is asked a second time is told why.
func TestPut_SaysWhyItAsksAgain(t *testing.T) {
	for _, c := range []struct{ cause, want string }{{"", ""}, {"wrong password", "nbremote: gpu1: wrong password\n"}} {
		var b strings.Builder
		a := &app{ui: ui.New(ui.Options{Progress: "plain", NoInput: true, Stderr: &b})}
		if _, err := a.put(t.Context(), holder.Question{Kind: "password", Hop: "gpu1", Text: "password of me:", Cause: c.cause}); err == nil {
			t.Error("somebody answered")
		}
		if b.String() != c.want {
			t.Errorf("%q is told as %q, want %q", c.cause, b.String(), c.want)
		}
	}
}
