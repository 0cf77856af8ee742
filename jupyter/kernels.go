package jupyter

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"
)

// Kernels is what runs in a Jupyter.
type Kernels struct {
	Total int
	Busy  int
	// BusySince is the earliest time since which a busy kernel has said
	// nothing: it has been busy at least since then. Zero when not known.
	BusySince time.Time

	names []string // of notebooks, busy ones first
}

const kernelsLimit = 10000 // entries of one answer

// ParseKernels reads the answers of /api/kernels and /api/sessions. What is
// not understood counts as nothing.
func ParseKernels(kernels, sessions []byte) Kernels {
	var list []struct {
		ID    string    `json:"id"`
		State string    `json:"execution_state"`
		Last  looseTime `json:"last_activity"`
	}
	_ = json.Unmarshal(kernels, &list)
	var open []struct {
		Path   string `json:"path"`
		Name   string `json:"name"`
		Kernel struct {
			ID string `json:"id"`
		} `json:"kernel"`
	}
	_ = json.Unmarshal(sessions, &open)
	k := Kernels{}
	busy := map[string]bool{}
	for _, one := range list[:min(len(list), kernelsLimit)] {
		k.Total++
		if one.State != "busy" {
			continue
		}
		k.Busy++
		busy[one.ID] = true
		if last := time.Time(one.Last); !last.IsZero() && (k.BusySince.IsZero() || last.Before(k.BusySince)) {
			k.BusySince = last
		}
	}
	var idle []string
	for _, s := range open[:min(len(open), kernelsLimit)] {
		name := path.Base(s.Path)
		if s.Path == "" {
			name = s.Name
		}
		switch {
		case name == "" || name == "." || len(name) > 255:
		case busy[s.Kernel.ID]:
			k.names = append(k.names, name)
		default:
			idle = append(idle, name)
		}
	}
	slices.Sort(k.names)
	slices.Sort(idle)
	k.names = append(k.names, idle...)
	return k
}

// looseTime is a time, or zero where the text is none.
type looseTime time.Time

// UnmarshalJSON never fails: one odd kernel must not hide the others.
func (t *looseTime) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		if parsed, err := time.Parse(time.RFC3339Nano, text); err == nil {
			*t = looseTime(parsed)
		}
	}
	return nil
}

// What says it in a few words: "train.ipynb, 2 kernels".
func (k Kernels) What() string {
	count := fmt.Sprintf("%d kernels", k.Total)
	switch k.Total {
	case 0:
		return "no kernels"
	case 1:
		count = "1 kernel"
	}
	if len(k.names) == 0 {
		return count
	}
	return k.names[0] + ", " + count
}
