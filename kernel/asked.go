package kernel

import (
	"path"
	"slices"
	"strings"
)

// choose sets what was asked for: the environments of that name, and what was
// found at the path.
func (p *found) choose(asked string, listed, there []seen) {
	for i, s := range there {
		// The list knows better what an environment is, but not whose, nor by
		// which of its names a Python was asked for.
		at := slices.IndexFunc(listed, func(l seen) bool { return l.key() == s.key() })
		if at >= 0 && s.Project == "" && s.Kind != "python" {
			there[i] = listed[at]
		}
	}
	known := map[string]bool{}
	for _, s := range append(there, named(listed, asked)...) {
		if !known[s.key()] {
			known[s.key()] = true
			p.Asked = append(p.Asked, s.Environment)
		}
	}
	if len(p.Asked) == 0 {
		p.notThere(asked)
	}
}

// named are the environments of a name: those written just so, else those
// that differ in upper and lower case.
func named(listed []seen, name string) []seen {
	if strings.Contains(name, "/") {
		return nil
	}
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		var out []seen
		for _, e := range listed {
			if same(name, e.Name) || same(name, e.Kind+" "+e.Name) || e.Kind == "poetry" && same(name, path.Base(e.Prefix)) {
				out = append(out, e)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// makes is what makes the environment of a project.
var makes = map[string]string{"uv": "uv sync", "poetry": "poetry install", "pixi": "pixi install", "hatch": "hatch env create", "venv": "python3 -m venv .venv"}

func (p *found) notThere(asked string) {
	at := p.Short(p.noAt)
	switch p.no {
	case "":
		p.NotThere = "there is no environment of that name, and no such path"
		if strings.Contains(asked, "/") {
			p.NotThere = "no such file or directory"
		}
	case "closed":
		p.NotThere = "no permission to enter " + at
	case "shim":
		p.NotThere = at + " is a shim: name the version or the environment that it stands for"
	case "gone":
		p.NotThere = at + " is a link to a Python that is gone"
	case "venv":
		p.NotThere = "there is no environment in " + at
	case "uv", "poetry", "pixi", "hatch":
		p.NotThere = "the " + p.no + " project " + at + " has no environment yet: " + makes[p.no]
		if p.Tools[p.no] == "" {
			p.NotThere += ", which this host seems to lack"
		}
	default:
		p.NotThere = at + " is neither an environment nor a Python"
	}
	if makes[p.no] != "" && p.noAt != "" {
		p.Try = "cd " + shown(at) + " && " + makes[p.no]
	}
}
