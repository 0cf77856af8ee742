package cli

import (
	"errors"
	"fmt"

	"nbremote/internal/holder"
	"nbremote/jupyter"
)

// elsewhereError is a Jupyter that may run on another of several machines that
// have one name: the login nodes of a cluster, say.
type elsewhereError struct {
	w     where
	other *jupyter.Elsewhere
	why   string // the line is not brought there; "": open does
	try   string
}

func (e *elsewhereError) Error() string {
	return fmt.Sprintf("find %s/%s: it was started on %s, another machine behind this name", e.w.Host, e.other.Name, e.other.Node)
}

// Class says whether that one was looked for.
func (e *elsewhereError) Class() string {
	if e.why != "" {
		return "connect"
	}
	return "not-found"
}

// Cause is what is in the way.
func (e *elsewhereError) Cause() string { return e.why }

// Hint is how to get there.
func (e *elsewhereError) Hint() string { return e.try }

// elsewhere is a *elsewhereError where a Jupyter that was asked for is to be
// looked for on another machine; nil: it is looked for, or started, here.
func (a *app) elsewhere(line *line, w where, look jupyter.Look, host *jupyter.Host) error {
	if len(host.Others) == 0 {
		return nil
	}
	status, err := line.Status(a.ctx)
	if err != nil {
		return err
	}
	other := host.Elsewhere(look)
	if other == nil {
		return nil
	}
	found := &elsewhereError{w: w, other: other, try: "nbremote open " + shellWord(w.Host+"/"+other.Name) + " goes there"}
	sought := status.Sought
	switch {
	case other.Gone || sought != nil && sought.Machine == other.Machine && sought.Gone:
		a.ui.Note(fmt.Sprintf("%s/%s was started on %s, which is not there any more", w.Host, other.Name, other.Node))
		return nil
	case status.Node != "" && sought == nil:
		return nil // the line was brought here, and such a record may be of one that was killed
	case sought != nil && sought.Machine == other.Machine:
		found.why = sought.Why
		found.try = "nbremote open --name NEW " + shellWord(w.Host) + " starts another here"
	case len(status.Pages) > 0 || status.Behind > 0:
		found.why = "the line is on another of them, and is in use"
		found.try = "nbremote close " + shellWord(w.Host) + "; nbremote open " + shellWord(w.Host+"/"+other.Name)
	}
	return found
}

// reached is the address by which the line's host is reached.
func (a *app) reached(l *line) string {
	status, err := l.Status(a.ctx)
	if err != nil {
		return ""
	}
	return status.Address
}

// moved brings the line to the machine that err names: it ends, and the next
// one goes on to there. It is nil where err is no such error.
func (a *app) moved(l *line, w where, err error) (*line, error) {
	found, ok := asError[*elsewhereError](err)
	if !ok || found.why != "" {
		return nil, nil
	}
	node := holder.Node{Machine: found.other.Machine, Name: found.other.Node, Port: found.other.Port}
	if err := errors.Join(l.Return(a.ctx, node), l.Close(a.ctx)); err != nil {
		return nil, fmt.Errorf("go to %s: %w", node.Name, err)
	}
	if err := waitGone(a.ctx, l.Client); err != nil {
		return nil, fmt.Errorf("go to %s: %w", node.Name, err)
	}
	return a.connect(a.ctx, w)
}
