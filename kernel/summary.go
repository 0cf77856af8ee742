package kernel

import (
	"fmt"
	"path"
	"slices"
	"time"
)

// Summary is what runs in a Jupyter.
type Summary struct {
	Total int
	Busy  int
	// BusySince is the earliest time since which a busy kernel has said
	// nothing: it has been busy at least since then. Zero when not known.
	BusySince time.Time
	BusyIn    []string // the notebooks of busy kernels, where they have one

	names []string // of notebooks, busy ones first
}

// Sum counts kernels.
func Sum(all []Running) Summary {
	s := Summary{Total: len(all)}
	var idle []string
	for _, k := range all {
		name := path.Base(k.Notebook)
		if k.Notebook == "" || len(name) > 255 {
			name = ""
		}
		if k.State != "busy" {
			idle = append(idle, name)
			continue
		}
		s.Busy++
		s.names = append(s.names, name)
		if !k.Last.IsZero() && (s.BusySince.IsZero() || k.Last.Before(s.BusySince)) {
			s.BusySince = k.Last
		}
	}
	nameless := func(name string) bool { return name == "" }
	slices.Sort(s.names)
	slices.Sort(idle)
	s.BusyIn = slices.DeleteFunc(slices.Clone(s.names), nameless)
	s.names = slices.DeleteFunc(append(s.names, idle...), nameless)
	return s
}

// What says it in a few words: "train.ipynb, 2 kernels".
func (s Summary) What() string {
	count := fmt.Sprintf("%d kernels", s.Total)
	switch s.Total {
	case 0:
		return "no kernels"
	case 1:
		count = "1 kernel"
	}
	if len(s.names) == 0 {
		return count
	}
	return s.names[0] + ", " + count
}
