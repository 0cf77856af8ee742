package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// lsCmd lists all that is open, from the holders' last reports: no host is asked,
// unless all are.
type lsCmd struct {
	All bool `help:"Ask the hosts used before what runs there, but for those where a person would have to sign in."`
}

// listed is one row of ls, and its --json.
type listed struct {
	Host     string    `json:"host"`
	Session  string    `json:"session,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	What     string    `json:"what"`
	Port     int       `json:"port,omitempty"`
	Moved    int       `json:"moved,omitempty"` // its own port, while somebody else has it
	Also     []int     `json:"also,omitempty"`  // ports that go on for tabs opened there
	Tabs     int       `json:"tabs"`
	Kernels  int       `json:"kernels"`
	Busy     int       `json:"busy"`
	Reported time.Time `json:"reported,omitzero"`
	Age      float64   `json:"age_seconds,omitempty"` // of the report
	Reason   string    `json:"reason,omitempty"`
	Try      string    `json:"try,omitempty"`    // of what is not open here
	Exit     *int      `json:"exit,omitempty"`   // of a script that has ended: 128+n for signal n
	Signal   string    `json:"signal,omitempty"` // that ended it
	Script   string    `json:"-"`                // what State is of a script
	// Kind is session, script, proxy, forward, remote or kernel (connected); host: of one where nothing
	// is known to run.
	Kind  string `json:"kind"`
	Local string `json:"local,omitempty"` // of the others: the end here, "… there" of remote
	// Followed: a forward that nobody asked for, to a port of Program.
	Followed bool   `json:"followed,omitempty"`
	Program  string `json:"program,omitempty"`
}

// Run prints the table.
func (c *lsCmd) Run(a *app) error {
	rows, open := []listed{}, a.open()
	for _, s := range open {
		if s.State == holder.Silent {
			rows = append(rows, silentRow(s))
		}
		for _, p := range s.Pages {
			rows = append(rows, row(s, p))
		}
		for _, script := range s.Scripts {
			rows = append(rows, scriptRow(s, script))
		}
		for _, t := range tunnelsOnce(s.Tunnels) {
			rows = append(rows, tunnelRow(s, t))
		}
	}
	if c.All {
		return c.all(a, open, rows)
	}
	if a.JSON {
		return a.printJSON(rows)
	}
	if len(rows) == 0 {
		a.ui.Note("nothing is open; begin with: nbremote open HOST")
		return nil
	}
	table := [][]string{}
	for _, r := range rows {
		table = append(table, []string{r.name(), r.state(), r.What, r.address()})
	}
	return ui.Table(stdout, table)
}

func (r listed) name() string {
	if r.Session == "" {
		return r.Host
	}
	return r.Host + "/" + r.Session
}

// state is the State, of a lost line with how long it has been so.
func (r listed) state() string {
	if r.Script != "" {
		return r.Script
	}
	if r.State == string(holder.Down) {
		return r.State + " " + ui.Short(time.Since(r.Since))
	}
	return r.State
}

// address is the local address, and what is not as usual with its port.
func (r listed) address() string {
	if r.Local != "" && r.Moved == 0 && r.State != string(holder.NeedsSignIn) && r.State != string(holder.Stopped) {
		return r.Local
	}
	if r.Port == 0 && r.Local == "" {
		return r.Try
	}
	if r.State == string(holder.NeedsSignIn) || r.State == string(holder.Stopped) {
		if r.Try != "" {
			return r.Try
		}
		return "nbremote open " + shellWord(r.Host)
	}
	text := fmt.Sprintf("127.0.0.1:%d", r.Port)
	if r.Moved != 0 {
		text += fmt.Sprintf(" (%d is taken)", r.Moved)
	}
	for _, port := range r.Also {
		text += fmt.Sprintf(" (%d too, for tabs opened there)", port)
	}
	return text
}

func row(s holder.Status, p holder.Page) listed {
	r := listed{Kind: "session", Host: s.Name, Session: p.Session, Since: s.Since, Port: p.Port, Moved: p.Moved, Also: p.Also, Tabs: p.Tabs, Reported: p.Reported, Reason: s.Reason}
	if !p.Reported.IsZero() {
		r.Age = time.Since(p.Reported).Seconds()
	}
	k := kernelsOf(p)
	r.Kernels, r.Busy, r.What = k.Total, k.Busy, k.What()
	switch {
	case s.State != holder.Up:
		r.State = string(s.State)
		if s.Link != nil && s.Link.On && s.State != holder.Suspect {
			r.What += ", output kept"
		}
	case p.Gone && isFar(p):
		r.State, r.What = "no answer", againOf(s, p)
	case p.Gone:
		r.State, r.What = "ended", "nbremote open "+s.Name+" starts it anew"
		if p.Rebooted {
			r.What = s.Name + " was started again; " + r.What
		}
	case k.Busy > 0:
		r.State = "busy"
		if !k.BusySince.IsZero() {
			r.State = "busy " + ui.Short(time.Since(k.BusySince))
		}
	default:
		r.State = "idle"
	}
	return r
}

// silentRow is that of a host whose holder answers nobody.
func silentRow(s holder.Status) listed {
	e := holder.SilentError{PID: s.PID}
	return listed{Kind: "host", Host: s.Name, State: string(s.State), Since: s.Since, What: e.Error(), Reason: e.Error(), Try: e.Hint()}
}

// tunnelRow is that of a proxy or a forward.
func tunnelRow(s holder.Status, t holder.Tunnel) listed {
	r := listed{Kind: t.Kind, Host: s.Name, State: t.Kind, Since: s.Since, Port: t.Port, Moved: t.Moved, Program: t.Program, Followed: t.Followed, Local: t.Local(), Reason: s.Reason, Try: t.Again}
	r.What = tunnelWhat(t)
	if t.Kernel != "" {
		r.Kind, r.State, r.Port, r.Local = "kernel", "kernel", 0, t.Connection
	}
	if t.Kind == holder.Remote {
		r.Local += " there"
	}
	if s.State != holder.Up {
		r.State, r.What = string(s.State), r.Kind+" "+r.What
	}
	return r
}

// tunnelsOnce has one of the channels of each kernel that is connected.
func tunnelsOnce(all []holder.Tunnel) (once []holder.Tunnel) {
	seen := map[string]bool{"": true}
	for _, t := range all {
		if t.Kernel == "" || !seen[t.Kernel] {
			once = append(once, t)
		}
		seen[t.Kernel] = true
	}
	return once
}

// tunnelWhat is where a tunnel leads.
func tunnelWhat(t holder.Tunnel) string {
	switch {
	case t.Kernel != "":
		return t.Kernel
	case t.Kind == holder.Forward && t.Program != "":
		return t.Addr + " (" + t.Program + ")"
	case t.Kind == holder.Forward:
		return t.Addr
	case t.Kind == holder.Remote:
		return t.Addr + " here"
	case len(t.Domains) > 0:
		return strings.Join(t.Domains, ", ")
	}
	return "its network"
}

// serverOf is the Jupyter that a page leads to; nil: none that is known.
func serverOf(p holder.Page) *jupyter.Server {
	var kept info
	if json.Unmarshal(p.Info, &kept) != nil {
		return nil
	}
	return kept.Server
}

// kernelsOf is what the last report says of the page's kernels.
func kernelsOf(p holder.Page) kernel.Summary {
	server := serverOf(p)
	if server == nil {
		return kernel.Summary{}
	}
	base := server.BaseURL
	report := func(path string) json.RawMessage {
		if text, ok := p.Report[base+path+untracked]; ok {
			return text
		}
		return p.Report[base+path] // of a page that an older version opened
	}
	return kernel.Sum(kernel.ParseRunning(report("api/kernels"), report("api/sessions")))
}
