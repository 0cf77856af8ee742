package cli

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
