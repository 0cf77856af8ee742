package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// lsCmd lists all that is open, from the holders' last reports: no host is asked.
type lsCmd struct{}

// listed is one row of ls, and its --json.
type listed struct {
	Host     string    `json:"host"`
	Session  string    `json:"session,omitempty"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	What     string    `json:"what"`
	Port     int       `json:"port,omitempty"`
	Tabs     int       `json:"tabs"`
	Kernels  int       `json:"kernels"`
	Busy     int       `json:"busy"`
	Reported time.Time `json:"reported,omitzero"`
	Age      float64   `json:"age_seconds,omitempty"` // of the report
	Reason   string    `json:"reason,omitempty"`
}

// Run prints the table.
func (c *lsCmd) Run(a *app) error {
	rows := []listed{}
	for _, s := range a.open() {
		if len(s.Pages) == 0 && s.Behind == 0 {
			continue
		}
		for _, p := range s.Pages {
			rows = append(rows, row(s, p))
		}
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
		table = append(table, []string{r.Host + "/" + r.Session, r.State, r.What, fmt.Sprintf("127.0.0.1:%d", r.Port)})
	}
	return ui.Table(os.Stdout, table)
}

func row(s holder.Status, p holder.Page) listed {
	r := listed{Host: s.Name, Session: p.Session, Since: s.Since, Port: p.Port, Tabs: p.Tabs, Reported: p.Reported, Reason: s.Reason}
	if !p.Reported.IsZero() {
		r.Age = time.Since(p.Reported).Seconds()
	}
	k := kernelsOf(p)
	r.Kernels, r.Busy, r.What = k.Total, k.Busy, k.What()
	switch {
	case s.State != holder.Up:
		r.State = string(s.State)
	case p.Gone:
		r.State, r.What = "ended", "nbremote open "+s.Name+" starts it anew"
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

// kernelsOf is what the last report says of the page's kernels.
func kernelsOf(p holder.Page) jupyter.Kernels {
	var kept info
	if json.Unmarshal(p.Info, &kept) != nil || kept.Server == nil {
		return jupyter.Kernels{}
	}
	base := kept.Server.BaseURL
	return jupyter.ParseKernels(p.Report[base+"api/kernels"], p.Report[base+"api/sessions"])
}
