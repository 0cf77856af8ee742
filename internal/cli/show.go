package cli

import (
	"fmt"
	"os"
	"strings"
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
	// An editor that watches the lines of a task keeps them, and shows them: it
	// gets no token. Nobody reads what open prints by $(…) while it stays.
	watched := c.Foreground && !c.demo && a.Progress == "plain"
	withToken := !watched && (c.NoBrowser || !ui.IsTerminal(os.Stdout))
	if !c.NoBrowser {
		var shown bool
		if told, shown, err = c.browse(a, line, page, s); err != nil {
			return err
		}
		withToken = withToken || !shown && !watched
	}
	a.remember(w)
	a.ui.Ready(w.Host+"/"+page.Session, fmt.Sprintf("http://127.0.0.1:%d", page.Port), told)
	if host != nil && !c.demo {
		a.aboutHost(w, line, status, host)
	}
	out := opened{
		Host: w.Host, Session: page.Session, URL: page.URL, Token: page.Token, Port: page.Port, HolderPID: status.PID,
		Reused: s.Reused, Version: s.Version, Directory: s.Dir, Steps: a.steps, Link: status.Link,
	}
	if err := a.printOpened(out, withToken); err != nil {
		return err
	}
	if watched && !a.JSON {
		a.ui.Note("with its token, to be pasted: nbremote url " + shellWord(w.Host+"/"+page.Session) + " --copy")
	}
	if c.Foreground {
		return c.stay(a, line, w)
	}
	return nil
}

// sayPort says what is not as usual with the local port.
func (a *app) sayPort(p holder.Page) {
	if p.Moved != 0 {
		by := ""
		if p.TakenBy != "" {
			by = " by " + p.TakenBy
		}
		a.ui.Note(fmt.Sprintf("port %d is taken%s; %d is used instead, and %d again when it is free", p.Moved, by, p.Port, p.Moved))
		a.ui.Note(fmt.Sprintf("a tab still open at 127.0.0.1:%d speaks to that program, not to Jupyter: close it", p.Moved))
	}
	again := ""
	if p.Back {
		again = "free again and "
	}
	for _, port := range p.Also {
		a.ui.Note(fmt.Sprintf("port %d is %sused; %d goes on for tabs opened there", p.Port, again, port))
	}
}

// sayAway says what a page has not had that ended without a word, as when its
// browser was killed.
func (a *app) sayAway(p holder.Page) {
	if text := awayText(p.Kept, time.Now()); strings.Contains(text, " until ") {
		a.ui.Note(text)
	}
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
		_ = line.NotOpened(a.ctx, page.Session) // else the next open would say that it was
		return "no browser here (" + err.Error() + "); open the address below", false, nil
	}
	return "opened in your browser", true, nil
}

// aboutHost says what the host has left, and on the first open of a host what
// to do next.
func (a *app) aboutHost(w where, l *line, status holder.Status, host *jupyter.Host) {
	a.keepMeasured(status.Key, host.Machine)
	if text := machine(&host.Machine); text != "" {
		a.ui.Note(text)
	}
	if !a.firstTime(w.Host) {
		return
	}
	lost := "Lid closed, network lost: Jupyter and its kernels run on."
	if by, err := l.Link(a.ctx); err == nil && by != nil && by.On {
		lost = "Network lost: no output is lost while the tab stays."
	}
	a.ui.Note(lost)
	a.ui.Note("Again: nbremote open   Log: nbremote logs   End Jupyter: nbremote stop")
}
