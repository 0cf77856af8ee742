package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"nbremote/internal/holder"
	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// parts are the kinds of things that clean removes.
type parts struct{ sessions, jupyter, kernels bool }

func (p parts) any() bool { return p.sessions || p.jupyter || p.kernels }

// there are the parts of which there is something.
func (f *cleanable) there() parts {
	return parts{len(f.Sessions)+len(f.Left) > 0, f.Jupyter > 0, len(f.Kernels)+len(f.Here) > 0}
}

// choose prints what is there and finds out what of it is to go: what flags
// name; with -y alone, and --json tells only, what is over; else a person says.
func (c *cleanCmd) choose(a *app, f *cleanable) (parts, error) {
	has := f.there()
	if !a.JSON {
		if err := ui.Table(stdout, f.rows()); err != nil {
			return parts{}, err
		}
		for _, s := range f.Stays {
			fmt.Fprintln(stdout, "stays    "+a.ui.Text(s))
		}
	}
	asked := parts{c.All || c.Sessions, c.All || c.Jupyter, c.All || c.Kernels}
	flags := asked.any()
	if !flags && a.Yes {
		asked.sessions = true
	}
	if asked.any() {
		has = parts{asked.sessions && has.sessions, asked.jupyter && has.jupyter, asked.kernels && has.kernels}
	}
	switch {
	case !has.any():
		a.ui.Note("nothing to remove on " + f.Host)
		return parts{}, nil
	case a.Yes:
		return has, nil
	case a.JSON && !flags:
		return parts{}, nil
	}
	return has.ask(a, f.Host, flags)
}

// ask lets a person choose among the parts.
func (p parts) ask(a *app, host string, flags bool) (parts, error) {
	question, letters := "Remove it?", "y/N"
	if !flags {
		question, letters = "Remove which? a = all", "a"
		for _, one := range []struct {
			there        bool
			letter, what string
		}{{p.sessions, "s", "what has ended"}, {p.jupyter, "j", "JupyterLab"}, {p.kernels, "k", "kernels"}} {
			if one.there {
				question, letters = question+", "+one.letter+" = "+one.what, letters+"/"+one.letter
			}
		}
		letters += "/N"
	}
	answer, err := a.choose(question, letters)
	if err != nil {
		return parts{}, unanswered(err, "what to remove", "-y removes what has ended, --all -y all that nothing uses")
	}
	switch answer {
	case "a", "y":
		return p, nil
	case "n":
		return parts{}, &refused{what: "left " + host + " as it is"}
	}
	return parts{answer == "s", answer == "j", answer == "k"}, nil
}

// rows is what is there, and how much.
func (f *cleanable) rows() [][]string {
	rows := [][]string{}
	for _, s := range f.Sessions {
		name := s.Name
		if name == "" {
			name = "(no name)"
		}
		rows = append(rows, []string{"ended", name, size(s.Bytes), s.What})
	}
	for _, l := range f.Left {
		rows = append(rows, []string{"over", leftover(l), size(l.Bytes)})
	}
	if f.Jupyter > 0 {
		rows = append(rows, []string{"jupyter", "JupyterLab", size(f.Jupyter), "~/.local/share/nbremote/jupyter"})
	}
	for _, k := range f.Kernels {
		rows = append(rows, []string{"kernel", k.Name, "", k.Dir})
	}
	for _, k := range f.Here {
		rows = append(rows, []string{"here", k.DisplayName, "", k.Dir})
	}
	return rows
}

// leftover is how many of what: the kinds are those of package session.
func leftover(l session.Leftover) string {
	words, known := map[string][2]string{
		"half":   {"session that was never begun", "sessions that were never begun"},
		"record": {"record of an earlier boot", "records of earlier boots"},
		"place":  {"directory of who has ended", "directories of who has ended"},
		"spool":  {"file of what waited for a line", "files of what waited for a line"},
		"relay":  {"program of a relay that has ended", "programs of relays that have ended"},
	}[l.Kind]
	switch {
	case !known:
		return l.Kind
	case l.Count == 1:
		return "1 " + words[0]
	}
	return fmt.Sprintf("%d %s", l.Count, words[1])
}

// remove removes the parts, in the order in which they need each other: at last
// goes the directory itself if nothing is in it.
func (p parts) remove(a *app, line *line, there holder.Direct, f *cleanable) error {
	step := a.ui.Start("removed", "removing it")
	err := p.removeThem(a, line, there, f)
	if err != nil {
		step.Fail("")
		return fmt.Errorf("clean %s: %w", f.Host, err)
	}
	if len(f.Removed) == 0 {
		step.Done("nothing: it is in use by now")
		return nil
	}
	step.Done(strings.Join(f.Removed, ", ") + ": " + size(f.Bytes))
	return nil
}

func (p parts) removeThem(a *app, line *line, there holder.Direct, f *cleanable) error {
	if p.kernels {
		for _, k := range f.Kernels {
			if err := kernel.Remove(a.ctx, there, k); err != nil {
				return err
			}
			f.Removed = append(f.Removed, "kernel "+k.Name)
		}
		for _, k := range f.Here {
			if err := kernel.RemoveHere(k); err != nil {
				return err
			}
			f.Removed = append(f.Removed, "kernel "+k.Name+" of this computer")
		}
	}
	if p.jupyter {
		i, err := jupyter.RemoveInstalled(a.ctx, there)
		if err != nil {
			return err
		}
		if i.Removed {
			f.Removed, f.Bytes = append(f.Removed, "JupyterLab"), f.Bytes+i.Bytes
		}
	}
	if !p.sessions {
		return nil
	}
	names, encs := map[string]string{}, []string{}
	for _, s := range f.Sessions {
		names[s.enc], encs = s.Name, append(encs, s.enc)
	}
	gone, err := session.Clean(a.ctx, there, encs)
	if err != nil {
		return err
	}
	for _, s := range gone.Sessions {
		f.Removed, f.Bytes = append(f.Removed, names[s.Enc]), f.Bytes+s.Bytes
		line.RemovePage(a.ctx, names[s.Enc])
	}
	a.lookAgain(line, slices.Collect(maps.Values(names))...)
	for _, l := range gone.Left {
		f.Removed, f.Bytes = append(f.Removed, leftover(l)), f.Bytes+l.Bytes
	}
	return nil
}
