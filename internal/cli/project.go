package cli

import (
	"fmt"

	"nbremote/jupyter"
	"nbremote/kernel"
)

// offerProject makes the project's own environment a kernel of the Jupyter
// that is open in it, when the environment has no Jupyter itself. The person
// is asked once for each directory; nothing that goes wrong here ends open.
func (c *openCmd) offerProject(a *app, l *line, w where, host *jupyter.Host, server *jupyter.Server) error {
	p := host.Project
	if p == nil || server.Foreign || c.Env != "" || a.offered(w, host.Dir) {
		return nil
	}
	s := &site{shell: l, dial: l.Dial, w: w, dir: host.Dir}
	later := fmt.Sprintf("nbremote kernel add %s%s", host.Short(host.Dir), s.flag())
	if there, err := projectAdded(a, s, server, p); err != nil || there {
		return nil
	}
	answer, err := a.choose(fmt.Sprintf("%s has its own environment (%s), without Jupyter. Make it a kernel, %s?", host.Short(host.Dir), p.Kind, kernel.SpecName(p.Name)), "Y/n")
	if classOf(err) == "usage" {
		a.ui.Note(host.Short(host.Dir) + " has its own environment; to use it here: " + later)
		return nil
	}
	if err != nil {
		return err
	}
	a.rememberOffer(w, host.Dir)
	if answer != "y" {
		a.ui.Note("Later: " + later)
		return nil
	}
	add := &kernelAddCmd{Env: host.Dir, StartTimeout: c.StartTimeout}
	env, err := add.environment(a, s)
	if err == nil {
		_, err = add.add(a, s, server, env)
	}
	if err != nil && a.ctx.Err() == nil {
		a.ui.Note(fmt.Sprintf("the project's environment is no kernel yet: %v; again: %s", err, later))
		err = nil
	}
	return err
}

// projectAdded says whether the project's environment is a kernel already.
func projectAdded(a *app, s *site, server *jupyter.Server, p *jupyter.ProjectEnv) (bool, error) {
	specs, _, err := kernel.See(a.ctx, s.dialer(server), *forKernel(server))
	if err != nil {
		return false, err
	}
	for _, spec := range specs {
		if spec.Of(kernel.Environment{Prefix: p.Prefix, Python: p.Python}) {
			return true, nil
		}
	}
	return false, nil
}
