package ide

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"nbremote/test/lab"
)

var address = regexp.MustCompile(`token=[0-9A-Za-z_-]|://[^\s"]*:\d`)

// Each asks nbremote, by the host's name as it is whatever stands in it, and
// holds no address.
func TestSnippets_NamesArrive(t *testing.T) {
	lab.Needs(t, "sh")
	for _, where := range []string{"gpu1", "gpu1:~/my proj", `me@h:/it's "a" \ b`, `h:/$(touch pwn)`, "h:/`x`;y", `h:/]])%s--`} {
		for editor, list := range places {
			all, known, err := Snippets(editor, where)
			if !known || err != nil || len(all) != len(list) {
				t.Fatalf("%s: %v, %v", editor, all, err)
			}
			for _, s := range all {
				if found := address.FindString(s.Content); found != "" {
					t.Errorf("%s has %q", editor, found)
				}
				if got := nameIn(t, s); got != where {
					t.Errorf("%s, %s: %q, want %q\n%s", editor, s.Place, got, where, s.Content)
				}
			}
		}
	}
	if _, known, _ := Snippets("vscode", "gpu1"); known {
		t.Error("vscode has files")
	}
	for _, where := range []string{"a\nb", "a\x00", "gpu1:${x}"} {
		if _, known, err := Snippets("emacs", where); !known || err == nil {
			t.Errorf("%q is taken", where)
		}
	}
}

// nameIn is the host that a snippet asks for, as its language reads it.
func nameIn(t *testing.T, s Snippet) string {
	t.Helper()
	switch s.Place {
	case ".zed/tasks.json":
		var tasks []struct {
			Label, Command string
			Args           []string
		}
		if err := json.Unmarshal([]byte(s.Content), &tasks); err != nil || len(tasks) != 2 || tasks[0].Command != "nbremote" || tasks[1].Args[0] != "stop" {
			t.Fatalf("%v: %+v", err, tasks)
		}
		return tasks[0].Args[1]
	case "a shell":
		out, err := exec.Command("sh", "-c", "nbremote() { printf %s \"$2\" >&2; false; }\n"+s.Content).CombinedOutput()
		if err == nil {
			t.Error("it goes on without an address")
		}
		return string(out)
	}
	_, rest, _ := strings.Cut(s.Content, `"url"`)
	m := regexp.MustCompile(`^,? ("(?:[^"\\]|\\.)*")`).FindStringSubmatch(rest)
	if m == nil {
		t.Fatalf("no name in %s", s.Content)
	}
	var name string
	if err := json.Unmarshal([]byte(m[1]), &name); err != nil { // Lua, Lisp and JSON read it alike
		t.Fatal(err)
	}
	return name
}
