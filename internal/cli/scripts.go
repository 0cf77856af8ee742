package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// scriptRow is a script in ls.
func scriptRow(s holder.Status, one holder.Script) listed {
	full := s.Name + "/" + one.Name
	r := listed{
		Kind: "script",
		Host: s.Name, Session: one.Name, Since: one.Started, What: one.Command, Script: scriptState(one, time.Now()), Signal: one.Signal,
		State: "ended", Reason: s.Reason, Try: "nbremote logs " + shellWord(full),
	}
	switch {
	case one.Running && s.State != holder.Up:
		r.State, r.Since = string(s.State), s.Since
		r.Script += ", " + r.State
	case one.Running:
		r.State = runsThere
	default:
		r.Since = one.Ended
		if one.Exit >= 0 {
			r.Exit = &one.Exit
		}
	}
	return r
}

// scriptState is "running 41m" or "exit 1, 18h ago".
func scriptState(s holder.Script, now time.Time) string {
	if s.Running {
		text := runsThere
		if !s.Started.IsZero() {
			text += " " + ui.Short(now.Sub(s.Started))
		}
		return text
	}
	return endText(s, now)
}

// scriptRows are the scripts of a host in status.
func (s *hostStatus) scriptRows(now time.Time) [][2]string {
	rows := [][2]string{}
	for _, one := range s.Scripts {
		rows = append(rows, [2]string{one.Name, scriptState(one, now) + ": " + one.Command})
	}
	return rows
}

// keepScript tells the holder of a script; an older one cannot know.
func (a *app) keepScript(l *line, s holder.Script) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), time.Second)
	defer cancel()
	l.SetScript(ctx, s)
}

// lookAgain has the holder ask the host about its scripts, when one of them was
// just ended or removed.
func (a *app) lookAgain(l *line, names ...string) {
	s, err := l.Status(a.ctx)
	if err == nil && slices.ContainsFunc(s.Scripts, func(one holder.Script) bool { return slices.Contains(names, one.Name) }) {
		l.Fresh(a.ctx)
	}
}

// runningScripts says that scripts run on; "" where none does.
func runningScripts(all []holder.Script) string {
	n := 0
	for _, s := range all {
		if s.Running {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	verb := "runs"
	if n > 1 {
		verb = "run"
	}
	return fmt.Sprintf("; %d %s %s on", n, plural(n, "script"), verb)
}

// mayEndScript asks before the work of a script is lost.
func (a *app) mayEndScript(full, command string, started time.Time) error {
	if a.Yes {
		return nil
	}
	what := command
	if !started.IsZero() {
		what += " has been running for " + ui.Long(time.Since(started))
	}
	answer, err := a.choose(fmt.Sprintf("%s: %s. Stop it?", full, what), "y/N")
	if err != nil {
		return unanswered(err, "whether to end "+full+", which runs", "-y ends it")
	}
	if answer != "y" {
		return &refused{what: "left " + full + " running"}
	}
	return nil
}
