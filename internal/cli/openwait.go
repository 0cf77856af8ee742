package cli

import (
	"time"
)

// longestPause is how long --wait rests between two tries at most.
const longestPause = 10 * time.Second

// connect connects to the host and, with --wait, tries until it can be reached.
func (c *openCmd) connect(a *app, w where) (*line, error) {
	line, err := a.connect(a.ctx, w)
	if err == nil || !c.Wait || classOf(err) != "connect" {
		return line, err
	}
	step := a.ui.Start("waiting", waitingFor(w, err))
	a.ui.Note(waitingFor(w, err) + "; Ctrl-C gives up")
	a.waiting = true
	defer func() { a.waiting = false }()
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		select {
		case <-time.After(pause):
		case <-a.ctx.Done():
			step.Fail("")
			return nil, a.ctx.Err()
		}
		line, err = a.connect(a.ctx, w)
		switch {
		case err == nil:
			step.Done(w.Host + " is reached")
			return line, nil
		case classOf(err) != "connect":
			step.Fail("")
			return nil, err
		}
		step.Update(waitingFor(w, err))
	}
}

func waitingFor(w where, err error) string { return "waiting for " + w.Host + ": " + err.Error() }
