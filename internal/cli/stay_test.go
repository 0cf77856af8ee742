package cli

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// Without the link nothing more is said than is so; a suspicion is not told,
// and what was just said is not said again.
func TestWatcher_Direct(t *testing.T) {
	var out bytes.Buffer
	a := newApp(t.Context(), flags{})
	a.place.Run, a.ui = t.TempDir(), ui.New(ui.Options{Progress: "plain", Stderr: &out})
	x := &watcher{a: a, l: &line{Client: &holder.Client{Sock: t.TempDir() + "/none"}}, w: where{Host: "gpu1"}}
	refused := holder.Event{Kind: "error", Error: &holder.Error{Text: "connect to gpu1: refused"}}
	for _, e := range []holder.Event{
		{Kind: "state", State: holder.Suspect, Text: "silent"}, {Kind: "state", State: holder.Up}, {Kind: "up"},
		{Kind: "state", State: holder.Suspect, Text: "silent"}, {Kind: "state", State: holder.Down, Text: "it ended"},
		{Kind: "state", State: holder.Down, Text: "refused"}, refused, refused,
		{Kind: "state", State: holder.Up}, {Kind: "up"}, {Kind: "port", Text: "port 1 is free again"},
		{Kind: "state", State: holder.NeedsSignIn, Text: "a person is needed"},
	} {
		x.hear(e)
	}
	got := regexp.MustCompile(`\d\d:\d\d:\d\d `).ReplaceAllString(out.String(), "")
	want := `nbremote: gpu1: line down (it ended); Jupyter runs on
nbremote: gpu1: connect to gpu1: refused
nbremote: gpu1: the line is back
nbremote: gpu1: port 1 is free again
nbremote: gpu1: needs sign-in (a person is needed); Jupyter runs on
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A line that comes and goes is one change, and its end another.
func TestWatcher_Flapping(t *testing.T) {
	var out bytes.Buffer
	a := newApp(t.Context(), flags{})
	a.place.Run, a.ui = t.TempDir(), ui.New(ui.Options{Progress: "plain", Stderr: &out})
	x := &watcher{a: a, l: &line{Client: &holder.Client{Sock: t.TempDir() + "/none"}}, w: where{Host: "gpu1"}, steadyFor: time.Second}
	for range 2 {
		for i := range 50 {
			x.hear(holder.Event{Kind: "state", State: holder.Down, Text: "it ended"})
			for range 2 {
				x.hear(holder.Event{Kind: "error", Error: &holder.Error{Text: "connect to gpu1: port " + string(rune('0'+i)), ClassName: "connect"}})
			}
			x.hear(holder.Event{Kind: "state", State: holder.Up})
		}
		select {
		case <-x.isSteady():
			x.settle()
		case <-time.After(10 * time.Second):
			t.Fatal("it does not settle")
		}
		x.back = x.back.Add(-time.Second)
	}
	got := regexp.MustCompile(`\d\d:\d\d:\d\d `).ReplaceAllString(out.String(), "")
	once := `nbremote: gpu1: line down (it ended); Jupyter runs on
nbremote: gpu1: connect to gpu1: port 0
nbremote: gpu1: the line is back
nbremote: gpu1: the line comes and goes; Jupyter runs on
nbremote: gpu1: connect to gpu1: port 1
nbremote: gpu1: the line is steady again
`
	if got != once+once {
		t.Errorf("got\n%swant twice\n%s", got, once)
	}
}
