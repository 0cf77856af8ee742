package cli

import (
	"context"
	"fmt"
	"strings"

	"nbremote/internal/ui"
	"nbremote/kernel"
)

// onKernel names a running kernel.
type onKernel struct {
	onHost
	Kernel string `arg:"" name:"name-or-id" help:"Its ID or the beginning of it, its notebook, or the name of a kernel of which one runs."`
}

type (
	kernelRestartCmd   struct{ onKernel }
	kernelInterruptCmd struct{ onKernel }
	kernelStopCmd      struct{ onKernel }
)

// Run restarts: what was in its memory is gone.
func (c *kernelRestartCmd) Run(a *app) error {
	return c.do(a, act{"restart", "restarted", "Restart it and lose what it has in memory?", kernel.Restart})
}

// Run interrupts: the cell ends, the memory stays.
func (c *kernelInterruptCmd) Run(a *app) error {
	return c.do(a, act{"interrupt", "interrupted", "", kernel.Interrupt})
}

// Run ends it.
func (c *kernelStopCmd) Run(a *app) error {
	return c.do(a, act{"stop", "stopped", "End it and lose what it has in memory?", kernel.Shutdown})
}

// act is what is done to a running kernel; ask is put when it is busy.
type act struct {
	verb, done, ask string
	run             func(context.Context, kernel.Dial, kernel.Server, string) error
}

func (c *onKernel) do(a *app, act act) error {
	s, err := a.site(c.Host)
	if err != nil {
		return err
	}
	defer s.leave()
	server, _, running, err := s.seen(a.ctx)
	if err != nil {
		return fmt.Errorf("%s %s: %w", act.verb, c.Kernel, err)
	}
	if server == nil {
		return notFound(fmt.Sprintf("%s %s: no Jupyter runs on %s", act.verb, c.Kernel, s), "nbremote open "+s.w.Host)
	}
	k, err := c.running(a, s, act.verb, running)
	if err != nil {
		return err
	}
	if act.ask != "" && k.State == "busy" && !a.Yes {
		answer, err := a.choose(said(k)+". "+act.ask, "y/N")
		if err != nil {
			return unanswered(err, "whether to "+act.verb+" a busy kernel", "-y does it")
		}
		if answer != "y" {
			return &refused{what: "left " + k.ID + " running"}
		}
	}
	step := a.ui.Start(act.done, act.verb+" "+k.ID)
	if err := act.run(a.ctx, s.dialer(server), *forKernel(server), k.ID); err != nil {
		step.Fail("")
		return fmt.Errorf("%s %s: %w", act.verb, k.ID, err)
	}
	step.Done(strings.TrimSpace(k.Spec + " " + k.Notebook))
	if a.JSON {
		return a.printJSON(k)
	}
	return nil
}

// running is the one that was named: an ID comes before a name, a whole one
// before a beginning.
func (c *onKernel) running(a *app, s *site, verb string, all []kernel.Running) (kernel.Running, error) {
	for _, is := range []func(kernel.Running) bool{
		func(r kernel.Running) bool { return r.ID == c.Kernel },
		func(r kernel.Running) bool { return len(c.Kernel) >= 4 && strings.HasPrefix(r.ID, c.Kernel) },
		func(r kernel.Running) bool { return r.Notebook == c.Kernel },
		func(r kernel.Running) bool { return r.Spec == c.Kernel },
	} {
		var match []kernel.Running
		for _, r := range all {
			if is(r) {
				match = append(match, r)
			}
		}
		if len(match) == 1 {
			return match[0], nil
		}
		if len(match) > 1 {
			return c.oneOf(a, verb, match)
		}
	}
	return kernel.Running{}, notFound(fmt.Sprintf("%s %s: no such kernel runs on %s", verb, c.Kernel, s), "nbremote kernel list"+s.flag())
}

func (c *onKernel) oneOf(a *app, verb string, match []kernel.Running) (kernel.Running, error) {
	names, choices := make([]string, len(match)), make([]ui.Choice, len(match))
	for i, r := range match {
		names[i], choices[i] = said(r), ui.Choice{Name: r.ID, About: about(r)}
	}
	i, err := a.ui.Choose(a.ctx, fmt.Sprintf("%d kernels are called %s. Which?", len(match), c.Kernel), choices)
	if err != nil {
		return kernel.Running{}, unanswered(err, "which of: "+strings.Join(names, "; "), "nbremote kernel "+verb+" ID")
	}
	return match[i], nil
}
