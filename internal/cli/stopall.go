package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// several ends all that is meant, host by host. A host that cannot be reached
// does not keep the others from being asked; its error is that of the command.
func (c *stopCmd) several(a *app) error {
	var hosts []string
	if c.All && c.Host == "" {
		for _, s := range a.open() {
			if len(pagesThere(s.Pages)) > 0 {
				hosts = append(hosts, s.Name)
			}
		}
		if len(hosts) == 0 {
			a.ui.Note("nothing is open; name a host: nbremote stop HOST --all")
			return nil
		}
	} else {
		hosts = []string{c.Host}
	}
	var failed []error
	for _, host := range hosts {
		if err := c.onHost(a, host); err != nil {
			if a.ctx.Err() != nil {
				return err
			}
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// onHost ends what is meant on one host.
func (c *stopCmd) onHost(a *app, arg string) error {
	line, host, w, name, err := a.session(arg, "stop")
	if err != nil {
		return err
	}
	defer line.leave()
	for _, s := range host.Sessions {
		if !s.Jupyter && (s.Command == "" || c.Idle != nil) || !s.Running || !c.All && s.Name != name {
			continue
		}
		if err := c.endOne(a, line, host, w, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// endOne ends one session, or says why it is left.
func (c *stopCmd) endOne(a *app, line *line, host *jupyter.Host, w where, name string) error {
	full := w.Host + "/" + name
	server := host.Running(name)
	left := func(why string) error { a.ui.Note("left " + full + " running: " + why); return nil }
	switch {
	case server != nil && anothers(server):
		return left(server.Owner + " started it")
	case c.Idle != nil && server == nil:
		return left("it does not answer yet")
	case c.Idle != nil:
		network, addr := server.Far()
		idle, busy, err := jupyter.Idle(a.ctx, func(ctx context.Context) (net.Conn, error) { return line.Dial(ctx, network, addr) }, server)
		switch {
		case err != nil:
			return left("whether it is busy cannot be seen: " + err.Error())
		case busy:
			return left("it is busy")
		case idle < *c.Idle:
			return left("idle for " + ui.Long(idle) + " only")
		}
	case server != nil:
		if left, err := a.leaves(a.mayEnd(line, server, full, "Stop it and Jupyter?")); left || err != nil {
			return err
		}
	default:
		if s := host.Script(name); s != nil {
			if left, err := a.leaves(a.mayEndScript(full, s.Command, s.Started)); left || err != nil {
				return err
			}
		}
	}
	return a.stopSession(line, full, name)
}

// leaves: the person said no, and that is told.
func (a *app) leaves(err error) (bool, error) {
	var no *refused
	if errors.As(err, &no) {
		a.ui.Note(no.what)
		return true, nil
	}
	return false, err
}

// stopSession ends what runs in a session and closes its port here.
func (a *app) stopSession(line *line, full, name string) error {
	step := a.ui.Start("stopped", "ending "+full)
	if err := jupyter.Stop(a.ctx, line, name); err != nil {
		step.Fail("")
		return fmt.Errorf("stop %s: %w", full, err)
	}
	step.Done(full + " has ended; its files stay")
	a.ended = append(a.ended, full)
	err := line.RemovePage(a.ctx, name)
	a.lookAgain(line, name)
	return err
}

// check refuses what is no time, and all together with one of them.
func (c *stopCmd) check(a *app) error {
	if c.Idle != nil && *c.Idle < time.Second {
		return usage("read --idle: at least a second", "--idle 8h")
	}
	if !c.All || c.Host == "" {
		return nil
	}
	w, err := parseWhere(c.Host)
	if err == nil && (w.Session != "" || w.Path != "") {
		if err := a.onlyWithSSH(w, "stop"); err != nil {
			return err
		}
		return usage("read stop "+quoted(c.Host)+" and --all: one of them, or all of "+w.Host, "nbremote stop "+c.Host+", or nbremote stop "+w.Host+" --all")
	}
	return nil
}
