package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"nbremote/internal/config"
	"nbremote/internal/holder"
	"nbremote/jupyter"
)

// statusWith is a host with pages, each opened by the ways it was named.
func statusWith(t *testing.T, pages map[string][]where, order ...string) holder.Status {
	t.Helper()
	var s holder.Status
	for _, name := range order {
		kept := info{Server: &jupyter.Server{Session: name}}
		for _, w := range pages[name] {
			kept.Asked = append(kept.Asked, namedAs(w))
		}
		raw, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		s.Pages = append(s.Pages, holder.Page{PageSpec: holder.PageSpec{Session: name, Info: raw}})
	}
	return s
}

// A session that was named is found by its name, and is not what a host alone
// or a directory alone means: open and url must not take whichever comes first.
func TestFindPage_NamedSessionIsNotTheDefault(t *testing.T) {
	pages := map[string][]where{
		"exp":  {{Session: "exp"}},
		"main": {{}},
		"proj": {{Path: "~/proj"}},
		"two":  {{Session: "two", Path: "~/proj"}},
	}
	for _, order := range [][]string{{"exp", "main", "proj", "two"}, {"two", "proj", "main", "exp"}} {
		s := statusWith(t, pages, order...)
		for _, c := range []struct {
			w    where
			want string
		}{
			{where{}, "main"},
			{where{Session: "exp"}, "exp"},
			{where{Session: "main"}, "main"},
			{where{Path: "~/proj"}, "proj"},
			{where{Session: "two"}, "two"},
			{where{Session: "two", Path: "~/proj"}, "two"},
			{where{Session: "two", Path: "~/other"}, ""},
			{where{Path: "~/other"}, ""},
			{where{Session: "gone"}, ""},
		} {
			page, _, ok := findPage(s, c.w)
			if page.Session != c.want || ok != (c.want != "") {
				t.Errorf("%v: %+v is %q, want %q", order, c.w, page.Session, c.want)
			}
		}
	}
	// Named, it is the default all the same.
	s := statusWith(t, map[string][]where{"main": {{Session: "main"}}, "a": {{Session: "a"}}}, "a", "main")
	if page, _, _ := findPage(s, where{}); page.Session != "main" {
		t.Errorf("the host alone is %q, want main", page.Session)
	}
}

// The address of a host alone is that of the only session, where there is just
// one; of several it is a mistake to pick.
func TestOnlyPage(t *testing.T) {
	one := statusWith(t, map[string][]where{"exp": {{Session: "exp"}}}, "exp")
	if page, _, err := pageOfHost(one, where{Host: "gpu1"}); err != nil || page.Session != "exp" {
		t.Errorf("got %q, %v", page.Session, err)
	}
	two := statusWith(t, map[string][]where{"a": {{Session: "a"}}, "b": {{Session: "b"}}}, "a", "b")
	if _, _, err := pageOfHost(two, where{Host: "gpu1"}); classOf(err) != "not-found" || err.Error() != "find gpu1: it has a, b open here, and no main" {
		t.Errorf("got %v", err)
	}
	if _, _, err := pageOfHost(one, where{Host: "gpu1", Session: "main"}); classOf(err) != "not-found" {
		t.Errorf("got %v", err)
	}
}

// What only a start can heed is named when nothing is started; the environment
// of the settings was not typed.
func TestOpen_NamesWhatComesTooLate(t *testing.T) {
	runs := &jupyter.Server{UI: "lab"}
	for _, c := range []struct {
		cmd  openCmd
		want string
	}{
		{openCmd{UI: "lab"}, ""},
		{openCmd{UI: "lab", Env: "ds"}, "--env"},
		{openCmd{UI: "notebook", Setenv: []string{"A=1"}, args: []string{"--x"}}, "--setenv, --ui, what stands after --"},
		{openCmd{IdleTimeout: time.Hour}, "--idle-timeout"},
	} {
		c.cmd.ConnectTimeout, c.cmd.StartTimeout = time.Second, time.Second
		if err := c.cmd.check(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.cmd.forStart(runs), ", "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.cmd, got, c.want)
		}
	}
	c := openCmd{ConnectTimeout: time.Second, StartTimeout: time.Second}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	c.Env = "ds" // of the settings
	if got := c.forStart(runs); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

// The name of a session that open starts is one that run would take: others see
// it in their lists, and a newline there makes two of it.
func TestOpen_RefusesNamesThatCannotBeShown(t *testing.T) {
	a := &app{config: &config.Config{}}
	for _, c := range []openCmd{
		{Host: "gpu1", Name: "a\nb"}, {Host: "gpu1/a\x1b[31m"}, {Host: "gpu1", Name: "a/b"}, {Host: "gpu1/" + strings.Repeat("a", 101)},
	} {
		if _, err := c.where(a); classOf(err) != "usage" || len(err.Error()) > 300 {
			t.Errorf("%q %q: %v", c.Host, c.Name, err)
		}
	}
	for _, c := range []openCmd{{Host: "gpu1", Name: "a b"}, {Host: "gpu1/ünïcode"}, {Host: "gpu1"}} {
		if _, err := c.where(a); err != nil {
			t.Errorf("%q %q: %v", c.Host, c.Name, err)
		}
	}
}
