package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"nbremote/internal/config"
	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

const (
	lookEvery    = 2 * time.Second
	measureEvery = 10 * time.Second // while somebody watches
	measureTime  = 3 * time.Second  // for the host to answer
)

// statusCmd says how the lines are, what waits for them and what the hosts
// have left.
type statusCmd struct {
	Host  string `arg:"" optional:"" predictor:"host" help:"HOST; left out: all that are open."`
	Watch bool   `help:"Go on, and print again when something has changed, until Ctrl-C."`
}

// hostStatus is what is said of one host, and its --json.
type hostStatus struct {
	Host    string       `json:"host"`
	State   holder.State `json:"state"`
	Since   time.Time    `json:"since"` // of the state
	Reason  string       `json:"reason,omitempty"`
	Hop     string       `json:"hop,omitempty"` // the gateway whose own line is not up
	NextTry time.Time    `json:"next_try,omitzero"`
	Via     []string     `json:"via"`
	SignIn  string       `json:"sign_in,omitempty"`
	// Link says how bytes go; nil: nothing was asked of the host yet, or the
	// holder is too old to say.
	Link    *holder.Link    `json:"link,omitempty"`
	Behind  int             `json:"behind"`         // connections of others that go through it
	Node    string          `json:"node,omitempty"` // its own name, where several machines have the host's
	Pages   []pageStatus    `json:"pages"`
	Scripts []holder.Script `json:"scripts,omitempty"`
	Machine *measured       `json:"machine,omitempty"`
	// Tunnels are proxies and forwards.
	Tunnels []holder.Tunnel `json:"tunnels,omitempty"`

	key        string
	pid        int    // of its holder
	measurable bool   // a Jupyter or a script runs on it
	hopNeed    bool   // the gateway needs a person
	left       string // what the machine has, for comparing
}

// pageStatus is one session with a port here.
type pageStatus struct {
	Session  string    `json:"session"`
	URL      string    `json:"url"`
	Port     int       `json:"port"`
	Tabs     int       `json:"tabs"`
	Kernels  int       `json:"kernels"`
	Busy     int       `json:"busy"`
	BusyIn   []string  `json:"busy_in"`  // notebooks, as far as busy kernels have one
	Waiting  int       `json:"requests"` // of the browser, that have no answer yet
	Ended    bool      `json:"ended"`
	Reported time.Time `json:"reported,omitzero"` // when Jupyter said so
	// Kept is what waits for pages that are away or take nothing.
	Kept    []holder.Kept    `json:"kept,omitempty"`
	Dropped []holder.Dropped `json:"dropped,omitempty"` // that no page will get
	// Limits is what cannot be promised of a Jupyter that nbremote did not start.
	Limits string `json:"limits,omitempty"`

	again string // the command that opens it anew
}

// limits are those of a Jupyter that somebody else started: its settings are
// its own.
func limits(p holder.Page) string {
	server := serverOf(p)
	switch {
	case server == nil || !server.Foreign:
		return ""
	case server.URL != "":
		return "runs on another machine: not measured, stopped or restarted from here; a cut above 90 s may cost output"
	}
	return "started by hand: not stopped or restarted from here, and may end at a logout there; a cut above 90 s may cost output"
}

// measured is what a host had left at a time.
type measured struct {
	jupyter.Machine
	At time.Time `json:"at"`
	// Old: the host could not be asked now.
	Old bool `json:"old"`
}

// Run prints once, or again and again.
func (c *statusCmd) Run(a *app) error {
	var last []hostStatus
	for first := true; ; first = false {
		now, err := c.look(a)
		if err != nil {
			return err
		}
		if first || !same(last, now) {
			if err := a.printStatus(now, c.Host == "", first); err != nil {
				return err
			}
			last = now
		}
		if !c.Watch {
			return nil
		}
		select {
		case <-time.After(lookEvery):
		case <-a.ctx.Done():
			return a.ctx.Err()
		}
	}
}

// hasSession says whether one of that name is known here.
func hasSession(s holder.Status, name string) bool {
	return slices.ContainsFunc(s.Pages, func(p holder.Page) bool { return p.Session == name }) ||
		slices.ContainsFunc(s.Scripts, func(one holder.Script) bool { return one.Name == name })
}

// look asks the holders, and through them the hosts.
func (c *statusCmd) look(a *app) ([]hostStatus, error) {
	open := a.open()
	wanted := open
	if c.Host != "" {
		w, err := a.where(c.Host)
		if err != nil {
			return nil, err
		}
		s, err := a.openHolder(w, "look at")
		if err != nil {
			return nil, err
		}
		if w.Session != "" && !hasSession(s, w.Session) {
			return nil, notFound(fmt.Sprintf("look at %s: no such session is open here", w), "nbremote ls")
		}
		wanted = []holder.Status{s}
	}
	young := time.Duration(0)
	if c.Watch {
		young = measureEvery
	}
	a.refresh(wanted, young)
	all := []hostStatus{}
	for _, s := range wanted {
		all = append(all, newHostStatus(s, hopDown(s, open)))
	}
	a.measure(all, young)
	return all, nil
}

// refresh has the Jupyters asked what runs in them, where the line is up and
// they were not within young.
func (a *app) refresh(all []holder.Status, young time.Duration) {
	var wg sync.WaitGroup
	for i := range all {
		s := &all[i]
		old := func(p holder.Page) bool { return time.Since(p.Reported) >= young }
		if s.State != holder.Up || !slices.ContainsFunc(s.Pages, old) && len(s.Scripts) == 0 {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(a.ctx, measureTime)
			defer cancel()
			if fresh, err := holder.ByKey(a.place, s.Key).Fresh(ctx); err == nil {
				*s = fresh
			}
		})
	}
	wg.Wait()
}

func newHostStatus(s holder.Status, hop *holder.Status) hostStatus {
	out := hostStatus{
		Host: s.Name, State: s.State, Since: s.Since, Reason: s.Reason, NextTry: s.NextTry, Via: s.Via, SignIn: s.SignIn,
		Link: s.Link, Behind: s.Behind, Node: s.Node, Pages: []pageStatus{}, Scripts: s.Scripts, Tunnels: s.Tunnels, key: s.Key, pid: s.PID,
		measurable: len(pagesThere(s.Pages))+len(s.Scripts) > 0,
	}
	if hop != nil {
		out.Hop, out.hopNeed = hop.Name, hop.State == holder.NeedsSignIn
	}
	for _, p := range s.Pages {
		k := kernelsOf(p)
		out.Pages = append(out.Pages, pageStatus{
			Session: p.Session, URL: p.URL, Port: p.Port, Tabs: p.Tabs, Kernels: k.Total, Busy: k.Busy, BusyIn: append([]string{}, k.BusyIn...),
			Waiting: p.Waiting, Ended: p.Gone, Reported: p.Reported, Kept: p.Kept, Dropped: p.Dropped,
			Limits: limits(p), again: againOf(s, p),
		})
	}
	return out
}

// hopDown is the first gateway to a host whose own line is not up, when the
// host's is not either.
func hopDown(s holder.Status, open []holder.Status) *holder.Status {
	if s.State == holder.Up {
		return nil
	}
	for _, name := range s.Via {
		for i := range open {
			if hop := &open[i]; hop.Name == name && hop.State != holder.Up {
				return hop
			}
		}
	}
	return nil
}

// measure asks the hosts whose line is up what they have left, all at once; for
// the others it is what was known last. What is younger than young will do.
func (a *app) measure(all []hostStatus, young time.Duration) {
	known := a.readMeasured()
	var wg sync.WaitGroup
	for i := range all {
		s := &all[i]
		if last, ok := known[s.key]; ok && s.measurable {
			s.Machine = &last
		}
		// A gateway is asked nothing: its line carries others, and that is all.
		if !s.measurable || s.State != holder.Up || s.Machine != nil && time.Since(s.Machine.At) < young {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(a.ctx, measureTime)
			defer cancel()
			if m, err := jupyter.Measure(ctx, holder.ByKey(a.place, s.key)); err == nil {
				s.Machine = &measured{Machine: *m, At: time.Now()}
			}
		})
	}
	wg.Wait()
	for _, s := range all {
		if s.Machine == nil {
			continue
		}
		s.Machine.Old = time.Since(s.Machine.At) > max(young, measureTime)
		known[s.key] = *s.Machine
	}
	a.writeMeasured(known)
}

func (a *app) measuredPath() string { return filepath.Join(a.place.State, "machines.json") }

// readMeasured gives what was last known of each target.
func (a *app) readMeasured() map[string]measured {
	known := map[string]measured{}
	if raw, err := os.ReadFile(a.measuredPath()); err != nil || json.Unmarshal(raw, &known) != nil || known == nil {
		return map[string]measured{}
	}
	return known
}

// writeMeasured is a convenience: a full disk does not fail the command.
func (a *app) writeMeasured(known map[string]measured) {
	if raw, err := json.Marshal(known); err == nil {
		config.WriteFile(a.measuredPath(), raw)
	}
}

// keepMeasured keeps what open has just seen of a target.
func (a *app) keepMeasured(key string, m jupyter.Machine) {
	known := a.readMeasured()
	known[key] = measured{Machine: m, At: time.Now()}
	a.writeMeasured(known)
}

// same says that nothing has changed but what always does: times, what is under
// way while the line is up, and what a host has left, if it reads the same.
func same(was, is []hostStatus) bool {
	return reflect.DeepEqual(still(was), still(is))
}

func still(all []hostStatus) []hostStatus {
	out := []hostStatus{}
	for _, s := range all {
		s.NextTry = time.Time{}
		if s.Link != nil {
			l := *s.Link
			l.RTTMS = 0
			if s.State == holder.Up {
				l.Here, l.There, l.Spool = l.Here>>20, l.There>>20, l.Spool>>20
			}
			s.Link = &l
		}
		if s.Machine != nil {
			s.left, s.Machine = machine(&s.Machine.Machine), nil
		}
		s.Tunnels = append([]holder.Tunnel{}, s.Tunnels...)
		for i := range s.Tunnels {
			s.Tunnels[i].Open = 0
		}
		s.Pages = append([]pageStatus{}, s.Pages...)
		for i := range s.Pages {
			s.Pages[i].Reported = time.Time{}
			if s.State == holder.Up {
				s.Pages[i].Waiting = 0
			}
		}
		out = append(out, s)
	}
	return out
}

// printStatus prints one block: each host's rows, under its name where no host
// was named.
func (a *app) printStatus(all []hostStatus, named, first bool) error {
	if a.JSON {
		return a.printJSON(all)
	}
	if len(all) == 0 {
		a.ui.Note("nothing is open; begin with: nbremote open HOST")
		return nil
	}
	table := [][]string{}
	if !first {
		table = append(table, nil)
	}
	for _, s := range all {
		if named {
			table = append(table, []string{s.Host})
		}
		for _, row := range s.rows(time.Now()) {
			table = append(table, []string{"  " + row[0] + " " + row[1]})
		}
	}
	return ui.Table(stdout, table)
}
