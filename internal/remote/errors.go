package remote

import (
	"bytes"
	"fmt"
	"strings"
)

// ScriptError is a script that ended with a status other than 0. One that
// ended by the function fail brings its own class, cause and hint.
type ScriptError struct {
	Exit   int
	Stdout []byte
}

// exitFail is the status that the function fail ends a script with.
const exitFail = 97

// Error tells the cause, if the script did, else the status.
func (e *ScriptError) Error() string {
	if said := e.field("nbremote.fail"); said != "" {
		return said
	}
	return fmt.Sprintf("run a script on the host: it ended with status %d", e.Exit)
}

// Class is what the script said, else "other".
func (e *ScriptError) Class() string {
	if said := e.field("nbremote.class"); said != "" {
		return said
	}
	return "other"
}

// Cause is the one line that the script said, or "".
func (e *ScriptError) Cause() string { return e.field("nbremote.fail") }

// Hint is the line to paste that the script said, or "".
func (e *ScriptError) Hint() string { return e.field("nbremote.hint") }

func (e *ScriptError) field(name string) string {
	if e.Exit != exitFail {
		return ""
	}
	fields, _ := ParseFields(e.Stdout)
	for _, f := range fields {
		if f.Name == name {
			return oneLine(string(f.Value))
		}
	}
	return ""
}

// NoAnswerError is a shell that did not answer: an rc file that ends it, a
// forced command, an expired account. errors.Is(err, io.ErrUnexpectedEOF)
// when it just ended.
type NoAnswerError struct {
	Noise []byte // what came instead, at most 64 KiB
	Begun bool   // the script was running: it was cut off
	err   error
}

// Error shows the first 5 lines of what came instead.
func (e *NoAnswerError) Error() string { return "run /bin/sh on the host: " + e.Cause() }

// Class is line for a script cut off, else missing.
func (e *NoAnswerError) Class() string {
	if e.Begun {
		return "line"
	}
	return "missing"
}

// Cause is what came instead, in one line.
func (e *NoAnswerError) Cause() string {
	if e.Begun {
		return "it ended in the middle of a script"
	}
	lines := firstLines(e.Noise, 5)
	if len(lines) == 0 {
		return "the login shell ended without a word"
	}
	if e.restricted() {
		return "its login shell is restricted: " + strings.Join(lines, " / ")
	}
	return "the login shell said instead: " + strings.Join(lines, " / ")
}

// Hint is how to see it.
func (e *NoAnswerError) Hint() string {
	switch {
	case e.Begun:
		return ""
	case e.restricted():
		return "have the login shell changed there (chsh -s /bin/bash), or use another account"
	}
	return "ssh HOST '" + Command + "' </dev/null"
}

// restricted: it is a shell such as rbash, which runs nothing by its path.
func (e *NoAnswerError) restricted() bool { return bytes.Contains(e.Noise, []byte("restricted")) }

// Unwrap tells how it ended.
func (e *NoAnswerError) Unwrap() error { return e.err }

// firstLines gives the first n lines with something on them.
func firstLines(b []byte, n int) []string {
	var out []string
	for line := range bytes.Lines(b) {
		if s := oneLine(string(line)); s != "" && len(out) < n {
			out = append(out, s)
		}
	}
	return out
}

// oneLine is s on one line, at most 300 bytes.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
