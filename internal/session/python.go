package session

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"nbremote/internal/environ"
	"nbremote/internal/remote"
)

//go:embed python.sh
var pythonText string

// Python is the one that a script would be run by.
type Python struct {
	Path  string   `json:"path"`  // "" = there is none, or it does not run
	Place string   `json:"place"` // the environment that it is of, else Path
	Whole bool     `json:"whole"` // Place is an environment
	Lacks []string `json:"lacks"` // of the modules asked about
}

// ask is a Python's answer, for modules that are its arguments. What lies in the
// directory is none.
const ask = `import importlib.util, json, os, sys
sys.path = [p for p in sys.path if p]
whole = sys.prefix != sys.base_prefix or os.path.isdir(os.path.join(sys.prefix, "conda-meta"))
print("\n" + json.dumps({"path": sys.executable, "place": sys.prefix if whole else sys.executable, "whole": whole,
	"lacks": [m for m in sys.argv[1:] if importlib.util.find_spec(m) is None]}))`

// FindPython asks the Python that Argv begins with, in the script's directory and
// environment, which of the modules it lacks. Nothing is started. A file of Here
// that is not there is an error, as for Begin.
func FindPython(ctx context.Context, r remote.Runner, s Script, modules ...string) (*Python, error) {
	probe := s
	probe.Argv = append([]string{s.Argv[0], "-c", ask}, modules...)
	var b strings.Builder
	b.WriteString(remote.Prelude + Place + remote.Compact(beginText) + remote.Compact(environ.Activate) + remote.Compact(environ.Login))
	b.WriteString("R_DIR=" + remote.Quote(s.Dir) + "\n" + s.place() + "r_enter() {\n" + probe.enter() + "exec \"$@\"\n}\n" + remote.Compact(pythonText))
	out, err := r.Run(ctx, b.String())
	var said *remote.ScriptError
	switch {
	case errors.As(err, &said) && said.Class() == "only-here":
		return nil, &OnlyHereError{Path: said.Error()}
	case errors.As(err, &said):
		return nil, said
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w", s.Argv[0], err)
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.Argv[0], err)
	}
	p := &Python{}
	for _, f := range fields {
		if at := bytes.LastIndexByte(f.Value, '\n'); f.Name == "python" && json.Unmarshal(f.Value[at+1:], p) != nil {
			p = &Python{}
		}
	}
	return p, nil
}
