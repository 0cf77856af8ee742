package cli

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/socks"
)

// forwardCmd opens ports here that lead to addresses as a host reaches them.
type forwardCmd struct {
	Host  string   `arg:"" optional:"" predictor:"host" help:"HOST; left out: the last one used here."`
	Specs []string `arg:"" optional:"" name:"port" help:"8888, 8889:jupyter-box:8888, 8889:/run/x.sock or local.sock:/run/x.sock; left out: those of config.toml."`

	Remote         []string      `short:"R" help:"A port or socket there that leads here: 52698:localhost:52698, 52698 or /run/x.sock:localhost:5000; again for the next." placeholder:"PORT" sep:"none"`
	FromSSHConfig  bool          `name:"from-ssh-config" help:"Those of LocalForward and RemoteForward in ssh_config too."`
	Via            []string      `help:"Gateway to go through, instead of ssh_config's ProxyJump; again for the next." placeholder:"HOST" sep:"none"`
	ConnectTimeout time.Duration `default:"15s" help:"How long a sign-in may take, without the time a person needs."`
}

// Help stands below the command's help.
func (c *forwardCmd) Help() string {
	return "What is connected outlives cut lines where the relay runs on the host. It stays until: nbremote close HOST, or close PORT"
}

// forwarded is one forward, and its --json.
type forwarded struct {
	Kind   string `json:"kind"` // forward, or remote: Local is there, and To here
	Host   string `json:"host"`
	Local  string `json:"local"`
	Port   int    `json:"port,omitempty"`
	To     string `json:"to"`
	Reused bool   `json:"reused"`
}

// Run is the story of forward.
func (c *forwardCmd) Run(a *app) error {
	if _, err := strconv.Atoi(c.Host); err == nil { // HOST was left out
		c.Host, c.Specs = "", append([]string{c.Host}, c.Specs...)
	}
	w, err := a.whereHost(c.Host, c.Via)
	if err != nil {
		return err
	}
	specs, err := c.wanted(a, w)
	if err != nil {
		return err
	}
	line, err := a.connectIn(w, c.ConnectTimeout)
	if err != nil {
		return err
	}
	defer line.leave()
	all := []forwarded{}
	for _, spec := range specs {
		t, err := line.AddTunnel(a.ctx, spec)
		if err != nil {
			return err
		}
		text := t.Local() + " leads to " + t.Addr + " there"
		if t.Kind == holder.Remote {
			text = t.Local() + " there leads to " + t.Addr + " here"
		}
		if t.Reused {
			text += ", open already"
		}
		a.ui.Done(w.Host, text)
		all = append(all, forwarded{Kind: t.Kind, Host: w.Host, Local: t.Local(), Port: t.Port, To: t.Addr, Reused: t.Reused})
	}
	if l, err := line.Link(a.ctx); err == nil && l != nil && !l.On {
		a.ui.Note("no relay runs on " + w.Host + " (" + l.Why + "): a cut ends what is under way")
	}
	if a.JSON {
		return a.printJSON(all)
	}
	for _, f := range all {
		if _, err := fmt.Fprintln(stdout, f.Local); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the forwards of the command, else those of the settings, and those
// of ssh_config where they are asked for.
func (c *forwardCmd) wanted(a *app, w where) ([]holder.TunnelSpec, error) {
	texts, remote := c.Specs, c.Remote
	if len(texts)+len(remote) == 0 {
		texts = a.config.Hosts[w.Host].Forward
	}
	if c.FromSSHConfig {
		local, back, err := a.sshForwards(w)
		if err != nil {
			return nil, err
		}
		texts, remote = append(texts[:len(texts):len(texts)], local...), append(remote, back...)
	}
	switch {
	case len(texts)+len(remote) > 0:
	case c.FromSSHConfig:
		return nil, usage("read the ssh_config: no LocalForward or RemoteForward for "+w.Host+" that can be had", "ssh -G "+shellWord(w.Host)+" | grep forward")
	default:
		return nil, usage("read the command line: forward needs a port", "nbremote forward "+shellWord(w.Host)+" 8888, or 8889:my-host:8888")
	}
	specs, err := parseForwards(w.Host, texts)
	for _, text := range remote {
		if err != nil {
			return nil, err
		}
		var spec holder.TunnelSpec
		spec, err = parseRemote(text)
		spec.Again = "nbremote forward " + shellWord(w.Host) + " -R " + shellWord(text)
		specs = append(specs, spec)
	}
	return specs, err
}

// parseRemote reads PORT[:HOST:PORT], of a port there that leads here, with the
// path of a unix socket in the place of the first port or of HOST:PORT. A path
// there is from the home where it does not begin with a slash.
func parseRemote(text string) (holder.TunnelSpec, error) {
	spec, there, err := parseSpec(text)
	switch {
	case err != nil:
		return spec, err
	case isPort(there):
		spec.Port, _ = strconv.Atoi(there)
	case isSock(there):
		spec.Sock = strings.TrimPrefix(there, "~/")
	default:
		return spec, wrongForward(text, quoted(there)+" is neither a port there nor the path of a socket")
	}
	if spec.Kind = holder.Remote; spec.Network != "unix" {
		spec.Network = ""
	}
	return spec, nil
}

func parseForwards(host string, texts []string) ([]holder.TunnelSpec, error) {
	specs := []holder.TunnelSpec{}
	for _, text := range texts {
		spec, err := parseForward(text)
		if err != nil {
			return nil, err
		}
		spec.Again = "nbremote forward " + shellWord(host) + " " + shellWord(text)
		specs = append(specs, spec)
	}
	return specs, nil
}

// keepForwards opens the forwards of the settings. Each that cannot be is said,
// and keeps no other from being opened.
func (a *app) keepForwards(c *holder.Client, w where) {
	for _, text := range a.config.Hosts[w.Host].Forward {
		specs, err := parseForwards(w.Host, []string{text})
		var t holder.Tunnel
		if err == nil {
			t, err = c.AddTunnel(a.ctx, specs[0])
		}
		switch {
		case err != nil:
			a.ui.Note("forward of config.toml: " + err.Error())
		case !t.Reused:
			a.ui.Done("forward", t.Local()+" leads to "+t.Addr+" there")
		}
	}
}

// sshForwards are the LocalForwards and RemoteForwards of ssh_config, as forward
// takes them. What it does not take is said.
func (a *app) sshForwards(w where) (local, remote []string, err error) {
	target, err := a.resolve(a.ctx, w)
	if err != nil {
		return nil, nil, err
	}
	taken := func(key string, all []string, parse func(string) (holder.TunnelSpec, error)) (texts []string) {
		for _, f := range all {
			text := strings.Replace(f, " ", ":", 1)
			if _, err := parse(text); err != nil {
				a.ui.Note(key + " " + f + " is left out: " + err.Error())
				continue
			}
			texts = append(texts, text)
		}
		return texts
	}
	return taken("LocalForward", target.LocalForwards, parseForward), taken("RemoteForward", target.RemoteForwards, parseRemote), nil
}

// parseForward reads [BIND:]PORT[:HOST:PORT], with the path of a unix socket in
// the place of the first port or of HOST:PORT. BIND may be 127.0.0.1.
func parseForward(text string) (holder.TunnelSpec, error) {
	spec, here, err := parseSpec(text)
	switch {
	case err != nil:
	case isPort(here):
		spec.Port, _ = strconv.Atoi(here)
	case isSock(here):
		spec.Sock, err = filepath.Abs(here)
	default:
		err = wrongForward(text, quoted(here)+" is neither a port here nor the path of a socket")
	}
	return spec, err
}

func wrongForward(text, why string) error {
	return usage("read "+quoted(text)+": "+why, "8888, 8889:my-host:8888, 8889:/run/x.sock or local.sock:/run/x.sock")
}

func isSock(path string) bool {
	return strings.ContainsRune(path, '/') || strings.HasSuffix(path, ".sock")
}

// parseSpec reads where a forward leads, and gives its other end as it stands.
func parseSpec(text string) (spec holder.TunnelSpec, near string, err error) {
	wrong := func(why string) (holder.TunnelSpec, string, error) { return spec, "", wrongForward(text, why) }
	parts := splitForward(text)
	spec.Kind, spec.Network = holder.Forward, holder.Elsewhere
	last := parts[len(parts)-1]
	local := parts[:len(parts)-1]
	switch {
	case strings.HasPrefix(last, "/"):
		spec.Network, spec.Addr = "unix", last
	case !isPort(last):
		return wrong("no port from 1 to 65535 at its end")
	case len(parts) == 1:
		local, spec.Addr = parts, "localhost:"+last
	case len(parts) == 2:
		spec.Addr = "localhost:" + last
	default:
		host := local[len(local)-1]
		if !socks.IsHost(host) {
			return wrong(quoted(host) + " is no host")
		}
		local, spec.Addr = local[:len(local)-1], net.JoinHostPort(host, last)
	}
	if len(local) == 2 {
		if bind := local[0]; bind != "127.0.0.1" && bind != "localhost" {
			return wrong("it can listen on 127.0.0.1 only")
		}
		local = local[1:]
	}
	if len(local) != 1 {
		return wrong("no port before it")
	}
	return spec, local[0], nil
}

// splitForward splits at colons, but not in brackets, nor in a path at its end.
func splitForward(text string) []string {
	var parts []string
	for {
		end := strings.IndexByte(text, ':')
		if strings.HasPrefix(text, "[") {
			if close := strings.Index(text, "]"); close >= 0 && (close+1 == len(text) || text[close+1] == ':') {
				parts = append(parts, text[1:close])
				if text = text[close+1:]; text == "" {
					return parts
				}
				text = text[1:]
				continue
			}
		}
		if end < 0 || strings.HasPrefix(text, "/") && len(parts) > 0 {
			return append(parts, text)
		}
		parts, text = append(parts, text[:end]), text[end+1:]
	}
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536 && strconv.Itoa(n) == s
}
