package cli

import (
	"fmt"
	"os"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// show opens the browser and prints the address.
func (c *openCmd) show(a *app, line *line, w where, page holder.Page, s *jupyter.Server, host *jupyter.Host) error {
	status, err := line.Status(a.ctx)
	if err != nil {
		return err
	}
	told := "listening on 127.0.0.1"
	withToken := c.NoBrowser || !ui.IsTerminal(os.Stdout)
	if !c.NoBrowser {
		var shown bool
		if told, shown, err = c.browse(a, line, page, s); err != nil {
			return err
		}
		withToken = withToken || !shown
	}
	a.remember(w)
	a.ui.Ready(w.Host+"/"+page.Session, fmt.Sprintf("http://127.0.0.1:%d", page.Port), told)
	if host != nil && !c.demo {
		a.aboutHost(w, host)
	}
	out := opened{
		Host: w.Host, Session: page.Session, URL: page.URL, Token: page.Token, Port: page.Port, HolderPID: status.PID,
		Reused: s.Reused, Version: s.Version, Directory: s.Dir, Steps: a.steps,
	}
	if err := a.printOpened(out, withToken); err != nil {
		return err
	}
	if c.Foreground {
		return c.stay(a, line, w)
	}
	return nil
}

// browse sends the browser to the page, unless a tab is connected.
func (c *openCmd) browse(a *app, line *line, page holder.Page, s *jupyter.Server) (told string, shown bool, err error) {
	o, err := line.OpenPage(a.ctx, page.Session, s.Path, c.NewTab)
	if err != nil {
		return "", false, err
	}
	if o.Connected {
		return "your tab is connected, nothing opened", true, nil
	}
	if o.Underway {
		return "your browser was sent there a moment ago, nothing opened", true, nil
	}
	if err := ui.OpenBrowser(a.ctx, o.URL); err != nil {
		return "no browser here (" + err.Error() + "); open the address below", false, nil
	}
	return "opened in your browser", true, nil
}

// aboutHost says what the host has left, and on the first open of a host what
// to do next.
func (a *app) aboutHost(w where, host *jupyter.Host) {
	if text := machine(host); text != "" {
		a.ui.Note(text)
	}
	if !a.firstTime(w.Host) {
		return
	}
	a.ui.Note("Lid closed, network lost: Jupyter and its kernels run on.")
	a.ui.Note("Again: nbremote open   Log: nbremote logs   End Jupyter: nbremote stop")
}

// stay says what the line does until Ctrl-C, which closes the line and its
// ports here.
func (c *openCmd) stay(a *app, l *line, w where) error {
	if c.demo {
		a.ui.Note("Ctrl-C ends the demo.")
	} else {
		a.ui.Note("Ctrl-C closes the line and its ports here; Jupyter runs on.")
	}
	for {
		select {
		case e, ok := <-l.events:
			if !ok {
				return &holder.Error{Text: "hold " + w.Host + ": the background process has ended", ClassName: "line"}
			}
			a.sayLine(w, e)
		case <-a.ctx.Done():
			if !c.demo {
				a.closeQuietly(l.Client)
			}
			return a.ctx.Err()
		}
	}
}

func (a *app) sayLine(w where, e holder.Event) {
	now := time.Now().Format("15:04:05")
	switch {
	case e.State == holder.Up:
		a.ui.Note(fmt.Sprintf("%s %s: the line is back", now, w.Host))
	case e.Kind == "error":
		a.ui.Note(fmt.Sprintf("%s %s: %s", now, w.Host, e.Error.Text))
	case e.State == holder.Down:
		a.ui.Note(fmt.Sprintf("%s %s: line down (%s); Jupyter runs on", now, w.Host, e.Text))
	case e.State != "":
		a.ui.Note(fmt.Sprintf("%s %s: %s (%s)", now, w.Host, e.State, e.Text))
	}
}
