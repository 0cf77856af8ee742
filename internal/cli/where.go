package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nbremote/internal/config"
	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/sshx"
)

// where is a host, and what on it, as a person names it: HOST, HOST/NAME
// (a session) or HOST:PATH.
type where struct {
	Host      string   `json:"host"` // the ssh name
	Path      string   `json:"path,omitempty"`
	Session   string   `json:"session,omitempty"`
	URL       string   `json:"url,omitempty"` // of a Jupyter that Host only leads to
	Via       []string `json:"via,omitempty"`
	SSHConfig string   `json:"ssh_config,omitempty"`
}

// String is the place as it would be typed.
func (w where) String() string {
	switch {
	case w.Session != "":
		return w.Host + "/" + w.Session
	case w.URL != "":
		return w.URL
	case w.Path != "":
		return w.Host + ":" + w.Path
	}
	return w.Host
}

// alias is the name with everything that its meaning depends on: under it the
// holder is found again without asking ssh.
func (w where) alias() string {
	return strings.Join(append([]string{w.Host, w.SSHConfig}, w.Via...), "\x00")
}

// parseWhere reads HOST, HOST/NAME or HOST:PATH.
func parseWhere(arg string) (where, error) {
	host, session, ok := cutSession(arg)
	if !ok {
		name, path, err := sshx.SplitPath(arg)
		return where{Host: name, Path: path}, err
	}
	name, _, err := sshx.SplitPath(host)
	if err == nil && session == "" {
		err = usage("read "+quoted(arg)+": no session after the slash", "nbremote ls")
	}
	return where{Host: name, Session: session}, err
}

// cutSession splits HOST/NAME: what stands before the first slash is a host
// alone, with or without a port.
func cutSession(arg string) (host, session string, ok bool) {
	host, session, ok = strings.Cut(arg, "/")
	if !ok || strings.Contains(arg, "://") || strings.HasSuffix(host, ":") {
		return "", "", false
	}
	if strings.Contains(host, ":") {
		if _, path, err := sshx.SplitPath(host); err != nil || path != "" {
			return "", "", false
		}
	}
	return host, session, true
}

// where finds out which host is meant: the one named; else the last one used
// in this directory, the only open one, the configured default, a question.
func (a *app) where(arg string) (where, error) {
	w, err := a.named(arg)
	if err != nil {
		return w, err
	}
	return a.complete(w)
}

// whereHost is where, of a command that wants the host alone: no session of it.
// Gateways of the command line win.
func (a *app) whereHost(arg string, via []string) (where, error) {
	w, err := a.where(arg)
	if len(via) > 0 {
		w.Via = via
	}
	w.Path, w.Session, w.URL = "", "", ""
	return w, err
}

// complete adds what the settings say of the host.
func (a *app) complete(w where) (_ where, err error) {
	if a.SSHConfig != "" {
		w.SSHConfig, err = filepath.Abs(a.SSHConfig)
	}
	settings := a.config.Hosts[w.Host]
	if len(w.Via) == 0 {
		w.Via = settings.Via
	}
	if w.Path == "" && w.Session == "" && w.URL == "" {
		w.Path = settings.Dir
	}
	return w, err
}

func (a *app) named(arg string) (where, error) {
	if jupyter.IsAddress(arg) {
		address, err := jupyter.ParseAddress(arg)
		if err != nil {
			return where{}, err
		}
		return a.openAddress(address.String())
	}
	if arg != "" {
		return parseWhere(arg)
	}
	if w, ok := a.lastUsed(); ok {
		return w, nil
	}
	open := forSomebody(a.open())
	if len(open) == 1 {
		return only(open[0]), nil
	}
	if a.config.DefaultHost != "" {
		return parseWhere(a.config.DefaultHost)
	}
	if len(open) == 0 {
		return where{}, usage("no host given, and none was used in this directory before", "nbremote open HOST, a name of ~/.ssh/config or user@host:port")
	}
	names, choices := make([]string, len(open)), make([]ui.Choice, len(open))
	for i, s := range open {
		names[i], choices[i].Name = s.Name, s.Name
	}
	i, err := a.ui.Choose(a.ctx, "Which host?", choices)
	if err != nil {
		return where{}, unanswered(err, "which host: "+strings.Join(names, ", "), "nbremote ls; then name one")
	}
	return parseWhere(names[i])
}

// forSomebody leaves out the gateways that are open only as the way to others:
// nobody has named them.
func forSomebody(open []holder.Status) []holder.Status {
	return slices.DeleteFunc(open, func(s holder.Status) bool {
		return len(s.Aliases) == 0 && len(s.Pages)+len(s.Tunnels) == 0
	})
}

// uses is the file of what was last used in which directory.
type uses struct {
	Version int              `json:"version"`
	Last    map[string]where `json:"last"`   // by directory
	Hinted  map[string]bool  `json:"hinted"` // hosts whose first open has been
	// Offered are the projects whose environment was offered as a kernel.
	Offered map[string]bool `json:"offered,omitempty"`
}

func (a *app) usesPath() string { return filepath.Join(a.place.State, "last-used.json") }

func (a *app) readUses() uses {
	u := uses{}
	if raw, err := os.ReadFile(a.usesPath()); err != nil || json.Unmarshal(raw, &u) != nil || u.Version != 1 {
		u = uses{}
	}
	if u.Last == nil {
		u.Last = map[string]where{}
	}
	if u.Hinted == nil {
		u.Hinted = map[string]bool{}
	}
	u.Version = 1
	return u
}

func (a *app) lastUsed() (where, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return where{}, false
	}
	w, ok := a.readUses().Last[dir]
	return w, ok
}

// remember keeps w as the last one used in this directory. It is a
// convenience: a full disk does not fail the command.
func (a *app) remember(w where) {
	dir, err := os.Getwd()
	if err != nil {
		return
	}
	u := a.readUses()
	if same, ok := u.Last[dir]; ok && same.String() == w.String() && same.alias() == w.alias() {
		return
	}
	u.Last[dir] = w
	a.writeUses(u)
}

// firstTime says once for each host that it is the first time.
func (a *app) firstTime(host string) bool {
	u := a.readUses()
	if u.Hinted[host] {
		return false
	}
	u.Hinted[host] = true
	a.writeUses(u)
	return true
}

// offered says whether the person was asked about the project in dir before.
func (a *app) offered(w where, dir string) bool { return a.readUses().Offered[w.Host+":"+dir] }

func (a *app) rememberOffer(w where, dir string) {
	u := a.readUses()
	if u.Offered == nil {
		u.Offered = map[string]bool{}
	}
	u.Offered[w.Host+":"+dir] = true
	a.writeUses(u)
}

func (a *app) writeUses(u uses) {
	if raw, err := json.Marshal(u); err == nil {
		config.WriteFile(a.usesPath(), raw)
	}
}

func quoted(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return string(raw)
}
