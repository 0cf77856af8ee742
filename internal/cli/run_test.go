package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/session"
	"slices"
)

func TestScriptName(t *testing.T) {
	for line, want := range map[string]string{
		"true": "true", "/usr/bin/env": "env", "python train.py": "train", "python -u src/train.py --lr 1": "train", "./sweep.sh a.csv": "sweep",
		"python -m pkg.mod": "python", "make all": "make", "bash": "bash", "python3.11": "python3.11", "nice -n 5 python x/fit.py": "fit", "...": "script", "a\x1bb": "a-b", "Rscript fit.R": "fit",
		"python -c print(1).py": "python",
	} {
		if got := scriptName(strings.Split(line, " ")); got != want {
			t.Errorf("%q is named %q, want %q", line, got, want)
		}
	}
	if all := names("", []string{"true"}); all[0] != "true" || all[1] != "true-2" {
		t.Errorf("%q", all)
	}
	if all := names("mine", []string{"true"}); len(all) != 1 || all[0] != "mine" {
		t.Errorf("%q", all)
	}
}

// What runs has to be there; what is only named may be what it writes.
func TestHere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"train.py", "data.csv", "sub/run.sh"} {
		os.MkdirAll(filepath.Dir(name), 0o700)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"python train.py data.csv": "train.py! data.csv", "python -u train.py": "train.py!", "python none.py data.csv": "data.csv",
		"sub/run.sh data.csv": "sub/run.sh! data.csv!", "train.py": "", "ls sub": "", "ls ./sub": "./sub!", "python --x=data.csv": "",
	} {
		var got []string
		for _, h := range here(strings.Split(line, " ")) {
			if h.Must {
				h.Path += "!"
			}
			got = append(got, h.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestScriptRow(t *testing.T) {
	now := time.Now()
	up := holder.Status{Name: "gpu1", State: holder.Up}
	for _, c := range []struct {
		s     holder.Script
		state string
	}{
		{holder.Script{Running: true, Exit: -1, Started: now.Add(-41 * time.Minute)}, "running 41m"},
		{holder.Script{Exit: 1, Ended: now.Add(-18 * time.Hour)}, "exit 1, 18h ago"},
		{holder.Script{Exit: 137, Signal: "KILL", Ended: now.Add(-2 * time.Minute)}, "killed by KILL, 2m ago"},
		{holder.Script{Exit: -1}, "ended"},
	} {
		c.s.Name, c.s.Command = "sweep", "python sweep.py"
		r := scriptRow(up, c.s)
		if r.state() != c.state || r.name() != "gpu1/sweep" || r.address() != "nbremote logs gpu1/sweep" || r.What != "python sweep.py" {
			t.Errorf("%+v: %q, %q, %q", c.s, r.state(), r.name(), r.address())
		}
	}
	r := scriptRow(holder.Status{Name: "gpu1", State: holder.Down}, holder.Script{Name: "x", Running: true, Exit: -1})
	if r.State != "down" || r.state() != "running, down" {
		t.Errorf("%+v", r)
	}
}

func TestEndText(t *testing.T) {
	if got := endText(scriptOf("x", "", session.End{Known: true, Exit: 3}), time.Now()); got != "exit 3" {
		t.Error(got)
	}
}

func TestDebugged(t *testing.T) {
	own := []string{"-X", "frozen_modules=off", session.OwnProgram}
	for _, c := range []struct{ argv, before, after string }{
		{"python train.py --lr 1", "python", "train.py --lr 1"}, {"./bin/python3.12 -u -W error x.py", "./bin/python3.12 -u -W error", "x.py"},
		{"python -m pkg.mod -x", "python", "-m pkg.mod -x"}, {"python -Om", "", ""}, {"pypy3 -mpkg", "pypy3", "-m pkg"}, {"./x.py -m", "python3", "./x.py -m"},
		{"python", "", ""}, {"python -c 1", "", ""}, {"python -", "", ""}, {"python -m", "", ""}, {"make", "", ""}, {"uv run x.py", "", ""}, {"python -X x.py", "", ""},
	} {
		got, err := debugged(strings.Fields(c.argv))
		want := slices.Concat(strings.Fields(c.before), own, strings.Fields(c.after))
		if (err == nil) != (c.before != "") || err == nil && !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", c.argv, got, err)
		}
	}
}
