package ide

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/tailscale/hujson"
)

// tasksFile is a tasks.json that holds nothing else.
type tasksFile struct {
	Version string `json:"version"`
	Tasks   []task `json:"tasks"`
}

// task is one of tasks.json, by "Schema for tasks.json" in the manual of VS
// Code (docs/reference/tasks-appendix).
type task struct {
	Label          string       `json:"label"`
	Detail         string       `json:"detail"`
	Type           string       `json:"type"`
	Command        string       `json:"command"`
	Args           []string     `json:"args"`
	IsBackground   bool         `json:"isBackground,omitempty"`
	Presentation   presentation `json:"presentation"`
	ProblemMatcher any          `json:"problemMatcher"`
}

// presentation: the terminal is shown, because a sign-in may ask there.
type presentation struct {
	Reveal string `json:"reveal"`
	Focus  bool   `json:"focus,omitempty"`
	Panel  string `json:"panel"`
	Group  string `json:"group,omitempty"`
}

type matcher struct {
	Owner      string     `json:"owner"`
	Source     string     `json:"source"`
	Pattern    pattern    `json:"pattern"`
	Background background `json:"background"`
}

type pattern struct {
	Regexp   string `json:"regexp"`
	Kind     string `json:"kind"`
	File     int    `json:"file"`
	Severity int    `json:"severity"`
	Message  int    `json:"message"`
}

type background struct {
	ActiveOnStart bool   `json:"activeOnStart"`
	BeginsPattern string `json:"beginsPattern"`
	EndsPattern   string `json:"endsPattern"`
}

// lines matches what --progress=plain prints. A problem needs a file; there is
// none, so it is listed under the word nbremote. An error must not match
// endsPattern: VS Code looks for problems only in lines that begin and end
// nothing, and a preLaunchTask that has ended without a problem is taken for a
// success. What ends after an error is the process.
var lines = matcher{
	Owner: "nbremote", Source: "nbremote",
	Pattern: pattern{Regexp: "^(nbremote): (error|warning): (.+)$", Kind: "file", File: 1, Severity: 2, Message: 3},
	Background: background{
		ActiveOnStart: true,
		BeginsPattern: "^nbremote: starting ",
		EndsPattern:   "^nbremote: ready ",
	},
}

var details = map[string]string{
	"open": "Find or start Jupyter there; runs until it is terminated, Jupyter runs on",
	"url":  "Put the address with its token on the clipboard",
	"stop": "End Jupyter there",
}

// Label is the name of a task; launch.json may give that of "open" as its
// preLaunchTask.
func Label(action, where string) string { return "nbremote: " + action + " " + where }

func tasks(where string) []task {
	all := []task{}
	for _, a := range actions(where) {
		t := task{
			Label: Label(a.name, where), Detail: details[a.name], Type: "process", Command: "nbremote", Args: a.args,
			Presentation: presentation{Reveal: "always", Focus: true, Panel: "shared"}, ProblemMatcher: []any{},
		}
		if a.name == "open" {
			t.IsBackground, t.ProblemMatcher = true, lines
			t.Presentation = presentation{Reveal: "always", Panel: "dedicated", Group: "nbremote"}
		}
		all = append(all, t)
	}
	return all
}

// VSCode is what VS Code and the editors made from it need to work with where
// (HOST, HOST/NAME or HOST:PATH), and what debugs programs at debugs (HOST or
// HOST:DIR), unless that is "".
func VSCode(where, debugs string) ([]File, error) {
	if err := errors.Join(check(where), check(debugs)); err != nil {
		return nil, err
	}
	all := tasks(where)
	if debugs != "" {
		all = append(all, debugTask(debugs))
	}
	files := []File{{Path: ".vscode/tasks.json", Merge: func(existing []byte) (Merged, error) { return mergeTasks(existing, all) }}}
	if debugs != "" {
		files = append(files, File{Path: ".vscode/launch.json", Merge: func(existing []byte) (Merged, error) { return mergeLaunch(existing, debugs) }})
	}
	return files, nil
}

// mergeTasks adds the tasks whose labels the file does not have.
func mergeTasks(existing []byte, all []task) (Merged, error) {
	list := list{key: "tasks", version: "2.0.0", named: "label"}
	for _, t := range all {
		list.add(t.Label, t)
	}
	return list.merge(existing, tasksFile{"2.0.0", all})
}

// list is what a file of VS Code is to hold in its list of that key.
type list struct {
	key, version string
	named        string // the key of an element's name
	names        []string
	values       []any
}

func (l *list) add(name string, value any) {
	l.names, l.values = append(l.names, name), append(l.values, value)
}

// merge adds the elements whose names the file does not have. All that is there
// stays byte for byte; whole is a file that holds nothing else.
func (l *list) merge(existing []byte, whole any) (Merged, error) {
	if len(bytes.TrimSpace(bytes.TrimPrefix(existing, bom))) == 0 {
		d := document{nl: "\n", unit: "    "}
		return Merged{Content: append(d.render(whole, ""), '\n'), Changed: true}, nil
	}
	d, err := parse(existing)
	if err != nil {
		return Merged{}, err
	}
	if err := d.checkVersion(l.version); err != nil {
		return Merged{}, err
	}
	there, ok := d.member(d.root, l.key)
	if !ok {
		return Merged{Content: d.addMember(d.root, l.key, l.values), Changed: true}, nil
	}
	array, ok := there.Value.(*hujson.Array)
	if !ok {
		return Merged{}, d.errorAt(there.StartOffset, "%q is not a list", l.key)
	}
	m, missing := Merged{Content: existing}, []any{}
	for i, value := range l.values {
		switch d.find(array, l.named, l.names[i], value) {
		case absent:
			missing = append(missing, value)
		case different:
			m.Kept = append(m.Kept, l.names[i])
		}
	}
	if len(missing) > 0 {
		m.Content, m.Changed = d.addElements(there, array, missing), true
	}
	return m, nil
}

// checkVersion wants the version that our elements are of: earlier ones mean
// something else by the same keys.
func (d *document) checkVersion(want string) error {
	version, there := d.member(d.root, "version")
	if !there {
		return d.errorAt(d.value.StartOffset, `no "version": %q`, want)
	}
	if literal, ok := version.Value.(hujson.Literal); !ok || literal.Kind() != '"' || literal.String() != want {
		return d.errorAt(version.StartOffset, `its "version" is not %q`, want)
	}
	return nil
}

type found int

const (
	absent found = iota
	different
	same
)

// find looks for an element by its name.
func (d *document) find(array *hujson.Array, named, name string, value any) found {
	result := absent
	for _, e := range array.Elements {
		object, ok := e.Value.(*hujson.Object)
		if !ok {
			continue
		}
		label, there := d.member(object, named)
		if literal, ok := label.Value.(hujson.Literal); !there || !ok || literal.Kind() != '"' || literal.String() != name {
			continue
		}
		if equal(e, value) {
			return same
		}
		result = different
	}
	return result
}

// equal compares values, not bytes.
func equal(v hujson.Value, value any) bool {
	theirs := v.Clone()
	theirs.Standardize()
	ours, err := json.Marshal(value)
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(theirs.Pack(), &a) == nil && json.Unmarshal(ours, &b) == nil && reflect.DeepEqual(a, b)
}
