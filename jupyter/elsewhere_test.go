//go:build linux

package jupyter

import (
	"path/filepath"
	"slices"
	"testing"

	"nbremote/test/lab"
)

// Only what was reached by the same address, runs as far as is known and names
// itself truly is told of other machines.
func TestElsewhere(t *testing.T) {
	r, home := newHost(t)
	here := probed(t, r, Look{}) // makes the directories
	if len(here.Others) > 0 {
		t.Fatalf("there are others: %+v", here.Others)
	}
	one := func(machine, enc string, files map[string]string) {
		for name, text := range files {
			lab.Write(t, filepath.Join(home, ".local/share/nbremote/sessions", machine, enc, name), text, 0o600)
		}
	}
	spec := func(dir, reached string) string {
		return `{"kind":"jupyter","dir":"` + dir + `","ui":"lab","install":{},"programs":null,"reached":"` + reached + `"}`
	}
	pid := "7 77 boot node1-12345678\n"
	one("node1-12345678", "main", map[string]string{"name": "main", "pid": pid, "node": "localhost:2222", "spec": spec(home, "login:22")})
	one("node2-12345678", "main", map[string]string{"name": "main", "pid": pid, "node": "no.such.name.invalid:22", "spec": spec("/else", "login:22")})
	one("node3-12345678", "main", map[string]string{"name": "main", "pid": pid, "ended": "1\n", "spec": spec(home, "login:22")})
	one("node4-12345678", "main", map[string]string{"name": "main", "pid": pid, "spec": spec(home, "other:22")})
	one("node5-12345678", "main", map[string]string{"name": "other", "pid": pid, "spec": spec(home, "login:22")})
	one("node6-12345678", "main", map[string]string{"name": "main", "pid": pid, "node": "-oProxyCommand=x:22", "spec": spec(home, "login:22")})
	h := probed(t, r, Look{Reached: "login:22"})
	want := []Elsewhere{
		{Name: "main", Dir: home, Machine: "node1-12345678", Node: "localhost", Port: 2222, Reached: "login:22"},
		{Name: "main", Dir: "/else", Machine: "node2-12345678", Node: "no.such.name.invalid", Port: 22, Reached: "login:22", Gone: true},
	}
	if !slices.Equal(h.Others, want) {
		t.Errorf("got  %+v\nwant %+v", h.Others, want)
	}
	if o := h.Elsewhere(Look{Reached: "login:22"}); o == nil || o.Machine != "node1-12345678" {
		t.Errorf("by its directory: %+v", o)
	}
	if o := h.Elsewhere(Look{Reached: "login:22", Session: "none"}); o != nil {
		t.Errorf("one that there is not: %+v", o)
	}
	if h := probed(t, r, Look{}); len(h.Others) > 0 {
		t.Errorf("not asked for: %+v", h.Others)
	}
}
