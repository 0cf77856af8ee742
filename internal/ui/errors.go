package ui

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// SignalError is the end by a signal.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string {
	if e.Signal == os.Interrupt {
		return "interrupted"
	}
	return "ended by a signal: " + e.Signal.String()
}

// Code is 128 and the signal's number, as a shell has it.
func (e *SignalError) Code() int {
	if s, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return 130
}

// exitCodes maps the classes that errors give themselves.
var exitCodes = map[string]int{
	"usage": 2, "not-found": 3, "sign-in": 4, "connect": 5, "host-key": 6, "missing": 7, "start": 8, "line": 9,
	"refused": 1, "other": 1, "timeout": 124,
}

// ExitCode is what the program ends with after err: that of its class, unless
// it says what it EndsWith.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var signal *SignalError
	if errors.As(err, &signal) {
		return signal.Code()
	}
	var coded interface{ EndsWith() int }
	if errors.As(err, &coded) {
		return coded.EndsWith()
	}
	if code, ok := exitCodes[classOf(err)]; ok {
		return code
	}
	switch {
	case errors.Is(err, context.Canceled):
		return 130
	case errors.Is(err, context.DeadlineExceeded):
		return 124
	case readerGone(err):
		return 141
	}
	return 1
}

// readerGone: nobody reads our output any more (| head -1). A broken pipe of
// a connection is something else.
func readerGone(err error) bool {
	var network *net.OpError
	return errors.Is(err, syscall.EPIPE) && !errors.As(err, &network)
}

// classOf is the class that an error, or what it wraps, gives itself.
func classOf(err error) string {
	return first(err, func(e error) string {
		if c, ok := e.(interface{ Class() string }); ok {
			return c.Class()
		}
		return ""
	})
}

func causeOf(err error) string {
	return first(err, func(e error) string {
		if c, ok := e.(interface{ Cause() string }); ok {
			return c.Cause()
		}
		return ""
	})
}

func hintOf(err error) string {
	return first(err, func(e error) string {
		if c, ok := e.(interface{ Hint() string }); ok {
			return c.Hint()
		}
		return ""
	})
}

// first walks err and what it wraps, outside in, to the first answer.
func first(err error, ask func(error) string) string {
	if err == nil {
		return ""
	}
	if s := ask(err); s != "" {
		return s
	}
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		return first(w.Unwrap(), ask)
	case interface{ Unwrap() []error }:
		for _, inner := range w.Unwrap() {
			if s := first(inner, ask); s != "" {
				return s
			}
		}
	}
	return ""
}

// failure is an error in --progress=json and with --json.
type failure struct {
	Event string `json:"event"`
	Error string `json:"error"`
	Class string `json:"class"`
	Exit  int    `json:"exit"`
	Cause string `json:"cause,omitempty"`
	Hint  string `json:"hint,omitempty"`
	Log   string `json:"log,omitempty"`
}

// Error prints what went wrong in every mode: the error, its cause, what to
// try, and where the log is ("" = there is none). Nothing is printed when
// nobody reads the output any more. An error is an end: an open question gives
// the terminal back.
func (u *UI) Error(err error, log string) {
	if err == nil || ExitCode(err) == 141 {
		return
	}
	RestoreTerminal()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asking {
		io.WriteString(u.w, "\n")
		u.loud()
	}
	cause := causeOf(err)
	if strings.Contains(err.Error(), cause) {
		cause = ""
	}
	if u.options.JSON || u.options.Progress == "json" {
		class := classOf(err)
		if _, known := exitCodes[class]; !known {
			class = "other"
			if ExitCode(err) == exitCodes["timeout"] {
				class = "timeout"
			}
		}
		u.object(failure{"error", bounded(err.Error()), class, ExitCode(err), bounded(cause), bounded(hintOf(err)), log})
		return
	}
	u.print("nbremote: error: " + u.joined(err.Error()))
	for _, more := range [][2]string{{"cause: ", cause}, {"try:   ", hintOf(err)}, {"log: ", log}} {
		if more[1] != "" {
			u.print("  " + more[0] + u.joined(more[1]))
		}
	}
}

// joined puts the lines of errors that were joined into one.
func (u *UI) joined(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	return u.text(strings.Join(lines, "; "))
}

// bounded is for JSON, where nothing else cuts what a host has sent.
func bounded(s string) string {
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + cutMark
	}
	return s
}

// problem is an error of asking.
type problem struct{ text string }

func (p *problem) Error() string { return p.text }

// Class makes it a usage error: what was asked can be given as a flag.
func (p *problem) Class() string { return "usage" }
