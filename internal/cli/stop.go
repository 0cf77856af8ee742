package cli

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// stopCmd ends Jupyter on the host.
type stopCmd struct {
	Host string         `arg:"" optional:"" predictor:"host" help:"HOST or HOST/NAME; left out: the last one used here."`
	All  bool           `help:"All of yours: on HOST or, where that is left out, on every host that is open."`
	Idle *time.Duration `help:"Only what has been idle for so long, by its kernels and terminals and the host's clock; what is busy is left." placeholder:"8h"`
}

// Run asks when a kernel is busy, ends Jupyter, and closes its port.
func (c *stopCmd) Run(a *app) error { return a.printEnded("stopped", c.run(a)) }

func (c *stopCmd) run(a *app) error {
	if err := c.check(a); err != nil {
		return err
	}
	if c.All || c.Idle != nil {
		return c.several(a)
	}
	line, host, w, name, err := a.session(c.Host, "stop")
	if err != nil {
		return err
	}
	defer line.leave()
	full := w.Host + "/" + name
	server := host.Running(name)
	switch {
	case server != nil:
		if err := a.mayEndAnothers(w, server, full); err != nil {
			return err
		}
		if err := a.mayEnd(line, server, full, "Stop it and Jupyter?"); err != nil {
			return err
		}
	case !runs(host, name):
		return notRunning(w, full)
	default:
		if s := host.Script(name); s != nil {
			if err := a.mayEndScript(full, s.Command, s.Started); err != nil {
				return err
			}
		}
	}
	return a.stopSession(line, full, name)
}

// runs says whether the session is there at all: a Jupyter that hangs before
// it listens is.
func runs(host *jupyter.Host, name string) bool {
	return slices.ContainsFunc(host.Sessions, func(s jupyter.Session) bool { return s.Name == name && s.Running })
}

func notRunning(w where, full string) error {
	return notFound("find "+full+": it does not run", "nbremote ls; nbremote open "+shellWord(w.Host)+" starts one")
}

// restartCmd starts Jupyter anew in the same session, at the same address.
type restartCmd struct {
	Host         string        `arg:"" optional:"" predictor:"host" help:"HOST or HOST/NAME; left out: the last one used here."`
	NewToken     bool          `help:"Make the token anew: addresses saved or passed on are no longer good."`
	StartTimeout time.Duration `default:"60s" help:"How long Jupyter may take to start."`
}

// Run ends and starts Jupyter; the page's address stays.
func (c *restartCmd) Run(a *app) error {
	line, host, w, session, err := a.session(c.Host, "restart")
	if err != nil {
		return err
	}
	defer line.leave()
	name := w.Host + "/" + session
	server := host.Running(session)
	if server == nil {
		return notRunning(w, name)
	}
	if err := a.mayEndAnothers(w, server, name); err != nil {
		return err
	}
	if err := a.mayEnd(line, server, name, "Restart Jupyter and lose its kernels?"); err != nil {
		return err
	}
	token, told := "", "same address, same token"
	if c.NewToken {
		if token, err = newToken(); err != nil {
			return err
		}
		told = "new token: nbremote url " + name
	}
	step := a.ui.Start("restarted", "restarting "+name)
	again, err := jupyter.Restart(a.ctx, line, server.Session, c.StartTimeout, token)
	if err != nil {
		step.Fail("")
		return fmt.Errorf("restart Jupyter on %s: %w", w.Host, err)
	}
	step.Done(name)
	open := &openCmd{}
	if err := open.prove(a, line, w, again); err != nil {
		return err
	}
	page, err := open.forward(a, line, w, again)
	if err != nil {
		return err
	}
	at := fmt.Sprintf("http://127.0.0.1:%d", page.Port)
	a.ui.Ready(name, at, told)
	if a.JSON {
		return a.printJSON(map[string]string{"restarted": name, "url": at})
	}
	return nil
}

// session connects to the host of HOST or HOST/NAME and finds out which session
// of it is meant.
func (a *app) session(arg, verb string) (*line, *jupyter.Host, where, string, error) {
	line, w, err := a.connectWithSSH(arg, verb)
	if err != nil {
		return nil, nil, w, "", err
	}
	look := jupyter.Look{Path: w.Path, Session: w.Session, Reached: a.reached(line)}
	host, err := jupyter.Probe(a.ctx, line, look)
	if err != nil {
		line.leave()
		return nil, nil, w, "", fmt.Errorf("look around on %s: %w", w.Host, err)
	}
	if err := a.elsewhere(line, w, look, host); err != nil {
		line.leave()
		return nil, nil, w, "", err
	}
	name, _ := host.Choose(look)
	return line, host, w, name, nil
}

// mayEnd asks before work is lost.
func (a *app) mayEnd(line *line, s *jupyter.Server, name, question string) error {
	network, addr := s.Far()
	ctx, cancel := context.WithTimeout(a.ctx, 10*time.Second)
	defer cancel()
	running, err := kernel.Runs(ctx, func(ctx context.Context) (net.Conn, error) { return line.Dial(ctx, network, addr) }, *forKernel(s))
	if err != nil {
		a.ui.Note("whether a kernel is busy cannot be seen: " + err.Error())
		return nil
	}
	k := kernel.Sum(running)
	if k.Busy == 0 || a.Yes {
		return nil
	}
	what := k.What()
	if !k.BusySince.IsZero() {
		what += " (busy for " + ui.Short(time.Since(k.BusySince)) + ")"
	}
	answer, err := a.choose(fmt.Sprintf("%s: %s. %s", name, what, question), "y/N")
	if err != nil {
		return unanswered(err, "whether to end busy kernels", "-y ends them")
	}
	if answer != "y" {
		return &refused{what: "left " + name + " running"}
	}
	return nil
}

// openPage is the page of HOST or HOST/NAME that is open here; the host is not
// asked.
func (a *app) openPage(arg string) (holder.Status, holder.Page, info, where, error) {
	w, err := a.where(arg)
	if err != nil {
		return holder.Status{}, holder.Page{}, info{}, w, err
	}
	s, err := a.openHolder(w, "find")
	if err != nil {
		return s, holder.Page{}, info{}, w, err
	}
	page, kept, err := pageOfHost(s, w)
	return s, page, kept, w, err
}

// pageOfHost is the page that w means. A host alone means its only one too.
func pageOfHost(s holder.Status, w where) (holder.Page, info, error) {
	page, kept, ok := findPage(s, w)
	names := []string{}
	for _, p := range pagesThere(s.Pages) {
		names = append(names, p.Session)
	}
	alone := w.Path == "" && w.Session == "" && w.URL == ""
	switch {
	case ok:
		return page, kept, nil
	case alone && len(names) == 1:
		return pageOfHost(s, where{Host: w.Host, Session: names[0]})
	case alone && len(names) > 1:
		return page, kept, notFound(fmt.Sprintf("find %s: it has %s open here, and no %s", w, strings.Join(names, ", "), mainSession), "nbremote url "+w.Host+"/"+names[0])
	}
	return page, kept, notFound(fmt.Sprintf("find %s: no such session is open here", w), "nbremote open "+w.String())
}
