package cli

import (
	"fmt"
	"os"
	"strings"

	"nbremote/internal/session"
	"nbremote/jupyter"
)

// attachCmd shows the tmux window of a session at this terminal.
type attachCmd struct {
	Host string `arg:"" optional:"" predictor:"host" help:"HOST or HOST/NAME; left out: the last one used here."`
}

// Help stands below the command's help.
func (c *attachCmd) Help() string {
	return "The window shows the log: Ctrl-C in it does not reach Jupyter or the script, unless that was started with --tty. Ctrl-b d leaves it, with your own prefix key " +
		"if a tmux of yours runs there. Without tmux on the host the log is followed as by nbremote logs -f."
}

// Run is at the terminal until the person leaves the window.
func (c *attachCmd) Run(a *app) error {
	if !haveTerminal() {
		return usage("attach: stdin and stdout must be a terminal", "nbremote logs -f")
	}
	line, w, err := a.connectWithSSH(c.Host, "attach to")
	if err != nil {
		return err
	}
	defer line.leave()
	name, err := a.sessionOf(line, w)
	if err != nil {
		return err
	}
	full := w.Host + "/" + name
	view, err := session.Show(a.ctx, line, name)
	if err == nil {
		text := leaving(view.Prefix, os.Getenv("TMUX") != "")
		if !view.Typed {
			text += "; Ctrl-C does not reach it"
		}
		a.ui.Note(text)
		err = a.atTerminal(line, w.Host, "", view.Script())
	}
	if classOf(err) == "missing" {
		a.ui.Note(err.Error() + "; its log follows, Ctrl-C ends that")
		w.Session = name
		return a.showLog(line, w, 200, false)
	}
	if err != nil {
		return fmt.Errorf("attach to %s: %w", full, err)
	}
	return nil
}

// leaving says which keys leave the window. Within another tmux that one takes
// the prefix first, unless it is typed twice.
func leaving(prefix string, nested bool) string {
	key := strings.NewReplacer("C-", "Ctrl-", "M-", "Alt-").Replace(prefix)
	if nested {
		key += " " + key
	}
	return key + " d leaves it running"
}

// sessionOf is the session that is meant: the one named, else the one of the
// path, else the only one.
func (a *app) sessionOf(line *line, w where) (string, error) {
	if w.Session != "" {
		return w.Session, nil
	}
	look := jupyter.Look{Path: w.Path, Reached: a.reached(line)}
	host, err := jupyter.Probe(a.ctx, line, look)
	if err != nil {
		return "", fmt.Errorf("look around on %s: %w", w.Host, err)
	}
	name, _ := host.Choose(look)
	return name, a.elsewhere(line, w, look, host)
}
