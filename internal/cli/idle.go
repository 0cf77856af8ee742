package cli

import (
	"fmt"
	"strings"
	"time"

	"nbremote/jupyter"
)

// idleArgs have Jupyter itself end what is idle: it knows, and needs no line
// for that. Kernels go first, and Jupyter once it has none.
func (c *openCmd) idleArgs() []string {
	if c.IdleTimeout == 0 {
		return nil
	}
	seconds := int(c.IdleTimeout / time.Second)
	return []string{
		fmt.Sprintf("--MappingKernelManager.cull_idle_timeout=%d", seconds),
		fmt.Sprintf("--MappingKernelManager.cull_interval=%d", max(min(seconds/2, 300), 1)),
		"--MappingKernelManager.cull_connected=True",
		fmt.Sprintf("--TerminalManager.cull_inactive_timeout=%d", seconds),
		fmt.Sprintf("--ServerApp.shutdown_no_activity_timeout=%d", seconds),
	}
}

// sayKept says that a Jupyter which ran already keeps what it was started with.
func (c *openCmd) sayKept(a *app, s *jupyter.Server) {
	if given := c.forStart(s); s.Reused && len(given) > 0 {
		verb := " is"
		if len(given) > 1 {
			verb = " are"
		}
		a.ui.Note(strings.Join(given, ", ") + verb + " for a Jupyter that is started; this one runs as it was started (--name NAME starts another)")
	}
}

// forStart is what the command gives that means nothing to s once that runs.
func (c *openCmd) forStart(s *jupyter.Server) (given []string) {
	for _, one := range []struct {
		name  string
		given bool
	}{
		{"--env", c.envGiven}, {"--setenv", len(c.Setenv) > 0}, {"--ui", c.UI != "" && c.UI != "lab" && c.UI != s.UI},
		{"--idle-timeout", c.IdleTimeout > 0}, {"what stands after --", len(c.args) > 0},
	} {
		if one.given {
			given = append(given, one.name)
		}
	}
	return given
}
