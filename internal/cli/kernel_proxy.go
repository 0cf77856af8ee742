package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/kernel"
)

// kernelProxyCmd is what the kernelspec of `kernel add --laptop` starts: an
// editor's kernel, which runs on a host.
type kernelProxyCmd struct {
	Host     string        `arg:"" predictor:"host" help:"HOST or HOST:DIR."`
	Spec     string        `arg:"" help:"The kernelspec's directory on the host."`
	File     string        `arg:"" name:"connection-file" help:"The editor's connection file."`
	Rest     []string      `arg:"" optional:"" passthrough:"" help:"What a program adds for a kernel (jupyter run: its script); a kernel on a host gets none of it."`
	Via      []string      `help:"Gateway to go through, instead of ssh_config's ProxyJump; again for the next." placeholder:"HOST" sep:"none"`
	Patience time.Duration `default:"15s" help:"How long an interrupt, a restart or an end waits for a line that is down."`
	Keep     time.Duration `default:"10m" help:"How long the kernel is kept for a window that went away without ending it."`
}

// Run is the kernel for as long as it lives. Nobody can be asked: an editor's
// kernel has no terminal.
func (c *kernelProxyCmd) Run(a *app) error {
	if c.Keep <= 0 || c.Patience <= 0 {
		return usage("read --keep and --patience: they must be above 0", "--keep 10m --patience 15s")
	}
	connection, err := kernel.ReadConnection(c.File)
	if err != nil {
		return err
	}
	a.NoInput = true
	a.ui = ui.New(ui.Options{Progress: a.Progress, Quiet: true, NoInput: true})
	w, err := a.where(c.Host)
	if err != nil {
		return err
	}
	if len(c.Via) > 0 {
		w.Via = c.Via
	}
	name := path.Base(c.Spec)
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return fmt.Errorf("start kernel %s: %w", name, err)
	}
	defer line.leave()
	interrupts, end := onInterrupt()
	defer end()
	p := kernel.Proxy{
		Host: line, Connection: connection, On: w.Host, Patience: c.Patience,
		Window: kernel.Window{Name: name, Spec: c.Spec, Dir: w.Path, Title: os.Getenv("JPY_SESSION_NAME"), Owner: ownerHere(), Keep: c.Keep, Sockets: a.config.Hosts[w.Host].Hardened},
		Say:    func(text string) { fmt.Fprintln(os.Stderr, "nbremote: "+a.ui.Text(text)) },
	}
	script := holder.Script{Command: p.Window.Text(), Running: true, Exit: -1, Started: time.Now()}
	p.Begun = func(session string) {
		script.Name = session
		a.keepScript(line, script)
	}
	err = p.Run(a.ctx, interrupts)
	a.kernelEnded(line, script, err)
	return c.explain(err, w, script.Name)
}

// kernelEnded leaves nothing on the host of a kernel that ended in order. Of
// another its log stays.
func (a *app) kernelEnded(l *line, script holder.Script, err error) {
	ctx, cancel := context.WithTimeout(a.ctx, kernelEndTime)
	defer cancel()
	var died *kernel.DiedError
	switch {
	case err == nil:
		if session.Forget(ctx, l, script.Name) == nil {
			l.Fresh(ctx)
		}
	case errors.As(err, &died) && script.Name != "":
		script.Running, script.Exit, script.Signal, script.Ended = false, died.Exit, died.Signal, time.Now()
		a.keepScript(l, script)
	}
}

// kernelEndTime is how long an editor may have to wait for that.
const kernelEndTime = 2 * time.Second

// explain says what became of the kernel in this computer's words.
func (c *kernelProxyCmd) explain(err error, w where, name string) error {
	var died *kernel.DiedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &died):
		if name != "" {
			died.Try = "nbremote logs " + shellWord(w.Host+"/"+name)
		}
	case errors.Is(err, holder.ErrNone):
		return &problem{
			fmt.Sprintf("kernel %s: the line to %s was closed on this computer; there the kernel is kept for %s", path.Base(c.Spec), w.Host, ui.Long(c.Keep)),
			"line", "nbremote open " + shellWord(w.Host) + "; then start the kernel again",
		}
	}
	return fmt.Errorf("%s: %w", w.Host, err)
}

// ownerHere is the account and this computer.
func ownerHere() string {
	name, _ := os.Hostname()
	return owner() + "@" + name
}
