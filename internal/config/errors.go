package config

import (
	"fmt"
	"strings"
)

// Error is a wrong file or directory: where, what, and what to do about it.
type Error struct {
	Path string
	Line int // from 1; 0 = the file or directory as a whole
	Text string
	Try  string
	err  error
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Text)
	}
	return fmt.Sprintf("%s: %s", e.Path, e.Text)
}

// Unwrap is the system's error, if there was one.
func (e *Error) Unwrap() error { return e.err }

// Class decides the exit code: a wrong configuration is a usage error.
func (e *Error) Class() string { return "usage" }

// Hint is what to type instead, in one line.
func (e *Error) Hint() string { return e.Try }

// short bounds what an error repeats of the file.
func short(s string) string {
	const most = 64
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
