package cli

import (
	"errors"
	"fmt"
)

// problem is an error of the command line itself: what, and what to type.
type problem struct {
	what, class, try string
}

func (p *problem) Error() string { return p.what }

// Class is the class of the error, which decides the exit code.
func (p *problem) Class() string { return p.class }

// Hint is what to type instead.
func (p *problem) Hint() string { return p.try }

func usage(what, try string) error    { return &problem{what, "usage", try} }
func notFound(what, try string) error { return &problem{what, "not-found", try} }

// refused is the person's own no: nothing went wrong, nothing was done.
type refused struct{ what string }

func (r *refused) Error() string { return r.what }

// unanswered turns the failure to ask into what must be given instead.
func unanswered(err error, what, try string) error {
	if classOf(err) != "usage" {
		return err
	}
	return usage("nobody can be asked "+what, try)
}

// farExit is the exit code of what ran on the host. Nothing went wrong here.
type farExit struct{ code int }

func (e *farExit) Error() string { return fmt.Sprintf("it ended with status %d", e.code) }

// own is a failure of ours where the exit code of what runs on the host
// becomes our own: 255, and its class only in --json.
type own struct{ error }

func (e *own) Unwrap() error { return e.error }

// EndsWith tells it from those of the host, as far as that can be.
func (e *own) EndsWith() int { return 255 }

// asError is the error in err's tree that has the methods of T.
func asError[T any](err error) (T, bool) {
	var found T
	ok := errors.As(err, &found)
	return found, ok
}
