package kernel

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"nbremote/internal/remote"
)

//go:embed list.sh
var listText string

//go:embed check.sh
var checkText string

//go:embed remove.sh
var removeText string

const (
	specsLimit = 1000    // of one answer
	bodyLimit  = 4 << 20 // bytes of one answer
	argvLimit  = 200     // words of one kernelspec
)

// Spec is a kernelspec. Interpreter, Kind, Prefix, Python and IPykernel are
// what it says itself until Check has looked.
type Spec struct {
	Name        string            `json:"name"`
	Dir         string            `json:"dir,omitempty"` // "" = only a server knows
	DisplayName string            `json:"display_name"`
	Language    string            `json:"language"`
	Argv        []string          `json:"argv"`
	Env         map[string]string `json:"env,omitempty"`
	Interpreter string            `json:"interpreter,omitempty"`
	Kind        string            `json:"kind,omitempty"`
	Prefix      string            `json:"prefix,omitempty"`
	Python      string            `json:"python,omitempty"`
	IPykernel   string            `json:"ipykernel,omitempty"`
	Broken      string            `json:"broken,omitempty"`
	Shadowed    bool              `json:"shadowed,omitempty"` // another of that name comes first
	Ours        bool              `json:"ours"`
	Added       time.Time         `json:"added,omitzero"`
	Debugger    bool              `json:"debugger,omitempty"`
}

// specFile is a kernel.json, whoever wrote it: each part may be anything.
type specFile struct {
	Argv        json.RawMessage `json:"argv"`
	DisplayName json.RawMessage `json:"display_name"`
	Language    json.RawMessage `json:"language"`
	Env         json.RawMessage `json:"env"`
	Metadata    json.RawMessage `json:"metadata"`
}

// parseSpec takes what makes sense and says in Broken when that is too little.
func parseSpec(name, dir string, b []byte) Spec {
	s := Spec{Name: name, Dir: dir}
	var f specFile
	if err := json.Unmarshal(b, &f); err != nil {
		s.Broken = "its kernel.json is no JSON object"
		return s
	}
	_ = json.Unmarshal(f.DisplayName, &s.DisplayName)
	_ = json.Unmarshal(f.Language, &s.Language)
	var argv []string
	if json.Unmarshal(f.Argv, &argv) != nil || len(argv) == 0 || argv[0] == "" || len(argv) > argvLimit {
		s.Broken = "its kernel.json says nothing to start"
	} else {
		s.Argv = argv
	}
	var env map[string]string
	if json.Unmarshal(f.Env, &env) == nil {
		s.Env = env
	}
	var debugger struct {
		Debugger bool `json:"debugger"`
	}
	_ = json.Unmarshal(f.Metadata, &debugger)
	s.Debugger = debugger.Debugger
	var meta struct {
		Ours *metadata `json:"nbremote"`
	}
	if json.Unmarshal(f.Metadata, &meta) == nil && meta.Ours != nil {
		m := meta.Ours
		s.Ours, s.Kind, s.Prefix, s.Python, s.IPykernel = true, m.Kind, m.Prefix, m.Python, m.IPykernel
		s.Added, _ = time.Parse(time.RFC3339, m.Added)
	}
	s.interpret()
	return s
}

// interpret finds the interpreter in argv, also behind what Add puts around it.
func (s *Spec) interpret() {
	argv := s.Argv
	at := slices.Index(argv, "nbremote")
	switch {
	case len(argv) == 0:
		return
	case at == 3 && len(argv) > 4 && path.Base(argv[4]) != "sh":
		argv = argv[4:]
	case at > 0 && s.Env["NBREMOTE_WORD0"] != "":
		argv = []string{strings.ReplaceAll(s.Env["NBREMOTE_WORD0"], "$$", "$")}
	}
	if !s.pythonic() || s.uv() {
		return
	}
	s.Interpreter = argv[0]
	if s.Prefix == "" && path.IsAbs(s.Interpreter) && path.Base(path.Dir(s.Interpreter)) == "bin" {
		s.Prefix = path.Dir(path.Dir(s.Interpreter))
	}
}

// pythonic holds for what ipykernel runs.
func (s *Spec) pythonic() bool {
	return slices.ContainsFunc(s.Argv, func(word string) bool { return strings.Contains(word, "ipykernel") })
}

func (s *Spec) uv() bool {
	at := slices.Index(s.Argv, "run")
	return at > 0 && path.Base(s.Argv[at-1]) == "uv"
}

// Kernelspecs reads every kernelspec on disk where a Jupyter of the account
// looks, and in dirs (absolute folders named kernels, e.g. of the environment
// that Jupyter itself runs in): one script, at most 500.
func Kernelspecs(ctx context.Context, r remote.Runner, dirs ...string) ([]Spec, error) {
	var more strings.Builder
	more.WriteString("l_more() {\n:\n")
	for _, dir := range dirs {
		more.WriteString("l_folder " + quote(dir) + "\n")
	}
	more.WriteString("}\n")
	out, err := r.Run(ctx, script(more.String()+listText))
	if err != nil {
		return nil, err
	}
	return readSpecs(out)
}

func readSpecs(out []byte) ([]Spec, error) {
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("read the kernelspecs: %w", err)
	}
	var specs []Spec
	dirs, names := map[string]bool{}, map[string]bool{}
	dir := ""
	for _, f := range fields {
		switch f.Name {
		case "dir":
			dir = string(f.Value)
		case "spec", "long":
			name := strings.ToLower(path.Base(dir))
			if dir == "" || dirs[dir] || !utf8.ValidString(dir) {
				continue
			}
			s := Spec{Name: name, Dir: dir, Broken: "its kernel.json is empty or longer than 64 KiB"}
			if f.Name == "spec" {
				s = parseSpec(name, dir, f.Value)
			}
			s.Shadowed = names[name]
			dirs[dir], names[name] = true, true
			specs = append(specs, s)
		}
	}
	return specs, nil
}

// ParseKernelspecs reads the answer of /api/kernelspecs. An entry that makes
// no sense is left out.
func ParseKernelspecs(body []byte) ([]Spec, error) {
	if len(body) > bodyLimit {
		return nil, fmt.Errorf("read Jupyter's kernelspecs: more than %d bytes", bodyLimit)
	}
	var all struct {
		Kernelspecs map[string]json.RawMessage `json:"kernelspecs"`
	}
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("read Jupyter's kernelspecs: %v", err)
	}
	var specs []Spec
	for name, one := range all.Kernelspecs {
		var entry struct {
			Spec json.RawMessage `json:"spec"`
		}
		if len(name) > 255 || name == "" || strings.HasPrefix(name, trialPrefix) || json.Unmarshal(one, &entry) != nil || entry.Spec == nil {
			continue
		}
		specs = append(specs, parseSpec(name, "", entry.Spec))
	}
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	return specs[:min(len(specs), specsLimit)], nil
}

// Check looks what has become of each: one script, in which no Python starts.
// It fills in Kind, Python, IPykernel and Broken.
func Check(ctx context.Context, r remote.Runner, specs []Spec) error {
	var b strings.Builder
	b.WriteString(checkText)
	for i, s := range specs {
		// Jupyter takes a bare python for its own.
		if s.Broken != "" || len(s.Argv) == 0 || barePython(s.Argv[0]) {
			continue
		}
		pythonic := ""
		if s.pythonic() {
			pythonic = "1"
		}
		fmt.Fprintf(&b, "c_one %d %s %s %s %s\n", i, quote(s.Argv[0]), quote(s.Interpreter), quote(s.Prefix), quote(pythonic))
	}
	out, err := r.Run(ctx, script(b.String()))
	if err != nil {
		return err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return fmt.Errorf("read what became of the kernelspecs: %w", err)
	}
	at := -1
	for _, f := range fields {
		if f.Name == "spec" {
			at, err = strconv.Atoi(string(f.Value))
			if err != nil || at < 0 || at >= len(specs) {
				at = -1
			}
		} else if at >= 0 {
			specs[at].found(f.Name, string(f.Value))
		}
	}
	return nil
}

// barePython holds for what jupyter_client replaces by its own interpreter.
func barePython(word string) bool {
	rest, ok := strings.CutPrefix(word, "python")
	return ok && (rest == "" || strings.Trim(rest, "0123456789.") == "")
}

func (s *Spec) found(name, value string) {
	switch name {
	case "noargv0":
		s.Broken = value + " is gone"
	case "nopython":
		s.Broken = "its Python " + value + " is gone"
	case "kind":
		if s.Kind == "" {
			s.Kind = value
		}
	case "python":
		if value != "" {
			s.Python = value
		}
	case "ipykernel":
		if value != "" {
			s.IPykernel = value
		}
	case "noipykernel":
		s.IPykernel, s.Broken = "", "ipykernel is not installed there any more"
	}
}

// Remove removes a kernelspec's directory. One that is not the account's, is a
// link or cannot be removed is an error with a class, and stays whole.
func Remove(ctx context.Context, r remote.Runner, s Spec) error {
	parent, base := path.Split(s.Dir)
	if !path.IsAbs(s.Dir) || path.Clean(s.Dir) != s.Dir || path.Base(parent) != "kernels" || !strings.EqualFold(base, s.Name) {
		return &UsageError{What: fmt.Sprintf("remove kernel %s: %q is no kernelspec's directory", s.Name, s.Dir), Try: "nbremote kernel list"}
	}
	_, err := r.Run(ctx, script(removeText, "R_NAME", s.Name, "R_DIR", s.Dir, "R_NONCE", remote.NewNonce()))
	return err
}
