package cli

import (
	"time"

	"nbremote/internal/session"
)

// waitCmd waits for the end of a script.
type waitCmd struct {
	Host string `arg:"" predictor:"host" help:"HOST/NAME."`
}

// Help stands below the command's help.
func (c *waitCmd) Help() string {
	return "Of one that has ended it says the exit code at once. 255 is a failure of nbremote's own."
}

// waited is what --json prints.
type waited struct {
	Host    string    `json:"host"`
	Session string    `json:"session"`
	Exit    int       `json:"exit"` // 128+n for signal n; -1: it is not known
	Signal  string    `json:"signal,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Run prints nothing but JSON; the script's exit code becomes ours.
func (c *waitCmd) Run(a *app) error { return ofScript(c.run(a)) }

func (c *waitCmd) run(a *app) error {
	w, err := a.where(c.Host)
	if err == nil {
		err = a.onlyWithSSH(w, "wait for something on")
	}
	if err == nil && w.Session == "" {
		err = usage("wait: for which script on "+w.Host+"?", "nbremote wait "+shellWord(w.Host)+"/NAME; nbremote ls")
	}
	if err != nil {
		return err
	}
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return err
	}
	defer line.leave()
	watch, err := session.Follow(a.ctx, line, w.Session, session.WatchWish{Quiet: true})
	if err != nil {
		return err
	}
	f := &following{a: a, line: line, w: w, watch: watch}
	end, err := f.run()
	if err != nil {
		return err
	}
	if a.JSON {
		if err := a.printJSON(waited{w.Host, w.Session, exitOf(end), end.Signal, end.Started, end.Ended}); err != nil {
			return err
		}
	}
	return f.exit(end)
}
