package kernel

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"nbremote/internal/remote"
)

//go:embed install.sh
var installText string

// Offer is a way to get packages into an environment.
type Offer struct {
	Key     string `json:"key"`     // uv, with, uv-pip, poetry, pixi, conda, pip, ensurepip
	Text    string `json:"text"`    // "uv add --dev ipykernel"
	Command string `json:"command"` // to paste on the host; "" = nothing is installed: set Wish.With
	Note    string `json:"note,omitempty"`

	dir      string
	argv     [][]string
	packages []string
}

// ipykernel is what kernels of Python need.
const ipykernel = "ipykernel"

func offer(key, text, dir string, argv ...[]string) Offer {
	var lines []string
	if dir != "" {
		lines = append(lines, "cd "+shown(dir))
	}
	for _, words := range argv {
		typed := make([]string, len(words))
		for i, word := range words {
			typed[i] = shown(word)
		}
		lines = append(lines, strings.Join(typed, " "))
	}
	return Offer{Key: key, Text: text, Command: strings.Join(lines, " && "), dir: dir, argv: argv}
}

// Offers are the ways to install packages, ipykernel where none is named, the
// best first: that of the tool which manages the environment, so that it does
// not undo it. None: nothing there can install.
func Offers(env Environment, packages ...string) (all []Offer) {
	tool, name := env.Tool, path.Base(env.Tool)
	if tool == "" {
		name = ""
	}
	if len(packages) == 0 {
		packages = []string{ipykernel}
	}
	list := strings.Join(packages, " ")
	by := func(words ...string) []string { return append(words, packages...) }
	switch {
	case env.Kind == "uv" && env.Project != "" && name == "uv":
		all = append(all, offer("uv", "uv add --dev "+list, env.Project, by(tool, "add", "--dev")))
		if list == ipykernel {
			all = append(all, Offer{Key: "with", Text: "uv run --with ipykernel", Note: "nothing is added to the project"})
		}
	case env.Kind == "poetry" && env.Project != "" && tool != "":
		all = append(all, offer("poetry", "poetry add --group dev "+list, env.Project, by(tool, "add", "--group", "dev")))
	case env.Kind == "pixi" && env.Project != "" && tool != "":
		all = append(all, offer("pixi", "pixi add "+list, env.Project, by(tool, "add")))
	case env.Kind == "conda" && tool != "":
		all = append(all, offer("conda", name+" install -y -p "+shown(env.Prefix)+" "+list, "", by(tool, "install", "-y", "-p", env.Prefix)))
	}
	if name == "uv" && !env.Pip {
		all = append(all, offer("uv-pip", "uv pip install "+list, "", by(tool, "pip", "install", "--python", env.Python)))
	}
	pip := by(env.Python, "-m", "pip", "install")
	switch {
	case env.Pip:
		all = append(all, offer("pip", "pip install "+list, "", pip))
	case len(all) == 0:
		all = append(all, offer("ensurepip", "install pip, then "+list, "", []string{env.Python, "-m", "ensurepip"}, pip))
	}
	for i := range all {
		all[i].packages = packages
		if env.Kind == "hatch" && all[i].Note == "" {
			all[i].Note = "hatch forgets it when it makes the environment anew: add " + list + " to its dependencies"
		}
	}
	return all
}

// InstallError is an installation that did not work.
type InstallError struct {
	Env    string
	What   string   // the packages
	Lines  []string // the last that it printed
	Broken bool     // the line went, not the installation
	err    error
}

func (e *InstallError) Error() string {
	return fmt.Sprintf("install %s into %s: %v", e.What, e.Env, e.err)
}

// Unwrap is how the script ended.
func (e *InstallError) Unwrap() error { return e.err }

// Class is missing, or line.
func (e *InstallError) Class() string {
	if e.Broken {
		return "line"
	}
	return "missing"
}

// Cause is the line that says why.
func (e *InstallError) Cause() string {
	for i := len(e.Lines) - 1; i >= 0; i-- {
		if telling(e.Lines[i]) {
			return e.Lines[i]
		}
	}
	if len(e.Lines) > 0 {
		return e.Lines[len(e.Lines)-1]
	}
	return "it printed nothing"
}

// Hint is what to paste.
func (e *InstallError) Hint() string {
	all := strings.Join(e.Lines, "\n")
	switch {
	case e.Broken:
		return "the same command again"
	case strings.Contains(all, "externally-managed-environment"):
		return "make an environment of your own: python3 -m venv ~/ds"
	case strings.Contains(all, "No module named ensurepip") || strings.Contains(all, "ensurepip is disabled"):
		return "sudo apt install python3-venv, or install uv there"
	}
	return ""
}

// Log is the end of what it printed.
func (e *InstallError) Log() string { return strings.Join(e.Lines, "\n") }

// Install runs an offer; progress gets each line as it comes. It is for the
// caller to have asked. An *InstallError says that it did not work.
func Install(ctx context.Context, r interface {
	remote.Runner
	remote.Streamer
}, env Environment, o Offer, progress func(line string)) error {
	what := strings.Join(o.packages, " ")
	if len(o.argv) == 0 {
		return &UsageError{What: "install " + what + ": " + o.Text + " installs nothing", Try: "--with"}
	}
	out, err := r.Stream(ctx, o.script(env))
	if err != nil {
		return fmt.Errorf("install %s: %w", what, err)
	}
	defer out.Close()
	lines, err := remote.Follow(out, wordsLimit, progress)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &InstallError{Env: env.Name, What: what, Lines: lines, Broken: errors.Is(err, io.ErrUnexpectedEOF), err: err}
}

func (o *Offer) script(env Environment) string {
	var b strings.Builder
	b.WriteString("i_run() {\n:")
	for _, words := range o.argv {
		b.WriteString(" &&")
		for _, word := range words {
			b.WriteString(" " + quote(word))
		}
	}
	b.WriteString("\n}\n")
	prefix, dir := env.Prefix, o.dir
	switch env.Kind {
	case "python", "pyenv":
		prefix = "" // it may go into the account's own folder
	}
	if dir == "" {
		dir = "/"
	}
	return script(b.String()+installText, "I_DIR", dir, "I_PREFIX", prefix, "I_PACKAGES", strings.Join(o.packages, " "))
}
