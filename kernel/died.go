package kernel

import (
	"fmt"
	"slices"
	"strings"
)

// DiedError is a kernel that ended though nobody asked it to.
type DiedError struct {
	Kernel string
	Exit   int    // 128+n for signal n
	Signal string // without SIG
	Memory bool   // the system ended it because memory was full
	Words  []string
	Try    string
}

func (e *DiedError) Error() string {
	text := "kernel " + e.Kernel
	switch {
	case e.Memory:
		return text + " was killed by its system: memory was full"
	case e.Signal == "KILL":
		return text + " was killed (signal KILL), as the system does when memory is full"
	case e.Signal != "":
		return text + " was ended by signal " + e.Signal
	}
	return fmt.Sprintf("%s ended by itself, exit code %d", text, e.Exit)
}

// Class is other.
func (e *DiedError) Class() string { return "other" }

// EndsWith is the exit code: the kernel's own.
func (e *DiedError) EndsWith() int { return max(1, e.Exit) }

// Cause is the line of its last words that says why, or "".
func (e *DiedError) Cause() string {
	for _, line := range slices.Backward(e.Words) {
		if telling(line) && !strings.Contains(line, "WARNING") {
			return line
		}
	}
	return ""
}

// Hint is where to read more.
func (e *DiedError) Hint() string { return e.Try }

// Log is its own last words.
func (e *DiedError) Log() string { return strings.Join(e.Words, "\n") }

// LostError is a kernel of which nothing is known any more.
type LostError struct {
	Kernel string
	Err    error
}

func (e *LostError) Error() string {
	return "kernel " + e.Kernel + " is lost: what watched it has ended; the host may have been started again"
}

// Class is line.
func (e *LostError) Class() string { return "line" }

// Cause is what was tried last.
func (e *LostError) Cause() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e *LostError) Unwrap() error { return e.Err }
