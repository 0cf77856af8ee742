package cli

import (
	"context"
	"fmt"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// watcher tells a person who stays what becomes of the line.
type watcher struct {
	a    *app
	l    *line
	w    where
	down time.Time       // when it was said that the line is down; zero: it is not
	lost int             // streams that had been lost by then
	said map[string]bool // errors, or their classes, until it is back

	steadyFor time.Duration // 0 = steady
	back      time.Time     // when it was said that the line is back
	flaps     bool          // it was said that the line comes and goes
	steady    *time.Timer   // ends that; nil: it does not run
}

// steady is how long a line lives that does not come and go.
const steady = 10 * time.Second

// stay says what the line does until Ctrl-C, which closes the line and its
// ports here.
func (c *openCmd) stay(a *app, l *line, w where) error {
	l.told.Store(true)
	if c.demo {
		a.ui.Note("Ctrl-C ends the demo.")
	} else {
		a.ui.Note("Ctrl-C closes the line and its ports here; Jupyter runs on.")
	}
	watcher := &watcher{a: a, l: l, w: w}
	for {
		select {
		case e, ok := <-l.events:
			if !ok {
				return &holder.Error{Text: "hold " + w.Host + ": the background process has ended", ClassName: "line"}
			}
			watcher.hear(e)
		case <-watcher.isSteady():
			watcher.settle()
		case <-a.ctx.Done():
			if !c.demo {
				a.closeQuietly(l.Client)
			}
			return a.ctx.Err()
		}
	}
}

// hear says a change. A mere suspicion is none, nor is an error of a kind that
// was just said, nor each end of a line that comes and goes.
func (x *watcher) hear(e holder.Event) {
	switch {
	case e.Kind == "port", e.Kind == "warning", e.Kind == "gone":
		x.say(e.Text)
	case e.Kind == "error":
		kind := e.Error.Text
		switch class := e.Error.ClassName; {
		case class == "", class == "connect", class == "refused", class == "line": // what a lost line says in turn
			kind = "line"
		case x.flaps:
			kind = class
		}
		if !x.said[kind] {
			x.say(e.Error.Text)
		}
		if x.said == nil {
			x.said = map[string]bool{}
		}
		x.said[kind] = true
	case e.State == holder.Up:
		x.isUp()
	case e.State == holder.Suspect, e.State == "":
	case e.State == holder.Down:
		x.isDown(e.Text)
	default:
		x.say(fmt.Sprintf("%s (%s)", e.State, e.Text) + x.begin(x.status()))
	}
}

func (x *watcher) isUp() {
	switch {
	case x.down.IsZero():
	case !x.flaps:
		x.say(x.isBack("back"))
		x.down, x.said, x.back = time.Time{}, nil, time.Now()
	case x.steady == nil:
		x.steady = time.NewTimer(x.limit())
	}
}

func (x *watcher) isDown(why string) {
	if x.steady != nil {
		x.steady.Stop()
		x.steady = nil
	}
	switch {
	case !x.down.IsZero():
	case time.Since(x.back) < x.limit():
		x.flaps = true
		x.say("the line comes and goes" + x.begin(x.status()))
	default:
		x.say(x.lineDown(why))
	}
}

func (x *watcher) limit() time.Duration {
	if x.steadyFor > 0 {
		return x.steadyFor
	}
	return steady
}

// isSteady: the line no longer comes and goes.
func (x *watcher) isSteady() <-chan time.Time {
	if x.steady == nil {
		return nil
	}
	return x.steady.C
}

func (x *watcher) settle() {
	x.say(x.isBack("steady again"))
	x.down, x.said, x.back, x.flaps, x.steady = time.Time{}, nil, time.Now(), false, nil
}

func (x *watcher) say(text string) {
	x.a.ui.Note(fmt.Sprintf("%s %s: %s", time.Now().Format("15:04:05"), x.w.Host, text))
}

// status is the holder's, or nothing when it does not answer.
func (x *watcher) status() holder.Status {
	ctx, cancel := context.WithTimeout(x.a.ctx, time.Second)
	defer cancel()
	s, err := x.l.Status(ctx)
	if err != nil {
		return holder.Status{}
	}
	return s
}

func (x *watcher) lineDown(why string) string {
	s := x.status()
	s.State = holder.Down // that it was told of, whatever it is by now
	if hop := hopDown(s, x.a.open()); hop != nil {
		why = hop.Name
	}
	return "line down (" + why + ")" + x.begin(s)
}

// begin is the beginning of a time without the line; it says what that costs.
func (x *watcher) begin(s holder.Status) string {
	if x.down.IsZero() {
		x.down = time.Now()
		if s.Link != nil {
			x.lost = s.Link.Lost
		}
	}
	if s.Link != nil && s.Link.On {
		return "; output is kept"
	}
	return "; Jupyter runs on"
}

// isBack says how long the line was down and that nothing was lost, where the
// link can tell.
func (x *watcher) isBack(how string) string {
	s := x.status()
	if s.Link == nil || !s.Link.On {
		return "the line is " + how
	}
	took := time.Since(x.down)
	if x.flaps {
		took -= x.limit()
	}
	if n := len(s.Link.Cuts); n > 0 && !x.flaps {
		if cut := s.Link.Cuts[n-1]; cut.To.After(x.down) { // it began before it was told
			took = cut.To.Sub(cut.From)
		}
	}
	text := how + " after " + ui.Long(took)
	if n := s.Link.Lost - x.lost; n > 0 {
		return text + fmt.Sprintf("; %d %s lost: the relay ended, or its spool was full", n, plural(n, "stream"))
	}
	return text + ", 0 lost"
}
