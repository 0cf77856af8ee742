package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// kernelAddCmd makes an environment a kernel.
type kernelAddCmd struct {
	onHost
	Env          string        `arg:"" optional:"" help:"A name among the host's environments, or the path there of an environment, a Python or a project; left out: choose from a list."`
	Name         string        `help:"Name of the kernel." placeholder:"NAME"`
	DisplayName  string        `help:"What Jupyter shows." placeholder:"TEXT"`
	Setenv       []string      `help:"Environment variable for the kernel." placeholder:"KEY=VALUE" sep:"none"`
	Setup        string        `help:"A line of shell to run before the kernel, such as 'module load cuda'." placeholder:"LINE"`
	Install      bool          `help:"Install ipykernel into the environment when it is missing, without asking."`
	Force        bool          `help:"Replace a kernel of that name that is another one."`
	Laptop       bool          `help:"Add it to this computer too: editors and Jupyters here have it in their lists, and it runs on HOST. ENV may also be a kernel that is there."`
	StartTimeout time.Duration `default:"60s" help:"How long the kernel may take to start and answer."`
}

// Run is the story of kernel add.
func (c *kernelAddCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	a.ui.Begin(strings.TrimSpace("kernel " + c.Env))
	s, err := a.site(c.Host)
	if err != nil {
		return err
	}
	defer s.leave()
	if done, err := c.thereAlready(a, s); done || err != nil {
		return err
	}
	env, err := c.environment(a, s)
	if err != nil {
		return err
	}
	server, err := s.server(a.ctx)
	if err != nil {
		return err
	}
	added, err := c.add(a, s, server, env)
	if err != nil {
		return err
	}
	if c.Laptop {
		return c.here(a, s, added)
	}
	if a.JSON {
		return a.printJSON(added)
	}
	return nil
}

// check refuses what no host need be asked about.
func (c *kernelAddCmd) check() error {
	if c.StartTimeout <= 0 {
		return usage("read the time limit: it must be above 0", "--start-timeout 60s")
	}
	if c.Name != "" {
		if err := kernel.CheckName(c.Name); err != nil {
			return err
		}
	}
	if strings.ContainsAny(c.Setup, "\n\r") {
		return usage("read --setup: it is more than one line", "--setup '. ~/setup.sh', with the lines in that file on the host")
	}
	return checkSetenv(c.Setenv)
}

// environment finds the one that is meant, and says which Python it is.
func (c *kernelAddCmd) environment(a *app, s *site) (kernel.Environment, error) {
	step := a.ui.Start("found", "looking for environments on "+s.String())
	found, err := kernel.Environments(a.ctx, s, c.Env, s.dir)
	if err != nil {
		step.Fail("")
		return kernel.Environment{}, fmt.Errorf("look for environments on %s: %w", s, err)
	}
	step.Pause()
	env, err := c.which(a, s, found)
	if err != nil {
		step.Fail("")
		return env, err
	}
	if env.Broken != "" {
		step.Fail("")
		return env, &problem{fmt.Sprintf("use %s: %s", found.Short(env.Prefix), env.Broken), "missing", recreate(env)}
	}
	step.Done(describe(found, env))
	return env, nil
}

// which is the environment asked for, or chosen from the list.
func (c *kernelAddCmd) which(a *app, s *site, found *kernel.Found) (kernel.Environment, error) {
	if c.Env != "" && len(found.Asked) == 1 {
		return found.Asked[0], nil
	}
	if c.Env != "" && len(found.Asked) == 0 {
		return kernel.Environment{}, notFound(
			fmt.Sprintf("find the environment %s on %s: %s", c.Env, s, found.NotThere), cmp.Or(found.Try, "nbremote kernel list"+s.flag()))
	}
	choices, question := whole(found.Environments), "Which environment?"
	if c.Env != "" {
		choices, question = found.Asked, c.Env+" can be one of these. Which?"
	}
	if len(choices) == 0 {
		return kernel.Environment{}, notFound("find an environment on "+s.String()+": none", "nbremote kernel add PATH"+s.flag())
	}
	names, labels := make([]ui.Choice, len(choices)), make([]string, len(choices))
	for i, env := range choices {
		names[i] = ui.Choice{Name: env.Name, About: place(found, env) + "  " + pythonOf(env)}
		labels[i] = found.Label(env)
	}
	i, err := a.ui.Choose(a.ctx, question, names)
	if err != nil {
		return kernel.Environment{}, unanswered(err, "which environment: "+strings.Join(labels, ", "), "nbremote kernel add NAME-or-PATH"+s.flag())
	}
	return choices[i], nil
}

// whole are the environments that nothing is wrong with.
func whole(all []kernel.Environment) []kernel.Environment {
	return slices.DeleteFunc(slices.Clone(all), func(e kernel.Environment) bool { return e.Broken != "" })
}

// place is where an environment is: a bare Python is told by itself.
func place(found *kernel.Found, env kernel.Environment) string {
	if env.Kind == "python" {
		return found.Short(env.Python)
	}
	return found.Short(env.Prefix)
}

// describe is "~/my_venv: Python 3.12, ipykernel 7.4".
func describe(found *kernel.Found, env kernel.Environment) string {
	text := place(found, env) + ": " + pythonOf(env)
	if env.IPykernel == "" {
		return text + ", no ipykernel"
	}
	return text + ", ipykernel " + env.IPykernel
}

func pythonOf(env kernel.Environment) string {
	text := strings.TrimSpace("Python " + env.Version)
	if env.Kind != "venv" && env.Kind != "python" {
		text += " (" + env.Kind + ")"
	}
	return text
}

// recreate is what makes a broken environment anew.
func recreate(env kernel.Environment) string {
	switch env.Kind {
	case "uv":
		return "uv sync, in " + env.Project
	case "poetry":
		return "poetry install, in " + env.Project
	case "pixi":
		return "pixi install, in " + env.Project
	}
	return "python3 -m venv --clear " + env.Prefix + ", and install its packages again"
}

// add installs ipykernel where it is missing and somebody says so, then adds
// and proves.
func (c *kernelAddCmd) add(a *app, s *site, server *jupyter.Server, env kernel.Environment) (*kernel.Added, error) {
	wish := kernel.Wish{
		Env: env, Name: c.Name, DisplayName: c.DisplayName, Setenv: c.Setenv, Setup: c.Setup, Force: c.Force,
		Server: forKernel(server), Timeout: c.StartTimeout,
	}
	if env.IPykernel == "" {
		with, err := c.install(a, s, env)
		if err != nil {
			return nil, err
		}
		wish.With = with
	}
	step := a.ui.Start("proven", "starting the kernel and asking it for 1+1")
	added, err := kernel.Add(a.ctx, s, wish)
	if err != nil {
		step.Fail("")
		return nil, addFailed(err)
	}
	step.DoneIn(proof(added), added.Took)
	for _, note := range added.Notes {
		a.ui.Note(note)
	}
	a.ui.Done("added", whatNext(added, server))
	return added, nil
}

// addFailed names the step unless the error does.
func addFailed(err error) error {
	var proof *kernel.ProofError
	var taken *kernel.TakenError
	if errors.As(err, &proof) || errors.As(err, &taken) {
		return err
	}
	return fmt.Errorf("add the kernel: %w", err)
}

// install offers ipykernel with the environment's own tool. with: it comes
// beside the project each time the kernel starts.
func (c *kernelAddCmd) install(a *app, s *site, env kernel.Environment) (with bool, err error) {
	offer, err := a.takeOffer(env, "ipykernel", kernel.Offers(env), c.Install, c.missing(s, env))
	if err != nil || offer.Command == "" {
		return err == nil, err
	}
	return false, a.install(s, env, "ipykernel", offer)
}

// missing is an environment without ipykernel, and this command with the flag
// that installs it.
func (c *kernelAddCmd) missing(s *site, env kernel.Environment) error {
	name := c.Env
	if name == "" {
		name = env.Prefix
	}
	err := &kernel.NoKernelError{Env: env.Name}
	return &problem{err.Error(), err.Class(), "nbremote kernel add " + shellWord(name) + " --install" + s.flag()}
}

// proof is "1+1 = 2, torch 2.9 sees 2 GPUs".
func proof(added *kernel.Added) string {
	text := "1+1 = 2, Python " + added.Python
	if added.Torch == "" {
		return text
	}
	gpus := fmt.Sprintf("%d %s", added.GPUs, plural(added.GPUs, "GPU"))
	if added.GPUs == 0 {
		gpus = "no GPU"
	}
	return fmt.Sprintf("1+1 = 2, torch %s sees %s", added.Torch, gpus)
}

// whatNext says where the kernel is now to be found.
func whatNext(added *kernel.Added, server *jupyter.Server) string {
	text := added.Name
	if added.Unchanged {
		text += ", as it was"
	}
	if server == nil {
		return text + "; the next Jupyter started there has it"
	}
	return text + "; in the open Lab, within a minute: Kernel > Change Kernel"
}
