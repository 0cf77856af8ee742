package cli

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"nbremote/kernel"
)

// thereAlready adds to this computer a kernel that the host has and that is not
// of an environment of ours; false: ENV is something else.
func (c *kernelAddCmd) thereAlready(a *app, s *site) (bool, error) {
	if !c.Laptop {
		return false, nil
	}
	if s.here {
		return false, usage("add a kernel of this computer to this computer: --laptop is for one of another", "--host HOST --laptop")
	}
	if c.Env == "" {
		return false, nil
	}
	_, specs, _, err := s.seen(a.ctx)
	if err != nil {
		return false, fmt.Errorf("look for kernels on %s: %w", s, err)
	}
	i := slices.IndexFunc(specs, func(k kernel.Spec) bool { return k.Name == c.Env && k.Dir != "" && !k.Ours && k.Broken == "" })
	if i < 0 {
		return false, nil
	}
	return true, c.addHere(a, s, specs[i])
}

// here adds to this computer a kernel that was just proven.
func (c *kernelAddCmd) here(a *app, s *site, added *kernel.Added) error {
	if added.Dir == "" {
		return notFound(fmt.Sprintf("add %s to this computer: the Jupyter on %s does not say where it lies", added.Name, s), "jupyter kernelspec list, there")
	}
	specs, err := kernel.Kernelspecs(a.ctx, s, kernel.Folders([]kernel.Spec{{Name: added.Name, Dir: added.Dir}})...)
	if err != nil {
		return fmt.Errorf("add %s to this computer: %w", added.Name, err)
	}
	i := slices.IndexFunc(specs, func(k kernel.Spec) bool { return k.Dir == added.Dir })
	if i < 0 {
		return notFound(fmt.Sprintf("add %s to this computer: %s is not there any more", added.Name, added.Dir), "nbremote kernel list"+s.flag())
	}
	return c.addHere(a, s, specs[i])
}

// addHere writes the kernelspec that editors here see.
func (c *kernelAddCmd) addHere(a *app, s *site, spec kernel.Spec) error {
	folder, err := kernel.FolderHere()
	if err != nil {
		return err
	}
	name, display := spec.Name, spec.Name+" @ "+s.w.Host
	if c.Name == "" {
		name = kernel.SpecName(spec.Name + "-" + s.w.Host)
	}
	if c.DisplayName != "" {
		display = c.DisplayName
	}
	k, err := kernel.AddHere(folder, kernel.Here{
		Name: name, DisplayName: display, Language: cmp.Or(spec.Language, "python"), Argv: proxyArgv(s.w, spec.Dir),
		Host: s.w.Host, Kernel: spec.Name, Spec: spec.Dir, Debugger: spec.Debugger,
	}, c.Force)
	if err != nil {
		return err
	}
	text := k.Name
	if k.Unchanged {
		text += ", as it was"
	}
	a.ui.Done("here", text+`; in editors and Jupyters of this computer: "`+k.DisplayName+`"`)
	if !onPath() {
		a.ui.Note("editors start it as nbremote, and that is not on PATH, or is another program: put this one there")
	}
	if a.JSON {
		return a.printJSON(k)
	}
	return nil
}

// proxyArgv is what editors start. Nothing in it is secret.
func proxyArgv(w where, spec string) []string {
	argv := []string{"nbremote", "kernel", "proxy"}
	if w.SSHConfig != "" {
		argv = append(argv, "--ssh-config", w.SSHConfig)
	}
	for _, hop := range w.Via {
		argv = append(argv, "--via", hop)
	}
	host := w.Host
	if w.Path != "" {
		host += ":" + w.Path
	}
	return append(argv, host, spec, "{connection_file}")
}

// onPath says whether the name nbremote means this program.
func onPath() bool {
	found, err := exec.LookPath("nbremote")
	if err != nil {
		return false
	}
	self, err := os.Executable()
	return err == nil && sameFile(found, self)
}
