package jupyter

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Install is a Jupyter that can be started.
type Install struct {
	Name     string `json:"name"` // "conda base", "ds", ".venv"
	Kind     string `json:"kind"` // conda, venv, project, pipx, uv, ours, pyenv, path
	Prefix   string `json:"prefix"`
	Python   string `json:"python"`
	Lab      string `json:"lab,omitempty"` // versions, "" = not there
	Notebook string `json:"notebook,omitempty"`
	Server   string `json:"server,omitempty"`
	Kernel   string `json:"ipykernel,omitempty"`

	programs []string // jupyter-lab, jupyter-notebook, jupyter-server: those there
	onPath   bool
	asked    bool // --env means this one
}

// String is "JupyterLab 4.6.6 in conda base".
func (i Install) String() string {
	what := "Jupyter"
	switch {
	case i.has("lab"):
		what = strings.TrimSpace("JupyterLab " + i.Lab)
	case i.has("notebook"):
		what = strings.TrimSpace("Jupyter Notebook " + i.Notebook)
	case i.has("server"):
		what = strings.TrimSpace("Jupyter Server " + i.Server)
	}
	return what + " in " + i.Name
}

// has tells whether the program of a user interface is there.
func (i Install) has(ui string) bool { return slices.Contains(i.programs, "jupyter-"+ui) }

// runs tells whether anything of Jupyter is there.
func (i Install) runs() bool { return len(i.programs) > 0 }

// order is the rank of kinds: what is nearest to the project and to the user
// comes first, what the system brought last.
var order = []string{"project", "conda base", "venv", "conda", "ours", "uv", "pipx", "pyenv", "path"}

func (i Install) rank(home string) int {
	kind := i.Kind
	if kind == "conda" && i.Name == "conda base" {
		kind = i.Name
	}
	rank := slices.Index(order, kind) * 10
	switch {
	case rank < 0:
		rank = len(order) * 10
	case i.Kind == "project":
	case i.onPath && strings.HasPrefix(i.Prefix, home+"/"):
		rank = 5 // what the user's shell would run
	}
	if !i.has("lab") {
		rank += 200
	}
	return rank
}

// sortInstalls puts the one to take first.
func sortInstalls(list []Install, home string) {
	slices.SortStableFunc(list, func(a, b Install) int { return cmp.Compare(a.rank(home), b.rank(home)) })
}

// Pick is the Jupyter to start: the one of the environment env (a name or a
// path), else the best. None is a *MissingError.
func (h *Host) Pick(env string) (Install, error) {
	if env == "" {
		if len(h.Installs) > 0 {
			return h.Installs[0], nil
		}
		return Install{}, &MissingError{What: "none", Looked: h.looked(), Try: "-y installs it; or --env PATH"}
	}
	for _, i := range slices.Concat(h.Installs, h.bare) {
		if !i.asked && i.Name != env && i.Name != "conda "+env && i.Prefix != strings.TrimSuffix(env, "/") {
			continue
		}
		if i.runs() {
			return i, nil
		}
		return Install{}, &MissingError{
			What: fmt.Sprintf("the environment %s has none", env),
			Try:  path.Join(i.Prefix, "bin/python") + " -m pip install jupyterlab ipykernel" + h.others(),
		}
	}
	return Install{}, &MissingError{
		What:   fmt.Sprintf("no environment %s", env),
		Looked: h.looked(), Try: "--env PATH" + h.others(),
	}
}

func (h *Host) looked() string {
	return "PATH, conda, ~/.venv, the project's .venv, ~/.virtualenvs, pipx, uv, pyenv, ~/*/bin"
}

func (h *Host) others() string {
	var names []string
	for _, i := range h.Installs[:min(len(h.Installs), 5)] {
		names = append(names, i.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return ", or --env with one of: " + strings.Join(names, ", ")
}

// versions reads names such as jupyterlab-4.6.6.dist-info.
func (i *Install) versions(names string) {
	for name := range strings.Lines(names) {
		name = strings.TrimSuffix(strings.TrimSpace(name), "-info")
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".dist"), ".egg")
		pkg, version, ok := strings.Cut(name, "-")
		version, _, _ = strings.Cut(version, "-py")
		if !ok || !versionForm().MatchString(version) {
			continue
		}
		switch strings.ReplaceAll(pkg, "_", "-") {
		case "jupyterlab":
			i.Lab = version
		case "notebook":
			i.Notebook = version
		case "jupyter-server":
			i.Server = version
		case "ipykernel":
			i.Kernel = version
		}
	}
}
