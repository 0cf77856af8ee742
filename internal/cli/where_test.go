package cli

import (
	"testing"

	"nbremote/internal/config"
	"nbremote/internal/holder"
)

func TestParseWhere(t *testing.T) {
	for arg, want := range map[string]where{
		"gpu1":                   {Host: "gpu1"},
		"me@gpu1":                {Host: "me@gpu1"},
		"gpu1:2222":              {Host: "gpu1:2222"},
		"gpu1:./2222":            {Host: "gpu1", Path: "./2222"},
		"gpu1/train":             {Host: "gpu1", Session: "train"},
		"gpu1/a/b":               {Host: "gpu1", Session: "a/b"},
		"gpu1:~/proj":            {Host: "gpu1", Path: "~/proj"},
		"gpu1:/data/x y":         {Host: "gpu1", Path: "/data/x y"},
		"gpu1:2222:~/proj":       {Host: "gpu1:2222", Path: "~/proj"},
		"[::1]:22":               {Host: "[::1]:22"},
		"[::1]:22/main":          {Host: "[::1]:22", Session: "main"},
		"gpu1:2222/main":         {Host: "gpu1:2222", Session: "main"},
		"ssh://me@gpu1:2222":     {Host: "ssh://me@gpu1:2222"},
		"ssh://me@gpu1:2222/dat": {Host: "ssh://me@gpu1:2222", Path: "/dat"},
	} {
		got, err := parseWhere(arg)
		if err != nil {
			t.Errorf("%q: %v", arg, err)
			continue
		}
		if got.Session != want.Session || got.Path != want.Path || (got.Host != want.Host && arg[:3] != "ssh") {
			t.Errorf("%q: got %+v, want %+v", arg, got, want)
		}
	}
	for _, arg := range []string{"-oProxyCommand=x", "gpu1/", "a b", "$(x)", "gpu1;x", "me@-x", "gpu1:99999", "gpu1\nx", "`x`", "/", ":x", "@x"} {
		if got, err := parseWhere(arg); err == nil {
			t.Errorf("%q was taken as %+v", arg, got)
		} else if classOf(err) != "usage" {
			t.Errorf("%q: class %q of %v", arg, classOf(err), err)
		}
	}
}

// The directory of the settings is meant by every command, not only by open.
func TestWhere_Settings(t *testing.T) {
	a := &app{config: &config.Config{Hosts: map[string]config.Host{"gpu1": {Dir: "~/proj", Via: []string{"gw"}}}}}
	for arg, want := range map[string]where{
		"gpu1":       {Host: "gpu1", Path: "~/proj"},
		"gpu1:/data": {Host: "gpu1", Path: "/data"},
		"gpu1/train": {Host: "gpu1", Session: "train"},
	} {
		got, err := a.where(arg)
		if err != nil || got.Path != want.Path || got.Session != want.Session || len(got.Via) != 1 {
			t.Errorf("%q: got %+v, %v, want %+v", arg, got, err, want)
		}
	}
}

// A gateway that is open only as the way to gpu1 does not make a question of
// which host is meant.
func TestForSomebody_LeavesOutGateways(t *testing.T) {
	way := holder.Status{Name: "gw1", Behind: 1}
	got := forSomebody([]holder.Status{
		{Name: "gpu1", Aliases: []string{"gpu1"}}, way, {Name: "gw2", Behind: 1, Tunnels: []holder.Tunnel{{}}}, {Name: "gw3", Aliases: []string{"gw3"}, Behind: 2},
	})
	if len(got) != 3 || got[0].Name != "gpu1" || got[1].Name != "gw2" || got[2].Name != "gw3" {
		t.Errorf("got %+v", got)
	}
}

// FuzzParseWhere: whatever is typed, it is refused or comes back as typed.
func FuzzParseWhere(f *testing.F) {
	for _, s := range []string{"gpu1", "me@gpu1:22:~/x", "[::1]:2/x", "ssh://a@b:1/c", "a/b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		w, err := parseWhere(arg)
		if err != nil {
			return
		}
		again, err := parseWhere(w.String())
		if err != nil || again.String() != w.String() {
			t.Fatalf("%q is %+v, written %q, read again %+v, %v", arg, w, w.String(), again, err)
		}
	})
}
