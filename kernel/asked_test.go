//go:build unix

package kernel

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prefixes are those of what was asked for; the home is left out.
func prefixes(f *Found) string {
	var out []string
	for _, e := range f.Asked {
		out = append(out, strings.TrimPrefix(e.Kind+" "+e.Name+" "+f.Short(e.Prefix), "~/"))
	}
	return strings.Join(out, ", ")
}

func TestAskedNamesAndPaths(t *testing.T) {
	r, home := emptyHost(t)
	in := func(p string) string { return filepath.Join(home, p) }
	fakeVenv(t, in("ds"), "version = 3.11.2\n")
	fakeVenv(t, in("DS"), "")
	fakeVenv(t, in("venvs/Mixed"), "")
	fakeConda(t, in("miniconda3"), "3.12.4")
	fakeConda(t, in("miniconda3/envs/both"), "3.12.4")
	fakeVenv(t, in("desk/both"), "")
	fakeVenv(t, in("desk/.venv"), "")
	fakeVenv(t, in("data/sub/deep"), "")
	symlink(t, "sub/deep", in("data/link"))
	file(t, in("data/x.csv"), "", 0o644)
	file(t, in("data/python"), "", 0o644)
	symlink(t, "/gone/python3", in("data/python3"))
	file(t, in("tools/py/bin/python3.9"), never, 0o755)
	symlink(t, "python3.9", in("tools/py/bin/python3"))
	file(t, in("os/bin/python3.9"), never, 0o755)
	symlink(t, "python3.9", in("os/bin/python3"))
	r.Env[1] = "PATH=" + in("os/bin") + ":/usr/bin:/bin"
	fakeVenv(t, in("proj/.venv"), "")
	file(t, in("proj/uv.lock"), "", 0o644)
	file(t, in(".pyenv/shims/python3"), never, 0o755)
	file(t, in(".pyenv/versions/3.12.1/bin/python"), never, 0o755)
	file(t, in(".pyenv/versions/3.12.1/lib/python3.12/x"), "", 0o644)
	file(t, in("onlyR/conda-meta/history"), "", 0o644)
	for asked, want := range map[string]string{
		"ds": "venv ds ~/ds", "DS": "venv DS ~/DS", "Ds": "venv DS ~/DS, venv ds ~/ds", "venv ds": "venv ds ~/ds", "mixed": "venv Mixed ~/venvs/Mixed",
		"~/ds": "venv ds ~/ds", "~/ds/": "venv ds ~/ds", in("ds"): "venv ds ~/ds", "ds/bin/python": "venv ds ~/ds", "~/ds/bin": "venv ds ~/ds", "../ds": "venv ds ~/ds",
		"base": "conda base ~/miniconda3", "conda base": "conda base ~/miniconda3", "both": "venv both ~/desk/both, conda both ~/miniconda3/envs/both",
		"conda both": "conda both ~/miniconda3/envs/both", "desk/both": "venv both ~/desk/both", ".venv": "venv desk ~/desk/.venv", "desk": "venv desk ~/desk/.venv", ".": "venv desk ~/desk/.venv",
		"data/sub/deep": "venv deep ~/data/sub/deep", "data/link": "venv link ~/data/link", "~/tools/py/bin/python3": "python python3 ~/tools/py", "~/os/bin/python3.9": "python python3.9 ~/os",
		"proj": "uv proj ~/proj/.venv", "~/proj/.venv/bin/python": "uv proj ~/proj/.venv", "~/proj/uv.lock": "uv proj ~/proj/.venv",
		"3.12.1": "pyenv 3.12.1 ~/.pyenv/versions/3.12.1", "pyenv 3.12.1": "pyenv 3.12.1 ~/.pyenv/versions/3.12.1", "onlyR": "conda onlyR ~/onlyR",
	} {
		if f := environments(t, r, asked, "desk"); prefixes(f) != want || f.NotThere != "" {
			t.Errorf("%q: %s; %s", asked, prefixes(f), f.NotThere)
		}
	}
	for asked, want := range map[string]string{
		"nope": "no environment of that name", "a/b": "no such file or directory", "data": "there is no environment in ~/data", "data/x.csv": "neither", "~/data/python": "neither",
		"~/data/python3": "is gone", "~/.pyenv/shims/python3": "shim", "-rf": "no environment of that name", "/": "there is no environment in /", "conda ds": "no environment of that name",
	} {
		if f := environments(t, r, asked, "desk"); len(f.Asked) != 0 || !strings.Contains(f.NotThere, want) {
			t.Errorf("%q: %s; %s", asked, prefixes(f), f.NotThere)
		}
	}
	if f := environments(t, r, "ds", "not there"); f.Dir != "" || len(f.Asked) != 1 {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat(in("python-was-run")); err == nil {
		t.Error("a program was started")
	}
}

func TestAskedProjects(t *testing.T) {
	r, home := emptyHost(t, "UV_PROJECT_ENVIRONMENT=own/env", "VIRTUAL_ENV=/somewhere")
	in := func(p string) string { return filepath.Join(home, p) }
	made := in(".cache/pypoetry/virtualenvs/lib-abcdEFGH-py3.11")
	fakeVenv(t, made, "")
	for _, name := range []string{"uv-none", "uv-own", "po-none", "po-made", "px-none", "px-one", "px-two", "ha-none", "ha-made", "ling", "plain", "in"} {
		file(t, in(name+"/pyproject.toml"), map[string]string{"uv": "[tool.uv]", "po": "[tool.poetry]", "px": "[tool.pixi.x]", "ha": "[tool.hatch.envs.a]", "li": "requires = ['hatchling']"}[name[:2]], 0o644)
	}
	fakeVenv(t, in("uv-own/own/env"), "")
	fakeConda(t, in("px-one/.pixi/envs/default"), "3.12.0")
	fakeConda(t, in("px-two/.pixi/envs/default"), "3.12.0")
	fakeConda(t, in("px-two/.pixi/envs/gpu"), "3.12.0")
	fakeVenv(t, in("in/venv"), "")
	fakeVenv(t, in("hatch-env"), "")
	file(t, in(".local/bin/poetry"), "#!/bin/sh\necho noise >&2; cat; [ -z \"$VIRTUAL_ENV$NBR_PATH\" ] || exit\necho \"$* in $PWD\" >>$HOME/ran\ncase $PWD in */po-made) echo "+made+";; esac\n", 0o755)
	file(t, in(".local/bin/hatch"), "#!/bin/sh\necho \"$* in $PWD\" >>$HOME/ran\ncase $PWD in *none) echo /not/yet;; *) echo ~/hatch-env; yes;; esac\n", 0o755)
	for asked, want := range map[string]string{
		"uv-own": "uv uv-own ~/uv-own/own/env", "po-made": "poetry po-made " + strings.Replace(made, home, "~", 1), "px-one": "pixi px-one ~/px-one/.pixi/envs/default",
		"px-two": "pixi px-two ~/px-two/.pixi/envs/default, pixi px-two-gpu ~/px-two/.pixi/envs/gpu", "ha-made": "hatch ha-made ~/hatch-env", "ling": "hatch ling ~/hatch-env", "in": "venv in ~/in/venv",
	} {
		if f := environments(t, r, asked, ""); prefixes(f) != want || f.Asked[0].Project != in(asked) {
			t.Errorf("%q: %s; %s", asked, prefixes(f), f.NotThere)
		}
	}
	for asked, want := range map[string][2]string{
		"uv-none": {"the uv project ~/uv-none has no environment yet: uv sync, which this host seems to lack", "cd ~/uv-none && uv sync"},
		"po-none": {"the poetry project ~/po-none has no environment yet: poetry install", "cd ~/po-none && poetry install"},
		"px-none": {"the pixi project ~/px-none has no environment yet: pixi install, which this host seems to lack", "cd ~/px-none && pixi install"},
		"ha-none": {"the hatch project ~/ha-none has no environment yet: hatch env create", "cd ~/ha-none && hatch env create"},
		"plain":   {"there is no environment in ~/plain", "cd ~/plain && python3 -m venv .venv"},
	} {
		if f := environments(t, r, asked, ""); len(f.Asked) != 0 || f.NotThere != want[0] || f.Try != want[1] {
			t.Errorf("%q: %s; %s; %s", asked, prefixes(f), f.NotThere, f.Try)
		}
	}
	ran, _ := os.ReadFile(in("ran"))
	for _, want := range []string{"env info -p in " + in("po-none"), "env find default in " + in("ha-made")} {
		if !strings.Contains(string(ran), want+"\n") || strings.Count(string(ran), "\n") != 5 {
			t.Errorf("%s", ran)
		}
	}
}

// A tool that hangs is ended, with what it started, in each shell.
func TestAskedToolThatHangs(t *testing.T) {
	for name, path := range posix(t) {
		t.Run(name, func(t *testing.T) {
			_, home := emptyHost(t)
			file(t, home+"/p/poetry.lock", "", 0o644)
			file(t, home+"/.local/bin/poetry", "#!/bin/sh\nsleep 600 & echo $! >$HOME/pid\nyes >/dev/null\n", 0o755)
			r := shortened{shell{path, []string{"HOME=" + home, "PATH=/usr/bin:/bin", "TMPDIR=" + home}}}
			f := environments(t, r, "p", "")
			if !strings.Contains(f.NotThere, "poetry install") {
				t.Errorf("%+v", f)
			}
			pid, _ := os.ReadFile(home + "/pid")
			gone := func() bool {
				stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
				return err != nil || strings.Contains(string(stat), ") Z ")
			}
			for end := time.Now().Add(10 * time.Second); !gone() && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			if left, _ := filepath.Glob(home + "/nbr.*"); !gone() || len(pid) == 0 || len(left) > 0 {
				t.Errorf("pid %q still runs, or %q was left", pid, left)
			}
		})
	}
}

// shortened waits for half a second only.
type shortened struct{ shell }

func (s shortened) Run(ctx context.Context, script string) ([]byte, error) {
	return s.shell.Run(ctx, strings.Replace(script, "-lt 100 ]", "-lt 5 ]", 1))
}

func TestD3_HostileEnvironments(t *testing.T) {
	const head, tail = "home 2\n/h\ndir 2\n/d\n", "done 1\n1\n"
	field := func(name, value string) string { return name + " " + strconv.Itoa(len(value)) + "\n" + value + "\n" }
	env := func(more ...string) string {
		out := field("env", "/e") + field("kind", "venv") + field("python", "/e/bin/python")
		for i := 0; i < len(more); i += 2 {
			out += field(more[i], more[i+1])
		}
		return out
	}
	for _, text := range []string{"", head, tail, head + "rubbish" + tail, "home 1\nx\n" + tail} {
		if f, err := parseEnvironments([]byte(text), ""); err == nil {
			t.Errorf("%q: %+v", text, f)
		}
	}
	for _, text := range []string{
		field("env", "relative") + field("kind", "venv") + field("python", "/x"), field("env", "/x\x00") + field("kind", "venv") + field("python", "/x"),
		field("env", "/\xff") + field("kind", "venv") + field("python", "/x"), field("env", "/"+strings.Repeat("x", 5000)) + field("kind", "venv") + field("python", "/x"),
		field("env", "/x") + field("kind", "venv"), field("env", "/x") + field("python", "/x"), field("env", "/x") + field("kind", "venv") + field("python", "x"),
		field("kind", "venv") + field("python", "/x") + field("future", "x"), field("tool", "uv") + field("tool-path", "uv"),
	} {
		f, err := parseEnvironments([]byte(head+text+tail), "")
		if err != nil || len(f.Environments) > 0 || len(f.Tools) > 0 {
			t.Errorf("%q: %+v %v", text, f, err)
		}
	}
	for value, want := range map[string]string{
		"3.12.4": "3.12.4", "3.11.2.final.0": "3.11.2", "3.14.0rc1": "3.14.0rc1", "3.13.0a1+": "3.13.0a1", "3": "", "x3.1": "", "; rm": "", "3.9": "3.9",
	} {
		f, err := parseEnvironments([]byte(head+env("version", value, "future", "x", "name", "")+tail), "")
		if err != nil || len(f.Environments) != 1 || f.Environments[0].Version != want || f.Environments[0].Name != "e" {
			t.Errorf("%q: %+v %v", value, f, err)
		}
	}
	for value, want := range map[string]string{
		"ipykernel-7.4.0.dist-info": "7.4.0", "ipykernel-5.5.6-py3.6.egg-info": "5.5.6", "ipykernel-6.0.0rc1.egg-info": "6.0.0rc1", "ipykernel-$(x)-info": "", "ipykernel": "",
	} {
		if got := packageVersion(value); got != want {
			t.Errorf("%s: %s", value, got)
		}
	}
}

func TestShown(t *testing.T) {
	for dir, want := range map[string]string{"~/proj": "~/proj", "/a b": "'/a b'", "~/a b's": `~/'a b'\''s'`, "/x/é": "'/x/é'", "~/~x": "~/'~x'", "~x": "'~x'", "~": "~", "": "''"} {
		if got := shown(dir); got != want {
			t.Errorf("%s: %s", dir, got)
		}
	}
}

func FuzzEnvironments(f *testing.F) {
	f.Add([]byte("home 1\n/\ntool 2\nuv\ntool-path 3\n/uv\nenv 2\n/e\nkind 4\nvenv\nname 1\ne\npython 4\n/e/p\nversion 3\n3.9\nasked 1\n1\ndone 1\n1\n"), "e")
	f.Add([]byte("home 1\n/\nno 2\nuv\nno-at 2\n/x\ndone 1\n1\n"), "x/y")
	f.Fuzz(func(t *testing.T, answer []byte, asked string) {
		found, err := parseEnvironments(answer, asked)
		if err != nil {
			return
		}
		for _, e := range append(found.Environments, found.Asked...) {
			if !filepath.IsAbs(e.Prefix) || !filepath.IsAbs(e.Python) || e.Name == "" || e.Kind == "" || e.Tool != "" && !filepath.IsAbs(e.Tool) || strings.ContainsRune(e.Name+e.Prefix+e.Broken, 0) {
				t.Fatalf("%+v", e)
			}
			found.Label(e)
		}
		if asked != "" && len(found.Asked) == 0 && found.NotThere == "" {
			t.Fatal("nothing is said")
		}
	})
}
