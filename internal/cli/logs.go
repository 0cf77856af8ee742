package cli

import (
	"fmt"

	"nbremote/internal/session"
)

// logsCmd prints what Jupyter or a script printed.
type logsCmd struct {
	Host   string `arg:"" optional:"" predictor:"host" help:"HOST or HOST/NAME; left out: the last one used here."`
	Follow bool   `short:"f" help:"Go on as it grows, until Ctrl-C."`
	Lines  int    `short:"n" default:"-1" help:"How many of the last lines; left out: 200 of Jupyter's, all of a script's."`
}

// Run copies the log.
func (c *logsCmd) Run(a *app) error {
	line, w, err := a.connectWithSSH(c.Host, "read the log of")
	if err != nil {
		return err
	}
	defer line.leave()
	name, err := a.sessionOf(line, w)
	if err != nil {
		return err
	}
	w.Session = name
	lines := c.Lines
	if lines < 0 {
		lines = session.Usual
	}
	return a.showLog(line, w, lines, !c.Follow)
}

// showLog copies a log, as it grows or once. What a script printed goes to a
// file or a pipe byte by byte.
func (a *app) showLog(line *line, w where, lines int, once bool) error {
	watch, err := session.Follow(a.ctx, line, w.Session, session.WatchWish{Lines: lines, Once: once})
	if err == nil {
		f := &following{a: a, line: line, w: w, watch: watch}
		_, err = f.run()
	}
	if err != nil && a.ctx.Err() == nil {
		return fmt.Errorf("read the log of %s/%s: %w", w.Host, w.Session, err)
	}
	return err
}
