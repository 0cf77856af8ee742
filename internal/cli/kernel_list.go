package cli

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// kernelListCmd lists kernels and what could be one.
type kernelListCmd struct {
	onHost
}

// kernelsThere is what kernel list found, and its --json.
type kernelsThere struct {
	Host         string               `json:"host"`
	Session      string               `json:"session,omitempty"` // whose view it is; "" = no Jupyter runs
	Kernels      []listedKernel       `json:"kernels"`
	Environments []kernel.Environment `json:"environments"`     // not yet kernels
	Laptop       []kernel.Here        `json:"laptop,omitempty"` // kernels of this computer that run there
	Cut          bool                 `json:"cut,omitempty"`
	found        *kernel.Found
}

// listedKernel is a kernel and what runs of it.
type listedKernel struct {
	kernel.Spec
	Running []kernel.Running `json:"running,omitempty"`
	Busy    int              `json:"busy"`
}

// Run prints the kernels, then the environments that are none yet.
func (c *kernelListCmd) Run(a *app) error {
	s, err := a.site(c.Host)
	if err != nil {
		return err
	}
	defer s.leave()
	there, err := s.kernels(a.ctx)
	if err != nil {
		return fmt.Errorf("list the kernels of %s: %w", s, err)
	}
	if folder, err := kernel.FolderHere(); err == nil && !s.here {
		there.Laptop = kernel.ListHere(folder, s.w.Host)
	}
	if a.JSON {
		return a.printJSON(there)
	}
	if there.Session == "" {
		a.ui.Note("no Jupyter runs on " + s.String() + ": this is what one would see")
	}
	if err := ui.Table(stdout, there.rows()); err != nil {
		return err
	}
	if err := there.hereToo(); err != nil {
		return err
	}
	return there.notYet(s)
}

// kernels asks the server, the folders and the environments at once.
func (s *site) kernels(ctx context.Context) (*kernelsThere, error) {
	there := &kernelsThere{Host: s.w.Host, Kernels: []listedKernel{}, Environments: []kernel.Environment{}}
	type environments struct {
		found *kernel.Found
		err   error
	}
	envs := make(chan environments, 1)
	go func() {
		found, err := kernel.Environments(ctx, s, "", s.dir)
		envs <- environments{found, err}
	}()
	server, specs, running, err := s.seen(ctx)
	e := <-envs
	if err == nil {
		err = e.err
	}
	if err == nil {
		err = kernel.Check(ctx, s, specs)
	}
	if err != nil {
		return nil, err
	}
	if server != nil {
		there.Session = server.Session
	}
	there.found, there.Cut = e.found, e.found.Cut
	for _, spec := range specs {
		there.Kernels = append(there.Kernels, listed1(spec, running))
	}
	for _, env := range e.found.Environments {
		if !slices.ContainsFunc(specs, func(k kernel.Spec) bool { return k.Of(env) }) {
			there.Environments = append(there.Environments, env)
		}
	}
	return there, nil
}

// seen is what the running server sees; where none runs, what one would.
func (s *site) seen(ctx context.Context) (*jupyter.Server, []kernel.Spec, []kernel.Running, error) {
	server, err := s.server(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if server == nil {
		disk, err := kernel.Kernelspecs(ctx, s)
		return nil, slices.DeleteFunc(disk, func(k kernel.Spec) bool { return k.Shadowed }), nil, err
	}
	specs, running, err := kernel.See(ctx, s.dialer(server), *forKernel(server))
	if err != nil {
		return nil, nil, nil, err
	}
	disk, err := kernel.Kernelspecs(ctx, s, kernel.Folders(specs)...)
	kernel.Locate(specs, disk)
	return server, specs, running, err
}

func listed1(spec kernel.Spec, running []kernel.Running) listedKernel {
	k := listedKernel{Spec: spec}
	for _, r := range running {
		if r.Spec != spec.Name {
			continue
		}
		k.Running = append(k.Running, r)
		if r.State == "busy" {
			k.Busy++
		}
	}
	return k
}

func (t *kernelsThere) rows() [][]string {
	var rows [][]string
	for _, k := range t.Kernels {
		rows = append(rows, []string{k.Name, k.language(), t.found.Short(k.place()), k.health(), k.state()})
		if len(k.Running) > 0 {
			for _, r := range k.Running {
				rows = append(rows, []string{"", "", "  " + r.ID, r.State, r.Notebook})
			}
		}
	}
	return rows
}

func (k listedKernel) language() string {
	if k.Python != "" {
		return "Python " + k.Python
	}
	return k.Language
}

// place is where the kernel's program is.
func (k listedKernel) place() string {
	switch {
	case k.Prefix != "":
		return k.Prefix
	case path.IsAbs(k.Interpreter):
		return k.Interpreter
	case k.Interpreter != "":
		return "Jupyter's own Python"
	case len(k.Argv) > 0:
		return k.Argv[0]
	}
	return ""
}

func (k listedKernel) health() string {
	switch {
	case k.Broken != "":
		return "broken: " + k.Broken
	case !k.Added.IsZero():
		return "proven " + ui.Since(k.Added)
	case k.IPykernel != "":
		return "ipykernel " + k.IPykernel
	}
	return ""
}

func (k listedKernel) state() string {
	switch {
	case len(k.Running) == 0:
		return ""
	case k.Busy > 0:
		return fmt.Sprintf("%d running, %d busy", len(k.Running), k.Busy)
	}
	return fmt.Sprintf("%d running", len(k.Running))
}

// hereToo names the kernels of this computer that run there.
func (t *kernelsThere) hereToo() error {
	if len(t.Laptop) == 0 {
		return nil
	}
	rows := [][]string{}
	for _, k := range t.Laptop {
		rows = append(rows, []string{"  " + k.Name, k.DisplayName, k.Kernel})
	}
	if _, err := fmt.Fprintln(stdout, "In editors and Jupyters of this computer:"); err != nil {
		return err
	}
	return ui.Table(stdout, rows)
}

// notYet names the environments that are no kernels.
func (t *kernelsThere) notYet(s *site) error {
	if len(t.Environments) == 0 {
		return nil
	}
	rows := [][]string{}
	for _, env := range t.Environments {
		rows = append(rows, []string{"  " + env.Name, place(t.found, env), stateOf(env)})
	}
	fmt.Fprintln(stdout, "\nnot yet kernels (nbremote kernel add NAME"+s.flag()+"):")
	if err := ui.Table(stdout, rows); err != nil {
		return err
	}
	if t.Cut {
		fmt.Fprintln(stdout, "  and more; name a path to add one that is not here")
	}
	return nil
}

func stateOf(env kernel.Environment) string {
	if env.Broken != "" {
		return "broken: " + env.Broken
	}
	if env.IPykernel == "" {
		return pythonOf(env) + ", no ipykernel"
	}
	return pythonOf(env)
}

// lastSeen is how long ago a kernel did something.
func lastSeen(r kernel.Running) string {
	if r.Last.IsZero() {
		return ""
	}
	return ui.Short(time.Since(r.Last)) + " ago"
}

// said is a running kernel in a question.
func said(r kernel.Running) string { return r.ID + "  " + about(r) }

// about is what tells a running kernel from others.
func about(r kernel.Running) string {
	parts := []string{r.Spec, r.Notebook, r.State, lastSeen(r)}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "  ")
}
