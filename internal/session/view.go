package session

import (
	"context"
	_ "embed"
	"fmt"

	"nbremote/internal/remote"
)

//go:embed attach.sh
var attachText string

// View is the tmux window of a session, to be attached to.
type View struct {
	Tmux   string // the program
	Sock   string // of our own server
	ID     string // tmux's own number of it
	Typed  bool   // what is typed in it reaches the command
	Prefix string // the key before those that tmux obeys, as tmux writes it: C-b
}

// Show gives the window of a session, made if it is missing. It has the user's
// own prefix key if a tmux of theirs runs. Without a tmux on the host, or when
// it does not work, the error is of class missing.
func Show(ctx context.Context, r remote.Runner, name string) (View, error) {
	out, err := r.Run(ctx, script(named(name)+"enc="+Encode(name)+"\n"+remote.Compact(attachText)))
	if err != nil {
		return View{}, fmt.Errorf("show %s: %w", name, err)
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return View{}, fmt.Errorf("show %s: %w", name, err)
	}
	var v View
	for _, f := range fields {
		switch f.Name {
		case "tmux":
			v.Tmux = string(f.Value)
		case "sock":
			v.Sock = string(f.Value)
		case "id":
			v.ID = string(f.Value)
		case "typed":
			v.Typed = true
		case "prefix":
			v.Prefix = string(f.Value)
		}
	}
	return v, nil
}

// Script is the command that attaches to it, at a terminal.
func (v View) Script() string {
	return "exec " + remote.Quote(v.Tmux) + " -u -S " + remote.Quote(v.Sock) + " attach-session -t " + remote.Quote(v.ID) + "\n"
}
