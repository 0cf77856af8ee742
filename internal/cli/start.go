package cli

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// findOrStart asks the host once what is there, and starts Jupyter where none
// of that name runs.
func (c *openCmd) findOrStart(a *app, line *line, w where) (*jupyter.Server, *jupyter.Host, error) {
	look := jupyter.Look{Path: w.Path, Session: w.Session, Env: c.Env, Reached: a.reached(line)}
	step := a.ui.Start("found", "looking around on "+w.Host)
	began := time.Now()
	host, err := jupyter.Probe(a.ctx, line, look)
	if err != nil {
		step.Fail("")
		return nil, nil, fmt.Errorf("look around on %s: %w", w.Host, err)
	}
	a.took("probe", time.Since(began).Milliseconds())
	if err := a.elsewhere(line, w, look, host); err != nil {
		if there, ok := asError[*elsewhereError](err); ok && there.why == "" {
			step.Warn(fmt.Sprintf("%s was started on %s, another machine behind this name: going there", there.other.Name, there.other.Node))
		}
		step.Fail("")
		return nil, nil, err
	}
	step, server, look, err := c.found(a, step, w, look, host)
	if server != nil || err != nil {
		return server, host, err
	}
	session, _ := host.Choose(look)
	if err := c.portFree(a, line, session); err != nil {
		step.Fail("")
		return nil, nil, err
	}
	install, err := c.installed(a, line, step, w, host)
	if err != nil {
		return nil, nil, err
	}
	server, err = c.start(a, line, w, look, host, install)
	return server, host, err
}

// portFree says before anything is started that the port which was asked for
// cannot be had.
func (c *openCmd) portFree(a *app, line *line, session string) error {
	if c.Port == 0 {
		return nil
	}
	status, err := line.Status(a.ctx)
	if err != nil {
		return err
	}
	for _, p := range status.Pages {
		if p.Session == session && (p.Port == c.Port || slices.Contains(p.Also, c.Port)) {
			return nil
		}
	}
	return holder.PortFree(c.Port)
}

// found is the running Jupyter to use, or nil and what to start instead.
func (c *openCmd) found(a *app, step *ui.Step, w where, look jupyter.Look, host *jupyter.Host) (*ui.Step, *jupyter.Server, jupyter.Look, error) {
	session, why := host.Choose(look)
	if s := host.Running(session); s != nil {
		use, err := c.mine(a, step, w, s)
		if err != nil {
			return step, nil, look, err
		}
		if use {
			step.Done(fmt.Sprintf("%s/%s, running since %s", w.Host, session, ui.Since(s.Started)))
			s.Reused = true
			return step, s, look, nil
		}
		look.Session = owner()
		step = a.ui.Start("found", "looking for a Jupyter")
		if s := host.Running(look.Session); s != nil {
			step.Done(fmt.Sprintf("%s/%s, running since %s", w.Host, look.Session, ui.Since(s.Started)))
			s.Reused = true
			return step, s, look, nil
		}
		return step, nil, look, nil
	}
	if why != "" {
		a.ui.Note(why)
	}
	if len(host.Foreign) == 0 || w.Session != "" || w.Path != "" || c.Env != "" {
		return step, nil, look, nil
	}
	return c.byHand(a, step, w, look, host)
}

// byHand asks whether to use a Jupyter that was started by hand.
func (c *openCmd) byHand(a *app, step *ui.Step, w where, look jupyter.Look, host *jupyter.Host) (*ui.Step, *jupyter.Server, jupyter.Look, error) {
	f := host.Foreign[0]
	step.Pause()
	answer, err := a.choose(fmt.Sprintf("Your Jupyter runs on %s:%s in %s, not in tmux. Use it, or start another?", w.Host, f.Where(), host.Short(f.Dir)), "U/s")
	if err != nil {
		return step, nil, look, unanswered(err, "whether to use the Jupyter that runs there", "-y uses it, --name NAME starts another")
	}
	if answer == "s" {
		return a.ui.Start("found", "looking for a Jupyter"), nil, look, nil
	}
	if f.Hidden {
		// Which it was given, and does not print.
		if f.Token, err = a.ui.Ask(a.ctx, "Its token, which it was given when it was started (not shown): ", false); err != nil {
			return step, nil, look, unanswered(err, "for the token of the Jupyter that runs there", "--name NAME starts another")
		}
	}
	step.Done("your own Jupyter, " + f.Where())
	f.Reused = true
	return step, f, look, nil
}

// mine asks before a session is used that somebody else started in a shared
// account. Naming the session is an answer too.
func (c *openCmd) mine(a *app, step *ui.Step, w where, s *jupyter.Server) (bool, error) {
	if !anothers(s) || w.Session != "" {
		return true, nil
	}
	step.Pause()
	answer, err := a.choose(fmt.Sprintf("%s/%s was started by another user (%s). Use it, or start your own?", w.Host, s.Session, s.Owner), "u/S")
	if err != nil {
		return false, unanswered(err, fmt.Sprintf("whether to use %s/%s, which %s started", w.Host, s.Session, s.Owner),
			fmt.Sprintf("nbremote open %s/%s uses it, --name %s starts your own", w.Host, s.Session, owner()))
	}
	return answer == "u", nil
}

// installed is the Jupyter to start: the one asked for, the host's own, or,
// with consent, a new one.
func (c *openCmd) installed(a *app, line *line, step *ui.Step, w where, host *jupyter.Host) (jupyter.Install, error) {
	install, err := host.Pick(c.Env)
	if err == nil {
		step.Done(install.String() + alsoThere(install, host.Installs))
		return install, nil
	}
	none := fmt.Errorf("find Jupyter on %s: %w", w.Host, err)
	if c.Env != "" || classOf(err) != "missing" {
		step.Fail("")
		return install, none
	}
	how, cannot := host.CanInstall()
	if cannot != nil {
		step.Fail("")
		return install, errors.Join(none, cannot)
	}
	step.Warn("no Jupyter")
	answer, err := a.choose("Install JupyterLab in ~/.local/share/nbremote/jupyter? 300 MB, about 1 min", "Y/n")
	if err != nil || answer != "y" {
		return install, none
	}
	step = a.ui.Start("installed", "installing JupyterLab with "+how)
	began := time.Now()
	install, err = jupyter.InstallJupyter(a.ctx, line, host, func(text string) { step.Update(cut(text, 70)) })
	if err != nil {
		step.Fail("")
		return install, fmt.Errorf("install JupyterLab on %s: %w", w.Host, err)
	}
	a.took("install", time.Since(began).Milliseconds())
	step.Done(install.String())
	return install, nil
}

// cut keeps the first n characters of a line.
func cut(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// alsoThere names the other Jupyters, which --env would take.
func alsoThere(used jupyter.Install, all []jupyter.Install) string {
	names := []string{}
	for _, i := range all {
		if i.Python != used.Python && i.Name != "" {
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; also: " + strings.Join(names, ", ") + " (--env NAME)"
}

func (c *openCmd) start(a *app, line *line, w where, look jupyter.Look, host *jupyter.Host, install jupyter.Install) (*jupyter.Server, error) {
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	how, err := line.Link(a.ctx)
	if err != nil {
		return nil, err
	}
	session, _ := host.Choose(look)
	name := w.Host + "/" + session
	if host.KillsAtLogout {
		a.ui.Note(endsAtLogout(w.Host, "Jupyter"))
	}
	step := a.ui.Start("started", "starting "+name)
	began := time.Now()
	server, err := jupyter.Start(a.ctx, line, jupyter.Wish{
		Session: session, Dir: host.Dir, File: host.File, UI: c.UI, Install: install, Setenv: a.setenv(w, c.Setenv),
		Args: c.arguments(a, w), Token: token, Owner: owner(), Reached: look.Reached, StartTimeout: c.StartTimeout, Relay: how != nil && how.On,
	})
	if err != nil {
		step.Fail("")
		if a.ctx.Err() != nil { // what the host has begun it goes on with
			a.beginsHere = name
		}
		return nil, fmt.Errorf("start Jupyter on %s: %w", w.Host, err)
	}
	a.took("start", time.Since(began).Milliseconds())
	if !server.Reused {
		a.startedHere = name
	}
	step.Done(fmt.Sprintf("%s %s, directory %s", name, howStarted(server), host.Short(server.Dir)))
	return server, nil
}

func endsAtLogout(host, what string) string {
	return host + " ends what you leave running when you log out (KillUserProcesses), so " + what + " ends with the last connection; there: loginctl enable-linger"
}

func howStarted(s *jupyter.Server) string {
	if s.Tmux {
		return "in tmux"
	}
	return "without tmux (there is none: it outlives the line all the same)"
}

// arguments of Jupyter: the person's own are the last word.
func (c *openCmd) arguments(a *app, w where) []string {
	args := c.idleArgs()
	if a.config.Hosts[w.Host].Hardened {
		args = append(args, "--KernelManager.transport=ipc")
	}
	return append(args, c.args...)
}

// newToken makes the 256 bits that guard Jupyter.
func newToken() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
