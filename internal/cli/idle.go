package cli

import (
	"fmt"
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

// sayIdle says that a Jupyter which ran already keeps what it was started with.
func (c *openCmd) sayIdle(a *app, s *jupyter.Server) {
	if c.IdleTimeout > 0 && s.Reused {
		a.ui.Note("--idle-timeout is for a Jupyter that is started; this one runs as it was started")
	}
}
