package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/sshx"
)

// stdioCmd joins its stdin and stdout to the SSH server of a host, through the
// gateways that are signed in to already. Nothing else goes to stdout.
type stdioCmd struct {
	Host        string `arg:"" optional:"" help:"HOST: a name of ~/.ssh/config or user@host:port."`
	Port        int    `arg:"" optional:"" help:"Of the SSH server; the host's own if left out."`
	PrintConfig bool   `name:"print-config" help:"Print the lines for ~/.ssh/config; HOST may be a pattern there."`
	Through     string `hidden:"" help:"The socket of the gateway's holder; HOST is an address then."`
}

// Run ends when the host ends the connection.
func (c *stdioCmd) Run(a *app) error {
	if c.PrintConfig {
		return c.printConfig()
	}
	if c.Host == "" {
		return usage("read the arguments: stdio needs a HOST", "nbremote stdio --print-config")
	}
	if c.Port < 0 || c.Port > 65535 {
		return usage(fmt.Sprintf("read the port %d: it is 1 to 65535", c.Port), "nbremote stdio "+shellWord(c.Host)+" 22")
	}
	if a.Verbose == 0 { // what runs us, git say, is not to be talked to
		a.ui = ui.New(ui.Options{Progress: a.Progress, Quiet: true, NoInput: a.NoInput})
	}
	far, err := c.dial(a)
	if err != nil {
		return err
	}
	defer far.Close()
	stop := context.AfterFunc(a.ctx, func() { far.Close() })
	defer stop()
	go func() {
		io.Copy(far, os.Stdin)
		if half, ok := far.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}()
	if _, err := io.Copy(os.Stdout, far); err != nil && a.ctx.Err() == nil {
		return fmt.Errorf("read from %s: %w", c.Host, err)
	}
	return nil
}

func (c *stdioCmd) dial(a *app) (net.Conn, error) {
	if c.Through != "" {
		return (&holder.Client{Sock: c.Through}).DialDirect(a.ctx, "tcp", c.Host)
	}
	w, err := a.where(c.Host)
	if err != nil {
		return nil, err
	}
	target, err := a.resolve(a.ctx, w)
	if err != nil {
		return nil, err
	}
	if c.Port != 0 {
		target.Port = c.Port
	}
	if target.Via == nil {
		far, err := sshx.Reach(a.ctx, target)
		return far, dialFailed(target, err)
	}
	gateway, err := a.gateway(target.Via)
	if err != nil {
		return nil, err
	}
	// Not attached any longer: a question would come in the middle of what the
	// person does at this terminal.
	defer gateway.attached.Close()
	far, err := gateway.Dial(a.ctx, "tcp", target.Address())
	return far, dialFailed(target, err)
}

func dialFailed(t *sshx.Target, err error) error {
	if err == nil || classOf(err) != "" {
		return err
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return sshx.NotFound(t)
	}
	return &problem{fmt.Sprintf("connect to %s: %v", t.Name, err), "connect", "nbremote doctor " + shellWord(t.Name)}
}

// gateway is the line to a gateway, up.
func (a *app) gateway(t *sshx.Target) (l *line, err error) {
	for range 3 { // a holder found may just be ending
		client, err := holder.Ensure(a.ctx, holder.Spec{Place: a.place, Target: t, ConnectTimeout: a.connectTimeout})
		if err != nil {
			return nil, err
		}
		if l, err = a.attach(a.ctx, client, ""); !errors.Is(err, holder.ErrNone) {
			return l, err
		}
	}
	return nil, fmt.Errorf("connect to %s: %w", t.Name, holder.ErrNone)
}

func (c *stdioCmd) printConfig() error {
	program := "nbremote"
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if found, err := exec.LookPath(program); err != nil || !sameFile(found, self) {
		program = self
	}
	if strings.ContainsAny(program, " \t") {
		program = strconv.Quote(program)
	}
	pattern := c.Host
	if pattern == "" {
		pattern = "*"
	}
	// The condition keeps us from asking ourselves for the way.
	_, err = fmt.Fprintf(stdout, "# above all else in ~/.ssh/config\nMatch originalhost %s exec \"test ! $NBREMOTE_INSIDE\"\n  ProxyCommand %s stdio %%n %%p\n", pattern, program)
	return err
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
