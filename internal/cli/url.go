package cli

import (
	"fmt"

	"github.com/atotto/clipboard"
)

// urlCmd prints the address with its token: what is pasted into an IDE.
type urlCmd struct {
	Host string `arg:"" optional:"" predictor:"host" help:"HOST or HOST/NAME; left out: the last one used here."`
	Copy bool   `help:"Put it on the clipboard instead of printing it."`
}

// Run answers from the holder: the host is not asked.
func (c *urlCmd) Run(a *app) error {
	s, page, kept, w, err := a.openPage(c.Host)
	if err != nil {
		return err
	}
	a.sayPort(page)
	out := opened{
		Host: w.Host, Session: page.Session, URL: page.URL, Token: page.Token, Port: page.Port, HolderPID: s.PID,
		Reused: true, Version: kept.Server.Version, Directory: kept.Server.Dir, Link: s.Link,
	}
	if !c.Copy {
		return a.printOpened(out, true)
	}
	if err := clipboard.WriteAll(withToken(out)); err != nil {
		return &problem{fmt.Sprintf("copy the address: %v", err), "other", "nbremote url " + shellWord(w.Host+"/"+page.Session) + ", which prints it"}
	}
	a.ui.Note("copied the address of " + w.Host + "/" + page.Session + " with its token")
	return nil
}
