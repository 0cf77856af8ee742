package jupyter

import (
	"strings"
)

const lastLines = 20

// failure tells why no Jupyter listens.
func (o outcome) failure(w Wish) error {
	e := &StartError{After: o.took, Exit: o.exit, Lines: tail(o.log)}
	e.Reason = reason(e.Lines)
	switch o.state {
	case "locked":
		e.What, e.Reason = "another start of "+w.Session+" is under way", "its lock was held all the time"
		e.Try = "--start-timeout 5m waits longer"
	case "other":
		e.What, e.Reason = w.Session+" runs already, and is no Jupyter", ""
		e.Try = "--name NAME"
	case "late":
		e.What, e.Exit = "not listening", -1
		e.Try = "--start-timeout 5m waits on: it is still starting"
		if e.Reason == "" {
			e.Reason = "it has printed nothing so far"
		}
	case "ended":
		e.What = "ended"
		if e.Exit == -1 || e.Exit == 137 {
			e.Reason = join(e.Reason, "killed from outside: the memory may have been full")
		}
		if e.Reason == "" {
			e.Reason = "it printed nothing"
		}
		e.Try = hint(e.Reason, w)
	default:
		e.What = "the host's answer broke off"
	}
	return e
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// tail is the last lines of a log, without colours and blank lines.
func tail(log string) []string {
	var lines []string
	for line := range strings.Lines(colour().ReplaceAllString(log, "")) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			continue
		}
		if len(line) > 500 {
			line = strings.ToValidUTF8(line[:500], "") + " …"
		}
		lines = append(lines, line)
	}
	return lines[max(0, len(lines)-lastLines):]
}

var (
	levelTag  = expression(`^\[([CEWID]) [0-9:. -]+ ?[A-Za-z_]*\]\s*`)
	exception = expression(`^(?:[A-Za-z_][A-Za-z0-9_]*\.)*([A-Z][A-Za-z0-9]*(?:Error|Exception|Exit|Interrupt)): (.+)`)
)

// reason is the line that says why it ended: the last exception, else the last
// critical line or error, else what a shell says, else the last line.
func reason(lines []string) string {
	last := ""
	for i := len(lines) - 1; i >= 0; i-- {
		line := lines[i]
		if m := exception().FindStringSubmatch(line); m != nil {
			if m[1] == "ModuleNotFoundError" || m[1] == "ImportError" {
				return m[2]
			}
			return m[1] + ": " + m[2]
		}
		if m := levelTag().FindStringSubmatch(line); m != nil {
			text := line[len(m[0]):]
			if (m[1] == "C" || m[1] == "E") && text != "" {
				return strings.TrimPrefix(text, "ERROR: ")
			}
			if m[1] != "C" && m[1] != "E" {
				continue // warnings and news explain nothing
			}
		}
		if last == "" {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

// hint is what may help against a known reason.
func hint(reason string, w Wish) string {
	switch {
	case strings.Contains(reason, "No module named"), strings.Contains(reason, "cannot import name"):
		return "--env NAME: another environment; " + w.Install.Name + " is incomplete"
	case strings.Contains(reason, "No space left"), strings.Contains(reason, "Disk quota"):
		return "df -h ~"
	case strings.Contains(reason, "bad interpreter"), strings.Contains(reason, "not found"):
		return "--env NAME: another environment; " + w.Install.Name + " is broken or was moved"
	case strings.Contains(reason, "unrecognized"), strings.Contains(reason, "Bad config"):
		return "leave out what stands behind --"
	}
	return ""
}
