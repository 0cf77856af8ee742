package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"nbremote/internal/session"
	"nbremote/internal/ui"
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
	if err == nil {
		err = a.onlyWithSSH(w, "read the log of")
	}
	if err != nil {
		return err
	}
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return err
	}
	defer line.leave()
	name, err := a.sessionOf(line, w)
	if err != nil {
		return err
	}
	if !c.Follow {
		text, err := session.Tail(a.ctx, line, name, c.Lines)
		if err != nil {
			return fmt.Errorf("read the log of %s/%s: %w", w.Host, name, err)
		}
		_, err = io.WriteString(os.Stdout, ui.Safe(string(text)))
		return err
	}
	return a.followLog(line, w.Host+"/"+name, name, c.Lines)
}

// defaultLines is how many of a log's last lines are shown unless told.
const defaultLines = 200

// followLog copies a log as it grows, made safe for the terminal.
func (a *app) followLog(line *line, full, name string, lines int) error {
	log, err := line.Stream(a.ctx, session.FollowScript(name, lines))
	if err != nil {
		return fmt.Errorf("follow the log of %s: %w", full, err)
	}
	defer log.Close()
	_, err = io.Copy(ui.SafeWriter(os.Stdout), log)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the line was lost, or the log ended")
	}
	return fmt.Errorf("follow the log of %s: %w", full, err)
}
