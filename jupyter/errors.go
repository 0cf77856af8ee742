package jupyter

import (
	"fmt"
	"strings"
	"time"
)

// OpenServerError is a Jupyter that lets in whoever can reach it.
type OpenServerError struct {
	Where      string // as Server.Where
	ConfigFile string // where that seems to be set, or ""
}

func (e *OpenServerError) Error() string {
	return "the Jupyter at " + e.Where + " asks for no token: whoever reaches it may run anything"
}

// Class is refused.
func (e *OpenServerError) Class() string { return "refused" }

// Cause names the configuration.
func (e *OpenServerError) Cause() string {
	if e.ConfigFile == "" {
		return "it was started with an empty token"
	}
	return "its token is switched off, probably in " + e.ConfigFile
}

// Hint is what to do about it.
func (e *OpenServerError) Hint() string {
	if e.ConfigFile == "" {
		return "end it, and start it without --IdentityProvider.token=''"
	}
	return "remove the token line from " + e.ConfigFile + " and start it anew, or use --name NAME for one of nbremote's own"
}

// StrangerError is something else where our Jupyter should be.
type StrangerError struct {
	Where  string
	Status int    // HTTP status, or 0
	Reason string // instead of the status
}

func (e *StrangerError) Error() string {
	return "what answers at " + e.Where + " is not your server"
}

// Class is refused.
func (e *StrangerError) Class() string { return "refused" }

// Cause says how that was seen.
func (e *StrangerError) Cause() string {
	switch {
	case e.Reason != "":
		return e.Reason
	case e.Status == 403 || e.Status == 401 || e.Status == 302:
		return "it does not know the session's token"
	}
	return fmt.Sprintf("it answers with status %d", e.Status)
}

// UsageError is a wish that cannot be granted as it was written.
type UsageError struct{ What, Try string }

func (e *UsageError) Error() string { return e.What }

// Class is usage.
func (e *UsageError) Class() string { return "usage" }

// Hint is what to write instead.
func (e *UsageError) Hint() string { return e.Try }

// NotFoundError is a path that is not on the host.
type NotFoundError struct {
	Path, Reason string
}

func (e *NotFoundError) Error() string { return "find " + e.Path + ": " + e.Reason }

// Class is not-found.
func (e *NotFoundError) Class() string { return "not-found" }

// MissingError is a host without the Jupyter that is needed.
type MissingError struct {
	What   string // "none": what became of the search for it
	Looked string // where
	Try    string
}

func (e *MissingError) Error() string { return e.What }

// Class is missing.
func (e *MissingError) Class() string { return "missing" }

// Cause lists where was looked.
func (e *MissingError) Cause() string {
	if e.Looked == "" {
		return ""
	}
	return "looked in " + e.Looked
}

// Hint is what to paste.
func (e *MissingError) Hint() string { return e.Try }

// StartError is a Jupyter that did not come up.
type StartError struct {
	What   string // "ended", "gave no sign of listening"
	After  time.Duration
	Exit   int // -1 = not known or still running
	Reason string
	Lines  []string // the last of its log, at most 20
	Try    string
}

func (e *StartError) Error() string {
	text := e.What
	if e.After > 0 {
		text += fmt.Sprintf(" after %.1f s", e.After.Seconds())
	}
	switch {
	case e.Exit > 128 && e.Exit < 160:
		text += fmt.Sprintf(", by signal %d", e.Exit-128)
	case e.Exit >= 0:
		text += fmt.Sprintf(", exit code %d", e.Exit)
	}
	return text
}

// Class is start.
func (e *StartError) Class() string { return "start" }

// Cause is the line that says why.
func (e *StartError) Cause() string { return e.Reason }

// Hint is what to paste.
func (e *StartError) Hint() string { return e.Try }

// Log is the end of what it printed.
func (e *StartError) Log() string { return strings.Join(e.Lines, "\n") }
