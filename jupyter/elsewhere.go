package jupyter

import (
	"encoding/json"
	"strconv"
	"strings"

	"nbremote/internal/session"
)

// Elsewhere is a Jupyter that was started on another machine with the same
// home. Whether it still runs is known there alone.
type Elsewhere struct {
	Name    string
	Dir     string
	Machine string // the machine's key
	Node    string // its own name
	Port    int    // of its SSH server
	Reached string // address by which that one was reached
	Gone    bool   // nobody knows that name here any more
}

// Elsewhere is the Jupyter that was asked for, where it may run on another
// machine that is reached by the same address and none of that name runs here;
// else nil. Machines of one home that have names of their own are hosts of
// their own.
func (h *Host) Elsewhere(look Look) *Elsewhere {
	name, _ := h.Choose(look)
	if h.session(name) != nil {
		return nil
	}
	for i := range h.Others {
		o := &h.Others[i]
		if o.Reached != look.Reached {
			continue
		}
		if look.Session != "" && o.Name == name || look.Session == "" && o.Dir == h.Dir && o.Dir != "" {
			return o
		}
	}
	return nil
}

// elsewhere reads a group of j_elsewhere. What names no machine that could be
// reached, and no Jupyter, is left out by finish.
func (p *probe) elsewhere(name, value string) {
	h := p.host
	if name == "elsewhere" {
		h.Others = append(h.Others, Elsewhere{Name: value})
		return
	}
	if len(h.Others) == 0 {
		return
	}
	o := &h.Others[len(h.Others)-1]
	switch name {
	case "elsewhere-enc":
		if session.Encode(o.Name) != value {
			o.Name = ""
		}
	case "elsewhere-machine":
		o.Machine = value
	case "elsewhere-node":
		node, port, _ := strings.Cut(value, ":")
		if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 65536 && hostForm().MatchString(node) {
			o.Node, o.Port = node, n
		}
	case "elsewhere-spec":
		var s spec
		if json.Unmarshal([]byte(value), &s) == nil && s.Kind == kindJupyter {
			o.Dir, o.Reached = s.Dir, s.Reached
		}
	case "elsewhere-gone":
		o.Gone = value != ""
	}
}
