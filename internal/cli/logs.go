package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// logsCmd prints what Jupyter printed.
type logsCmd struct {
	Host   string `arg:"" optional:"" predictor:"host" help:"HOST or HOST/NAME; left out: the last one used here."`
	Follow bool   `short:"f" help:"Go on as it grows, until Ctrl-C."`
	Lines  int    `short:"n" default:"200" help:"How many of the last lines."`
}

// Run copies the log; what comes from the host is made safe for the terminal.
func (c *logsCmd) Run(a *app) error {
	w, err := a.where(c.Host)
	if err != nil {
		return err
	}
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return err
	}
	defer line.leave()
	name := w.Session
	if name == "" {
		look := jupyter.Look{Path: w.Path}
		host, err := jupyter.Probe(a.ctx, line, look)
		if err != nil {
			return fmt.Errorf("look around on %s: %w", w.Host, err)
		}
		name, _ = host.Choose(look)
	}
	if !c.Follow {
		text, err := session.Tail(a.ctx, line, name, c.Lines)
		if err != nil {
			return fmt.Errorf("read the log of %s/%s: %w", w.Host, name, err)
		}
		_, err = io.WriteString(os.Stdout, ui.Safe(string(text)))
		return err
	}
	log, err := line.Stream(a.ctx, session.FollowScript(name, c.Lines))
	if err != nil {
		return fmt.Errorf("follow the log of %s/%s: %w", w.Host, name, err)
	}
	defer log.Close()
	_, err = io.Copy(ui.SafeWriter(os.Stdout), log)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the line was lost, or the log ended")
	}
	return fmt.Errorf("follow the log of %s/%s: %w", w.Host, name, err)
}
