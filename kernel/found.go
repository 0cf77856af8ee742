package kernel

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"nbremote/internal/remote"
)

const (
	maxEnvironments = 400
	maxPath         = 4096
)

var (
	pythonForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[23]\.[0-9]{1,3}(\.[0-9]{1,3}((a|b|rc)[0-9]{1,3})?)?`)
	})
	packageForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9][0-9A-Za-z.+]{0,31}$`) })
)

// found is an answer as it is read, field by field: env begins an environment.
type found struct {
	*Found
	seen    []seen
	tool    string // whose path comes next
	no      string // why a path is no environment
	noAt    string
	done    bool
	current *seen
}

// seen is an environment as the host tells it.
type seen struct {
	Environment
	real    string // its prefix without links; for a bare Python, its interpreter
	uv      bool   // made by uv
	asked   bool
	invalid bool
}

// key is the same for the same environment.
func (s *seen) key() string { return cmp.Or(s.real, s.Prefix) }

// parseEnvironments reads the answer of environments.sh. What makes no sense
// is left out; the rest counts.
func parseEnvironments(out []byte, asked string) (*Found, error) {
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("read what the host answers: %w", err)
	}
	p := &found{Found: &Found{Tools: map[string]string{}}}
	for _, f := range fields {
		p.field(f.Name, string(f.Value))
	}
	if !p.done || p.Home == "" {
		return nil, fmt.Errorf("read what the host answers: it broke off")
	}
	p.environment("")
	p.finish(asked)
	return p.Found, nil
}

func (p *found) field(name, value string) {
	switch name {
	case "home":
		p.Home = absolute(value)
	case "uid":
		p.UID, _ = strconv.Atoi(value)
	case "dir":
		p.Dir = absolute(value)
	case "tool":
		p.tool = value
	case "tool-path":
		if at := absolute(value); at != "" && readable(p.tool) != "" {
			p.Tools[p.tool] = at
		}
	case "cut":
		p.Cut = true
	case "no":
		if p.no == "" {
			p.no, p.noAt = value, ""
		}
	case "no-at":
		p.noAt = cmp.Or(p.noAt, absolute(value))
	case "done":
		p.done = true
	case "env":
		p.environment(value)
	default:
		if p.current != nil {
			p.current.field(name, value)
		}
	}
}

// environment ends the environment before, and begins the one at prefix.
func (p *found) environment(prefix string) {
	if s := p.current; s != nil && !s.invalid && s.Kind != "" && s.Python != "" {
		s.Name = cmp.Or(s.Name, path.Base(s.Prefix))
		p.seen = append(p.seen, *s)
	}
	p.current = &seen{invalid: absolute(prefix) == ""}
	p.current.Prefix = prefix
}

func (s *seen) field(name, value string) {
	switch name {
	case "kind":
		s.Kind = readable(value)
	case "name":
		s.Name = readable(value)
	case "real":
		s.real = absolute(value)
	case "python":
		s.Python = absolute(value)
	case "project":
		s.Project = absolute(value)
	case "version":
		s.Version = pythonForm().FindString(value)
	case "ipykernel":
		s.IPykernel = packageVersion(value)
	case "manager":
		s.Tool = absolute(value)
	case "broken":
		s.Broken = cmp.Or(readable(value), "it has no Python")
	case "pip":
		s.Pip = true
	case "uv":
		s.uv = true
	case "asked":
		s.asked = true
	}
}

// absolute is value if it is a path that can be used, else "".
func absolute(value string) string {
	if !path.IsAbs(value) || len(value) > maxPath {
		return ""
	}
	return readable(value)
}

// readable is value if it can be shown and sent on, else "".
func readable(value string) string {
	if len(value) > 2*maxPath || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return ""
	}
	return value
}

// packageVersion reads ipykernel-7.4.0.dist-info and ipykernel-5.5.6-py3.6.egg-info.
func packageVersion(name string) string {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".dist-info"), ".egg-info")
	_, version, _ := strings.Cut(name, "-")
	version, _, _ = strings.Cut(version, "-py")
	return packageForm().FindString(version)
}

// finish puts together what the fields told one by one.
func (p *found) finish(asked string) {
	var listed, there []seen // there: what was asked for by a path
	known := map[string]bool{}
	for _, s := range p.seen {
		p.complete(&s)
		switch {
		case s.asked:
			there = append(there, s)
		case known[s.key()]:
		case len(listed) > maxEnvironments:
			p.Cut = true
		default:
			known[s.key()] = true
			listed = append(listed, s)
		}
	}
	slices.SortStableFunc(listed, p.compare)
	for _, s := range listed {
		p.Environments = append(p.Environments, s.Environment)
	}
	if asked != "" {
		p.choose(asked, listed, there)
	}
}

// complete adds what follows from what was told.
func (p *found) complete(s *seen) {
	if strings.HasPrefix(s.Version, "2.") && s.Broken == "" {
		s.Broken = "Python 2"
	}
	switch {
	case s.Tool != "":
	case s.Kind == "conda":
		s.Tool = cmp.Or(p.Tools["conda"], p.Tools["mamba"], p.Tools["micromamba"])
	case s.Kind == "venv" && s.uv:
		s.Tool = p.Tools["uv"]
	default:
		s.Tool = p.Tools[s.Kind]
	}
}

func (p *found) compare(a, b seen) int {
	rank := func(e seen) int {
		switch {
		case e.Project != "" && e.Project == p.Dir:
			return 0
		case e.Kind == "python":
			return 2
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.Prefix, b.Prefix))
}
