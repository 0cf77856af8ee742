package cli

import (
	"fmt"
	"slices"

	"nbremote/kernel"
)

// kernelRemoveCmd removes a kernelspec.
type kernelRemoveCmd struct {
	onHost
	Name string `arg:"" help:"Name of the kernel."`
}

// notThere names the kernel that the environment of that name became, if there is one.
func (c *kernelRemoveCmd) notThere(s *site, specs []kernel.Spec) error {
	try := "nbremote kernel list"
	if name := kernel.SpecName(c.Name); slices.ContainsFunc(specs, func(k kernel.Spec) bool { return k.Name == name }) {
		try = "nbremote kernel remove " + name
	}
	return notFound(fmt.Sprintf("remove %s: no kernel of that name on %s", c.Name, s), try+s.flag())
}

// Run asks before it removes what nbremote has not written, and what runs.
func (c *kernelRemoveCmd) Run(a *app) error {
	if k, ok := c.onLaptop(); ok {
		if err := kernel.RemoveHere(k); err != nil {
			return err
		}
		a.ui.Done("removed", k.Name+" from this computer; "+k.Kernel+" on "+k.Host+" stays")
		if a.JSON {
			return a.printJSON(k)
		}
		return nil
	}
	s, err := a.site(c.Host)
	if err != nil {
		return err
	}
	defer s.leave()
	_, specs, running, err := s.seen(a.ctx)
	if err != nil {
		return fmt.Errorf("remove %s: %w", c.Name, err)
	}
	i := slices.IndexFunc(specs, func(k kernel.Spec) bool { return k.Name == c.Name })
	if i < 0 {
		return c.notThere(s, specs)
	}
	k := listed1(specs[i], running)
	if k.Dir == "" {
		return usage(fmt.Sprintf("remove %s: it comes with the Jupyter that runs on %s, or lies where only that looks", c.Name, s), "jupyter kernelspec list, there")
	}
	if err := c.may(a, k); err != nil {
		return err
	}
	if err := kernel.Remove(a.ctx, s, k.Spec); err != nil {
		return fmt.Errorf("remove %s: %w", c.Name, err)
	}
	a.ui.Done("removed", k.Name+"; its environment stays")
	if folder, err := kernel.FolderHere(); err == nil {
		for _, here := range kernel.ListHere(folder, s.w.Host) {
			if here.Spec == k.Dir {
				a.ui.Note("on this computer " + here.Name + " stands for it: nbremote kernel remove " + here.Name)
			}
		}
	}
	if a.JSON {
		return a.printJSON(k)
	}
	return nil
}

// onLaptop is the kernel of this computer with that name which runs on a host.
func (c *kernelRemoveCmd) onLaptop() (kernel.Here, bool) {
	folder, err := kernel.FolderHere()
	if err != nil {
		return kernel.Here{}, false
	}
	all := kernel.ListHere(folder, "")
	i := slices.IndexFunc(all, func(k kernel.Here) bool { return k.Name == c.Name && (c.Host == "" || c.Host == k.Host) })
	if i < 0 {
		return kernel.Here{}, false
	}
	return all[i], true
}

func (c *kernelRemoveCmd) may(a *app, k listedKernel) error {
	question := ""
	switch {
	case len(k.Running) > 0:
		question = fmt.Sprintf("%d of %s %s; what runs goes on. Remove it?", len(k.Running), k.Name, map[bool]string{true: "runs", false: "run"}[len(k.Running) == 1])
	case !k.Ours:
		question = fmt.Sprintf("%s in %s was not added by nbremote. Remove it?", k.Name, k.Dir)
	}
	if question == "" || a.Yes {
		return nil
	}
	answer, err := a.choose(question, "y/N")
	if err != nil {
		return unanswered(err, "whether to remove "+c.Name, "-y removes it")
	}
	if answer != "y" {
		return &refused{what: "left " + c.Name + " as it is"}
	}
	return nil
}
