package cli

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"

	"nbremote/internal/config"
	"nbremote/internal/holder"
	"nbremote/kernel"
)

// kernelConnectCmd makes a kernel that runs on a host one that consoles and
// editors here can join.
type kernelConnectCmd struct {
	Host   string `arg:"" predictor:"host" help:"HOST or HOST/NAME."`
	Kernel string `arg:"" name:"name-or-id" help:"Its ID or the beginning of it, its notebook, the name of a kernel of which one runs, or its name in ls."`
}

// Help stands below the command's help.
func (c *kernelConnectCmd) Help() string {
	return `It prints the path of a connection file: jupyter console --existing "$(nbremote kernel connect gpu1 3f1c)". ` +
		"What is connected outlives cut lines where the relay runs on the host. It stays until: nbremote close HOST"
}

// connected is its --json.
type connected struct {
	Host  string         `json:"host"`
	File  string         `json:"file"`
	Ports map[string]int `json:"ports"`
}

// Run is the story of kernel connect.
func (c *kernelConnectCmd) Run(a *app) error {
	s, err := a.site(c.Host)
	if err != nil {
		return err
	}
	defer s.leave()
	line, ok := s.shell.(*line)
	if !ok {
		return usage("connect to a kernel of this computer: it needs no line", "jupyter console --existing")
	}
	name, err := c.id(a, s)
	if err != nil {
		return err
	}
	far, err := kernel.FindConnection(a.ctx, s, name)
	if err != nil {
		return fmt.Errorf("connect to kernel %s on %s: %w", c.Kernel, s, err)
	}
	file := filepath.Join(a.place.Run, "kernel-"+plainName(s.w.Host+"-"+name)+".json")
	ports, err := c.open(a, line, far, holder.TunnelSpec{
		Kind: holder.Forward, Kernel: name, Connection: file,
		Again: "nbremote kernel connect " + shellWord(s.w.Host) + " " + shellWord(c.Kernel),
	})
	if err != nil {
		return err
	}
	raw, err := far.Through(ports)
	if err != nil {
		return err
	}
	if err := config.WriteFile(file, append(raw, '\n')); err != nil {
		return fmt.Errorf("write the connection file: %w", err)
	}
	a.ui.Done("connected", name+"; until: nbremote close "+shellWord(s.w.Host))
	if a.JSON {
		return a.printJSON(connected{s.w.Host, file, ports})
	}
	_, err = fmt.Fprintln(stdout, file)
	return err
}

// id is the kernel's ID where a Jupyter knows what was meant, else what was
// typed.
func (c *kernelConnectCmd) id(a *app, s *site) (string, error) {
	_, _, running, err := s.seen(a.ctx)
	if err != nil {
		return "", fmt.Errorf("look for kernels on %s: %w", s, err)
	}
	k, err := (&onKernel{Kernel: c.Kernel}).running(a, s, "connect to", running)
	if classOf(err) == "not-found" {
		return c.Kernel, nil
	}
	return k.ID, err
}

// open has a port here for each channel; the same kernel again has the same.
func (c *kernelConnectCmd) open(a *app, l *line, far kernel.Connection, spec holder.TunnelSpec) (map[string]int, error) {
	status, err := l.Status(a.ctx)
	if err != nil {
		return nil, err
	}
	ports := map[string]int{}
	for _, channel := range kernel.Channels() {
		spec.Network, spec.Addr = far.Addr(channel)
		i := slices.IndexFunc(status.Tunnels, func(t holder.Tunnel) bool {
			return t.Kind == holder.Forward && t.Network == spec.Network && t.Addr == spec.Addr && t.Kernel == spec.Kernel && t.Port > 0
		})
		if i >= 0 {
			ports[channel] = status.Tunnels[i].Port
			continue
		}
		if spec.Port, err = freePortHere(); err != nil {
			return nil, err
		}
		t, err := l.AddTunnel(a.ctx, spec)
		if err != nil {
			return nil, err
		}
		ports[channel] = t.Port
	}
	return ports, nil
}

// freePortHere is a port that nobody listens on now.
func freePortHere() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// plainName is a name for a file.
func plainName(s string) string {
	return regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(s, "_")
}
