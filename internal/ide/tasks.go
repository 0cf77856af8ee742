package ide

import (
	"bytes"
	"encoding/json"
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
// (HOST, HOST/NAME or HOST:PATH). launch.json is none of it: its entries debug
// a program, and name a task to be started before.
func VSCode(where string) ([]File, error) {
	if err := check(where); err != nil {
		return nil, err
	}
	return []File{{Path: ".vscode/tasks.json", Merge: func(existing []byte) (Merged, error) { return mergeTasks(existing, tasks(where)) }}}, nil
}

// mergeTasks adds the tasks whose labels the file does not have. All that is
// there stays byte for byte.
func mergeTasks(existing []byte, all []task) (Merged, error) {
	if len(bytes.TrimSpace(bytes.TrimPrefix(existing, bom))) == 0 {
		d := document{nl: "\n", unit: "    "}
		return Merged{Content: append(d.render(tasksFile{"2.0.0", all}, ""), '\n'), Changed: true}, nil
	}
	d, err := parse(existing)
	if err != nil {
		return Merged{}, err
	}
	if err := d.checkVersion(); err != nil {
		return Merged{}, err
	}
	list, there := d.member(d.root, "tasks")
	if !there {
		return Merged{Content: d.addMember(d.root, "tasks", all), Changed: true}, nil
	}
	array, ok := list.Value.(*hujson.Array)
	if !ok {
		return Merged{}, d.errorAt(list.StartOffset, `"tasks" is not a list`)
	}
	m, missing := Merged{Content: existing}, []any{}
	for _, t := range all {
		switch d.find(array, t) {
		case absent:
			missing = append(missing, t)
		case different:
			m.Kept = append(m.Kept, t.Label)
		}
	}
	if len(missing) > 0 {
		m.Content, m.Changed = d.addElements(list, array, missing), true
	}
	return m, nil
}

// checkVersion wants the version that our tasks are of: earlier ones mean
// something else by the same keys.
func (d *document) checkVersion() error {
	version, there := d.member(d.root, "version")
	if !there {
		return d.errorAt(d.value.StartOffset, `no "version": "2.0.0"`)
	}
	if literal, ok := version.Value.(hujson.Literal); !ok || literal.Kind() != '"' || literal.String() != "2.0.0" {
		return d.errorAt(version.StartOffset, `its "version" is not "2.0.0"`)
	}
	return nil
}

type found int

const (
	absent found = iota
	different
	same
)

// find looks for a task by its label.
func (d *document) find(array *hujson.Array, t task) found {
	result := absent
	for _, e := range array.Elements {
		object, ok := e.Value.(*hujson.Object)
		if !ok {
			continue
		}
		label, there := d.member(object, "label")
		if literal, ok := label.Value.(hujson.Literal); !there || !ok || literal.Kind() != '"' || literal.String() != t.Label {
			continue
		}
		if equal(e, t) {
			return same
		}
		result = different
	}
	return result
}

// equal compares values, not bytes.
func equal(v hujson.Value, t task) bool {
	theirs := v.Clone()
	theirs.Standardize()
	ours, err := json.Marshal(t)
	if err != nil {
		return false
	}
	var a, b any
	return json.Unmarshal(theirs.Pack(), &a) == nil && json.Unmarshal(ours, &b) == nil && reflect.DeepEqual(a, b)
}
