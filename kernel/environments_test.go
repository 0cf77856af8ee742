//go:build unix

package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

func environments(t testing.TB, r remote.Runner, asked, dir string) *Found {
	t.Helper()
	f, err := Environments(t.Context(), r, asked, dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lines tells environments in short; the home is ~, the system's Python left out.
func lines(f *Found, list []Environment) string {
	var out []string
	for _, e := range list {
		if e.Kind == "python" && e.Name == "python3" {
			continue
		}
		line := fmt.Sprintf("%s %s %s %s", e.Kind, e.Name, f.Short(e.Prefix), e.Version)
		for _, more := range []string{e.IPykernel, f.Short(e.Project), f.Short(e.Tool), e.Broken} {
			if more != "" {
				line += " " + more
			}
		}
		if e.Pip {
			line += " pip"
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func diff(t *testing.T, got string, want ...string) {
	t.Helper()
	if want := strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEnvironmentsWhereTheyAreFound(t *testing.T) {
	r, home := emptyHost(t, "WORKON_HOME=/nowhere")
	in := func(p string) string { return filepath.Join(home, p) }
	for _, tool := range []string{".local/bin/uv", ".local/bin/poetry", ".pixi/bin/pixi", ".pyenv/bin/pyenv", "miniconda3/condabin/conda"} {
		file(t, in(tool), never, 0o755)
	}
	fakeConda(t, in("miniconda3"), "3.12.4")
	fakeConda(t, in("miniconda3/envs/ds"), "3.11.9")
	file(t, in("miniconda3/envs/onlyR/conda-meta/history"), "", 0o644)
	fakeConda(t, in("else where/env1"), "3.10.0")
	file(t, in(".conda/environments.txt"), in("miniconda3")+"\n"+in("else where/env1")+"\n/gone/away\n", 0o644)
	fakeConda(t, in("micromamba/envs/mm"), "3.9.1")
	fakeVenv(t, in(".venv"), "home = /usr/bin\nversion = 3.11.2\n", "pip", "ipykernel-6.29.5.dist-info")
	fakeVenv(t, in("my_venv"), "version_info = 3.11.2.final.0", "ipykernel-5.5.6-py3.11.egg-info")
	fakeVenv(t, in("ds"), "uv = 0.9.1\nversion_info = 3.13.0rc1\n")
	fakeVenv(t, in("venvs/a"), "")
	fakeVenv(t, in(".virtualenvs/v"), "")
	fakeVenv(t, in("proj/.venv"), "version = 3.11.2\n", "ipykernel-7.4.0.dist-info")
	file(t, in("proj/uv.lock"), "", 0o644)
	fakeVenv(t, in("proj/env"), "")
	fakeVenv(t, in("zoo/.venv"), "")
	file(t, in("zoo/pyproject.toml"), "[tool.poetry]\n", 0o644)
	fakeConda(t, in("px/.pixi/envs/default"), "3.12.0")
	fakeConda(t, in("px/.pixi/envs/gpu"), "3.12.0")
	fakeVenv(t, in(".cache/pypoetry/virtualenvs/my-lib-x_Y-z9aB-py3.11"), "")
	fakeVenv(t, in(".local/share/hatch/env/virtual/happ/AbCd/happ"), "")
	fakeVenv(t, in(".local/share/hatch/env/virtual/happ/AbCd/docs"), "")
	file(t, in(".pyenv/versions/3.12.1/bin/python"), never, 0o755)
	file(t, in(".pyenv/versions/3.12.1/lib/python3.12/site-packages/pip/x"), "", 0o644)
	fakeVenv(t, in(".pyenv/versions/3.12.1/envs/pv"), "")
	symlink(t, in(".pyenv/versions/3.12.1/envs/pv"), in(".pyenv/versions/pv"))
	symlink(t, in("ds"), in("same"))
	file(t, in("plain/bin/python"), never, 0o755)

	f := environments(t, r, "", "proj")
	diff(t, lines(f, f.Environments),
		"uv proj ~/proj/.venv 3.11.2 7.4.0 ~/proj ~/.local/bin/uv",
		"uv proj ~/proj/env 3.11 ~/proj ~/.local/bin/uv",
		"venv .venv ~/.venv 3.11.2 6.29.5 pip",
		"pyenv 3.12.1 ~/.pyenv/versions/3.12.1 3.12 ~/.pyenv/bin/pyenv pip",
		"venv a ~/venvs/a 3.11",
		"conda base ~/miniconda3 3.12.4 ~/miniconda3/condabin/conda pip",
		"venv ds ~/ds 3.13.0rc1 ~/.local/bin/uv",
		"conda ds ~/miniconda3/envs/ds 3.11.9 ~/miniconda3/condabin/conda pip",
		"conda env1 ~/else where/env1 3.10.0 ~/miniconda3/condabin/conda pip",
		"hatch happ ~/.local/share/hatch/env/virtual/happ/AbCd/happ 3.11",
		"hatch happ-docs ~/.local/share/hatch/env/virtual/happ/AbCd/docs 3.11",
		"conda mm ~/micromamba/envs/mm 3.9.1 ~/miniconda3/condabin/conda pip",
		"poetry my-lib ~/.cache/pypoetry/virtualenvs/my-lib-x_Y-z9aB-py3.11 3.11 ~/.local/bin/poetry",
		"venv my_venv ~/my_venv 3.11.2 5.5.6",
		"pyenv pv ~/.pyenv/versions/3.12.1/envs/pv 3.11 ~/.pyenv/bin/pyenv",
		"pixi px ~/px/.pixi/envs/default 3.12.0 ~/px ~/.pixi/bin/pixi pip",
		"pixi px-gpu ~/px/.pixi/envs/gpu 3.12.0 ~/px ~/.pixi/bin/pixi pip",
		"venv v ~/.virtualenvs/v 3.11",
		"poetry zoo ~/zoo/.venv 3.11 ~/zoo ~/.local/bin/poetry",
	)
	if f.Home != home || f.Dir != in("proj") || f.UID != os.Getuid() || f.Cut || f.NotThere != "" || f.Tools["pixi"] != in(".pixi/bin/pixi") {
		t.Errorf("%+v", f)
	}
	for _, e := range f.Environments {
		if e.Name == "ds" && f.Label(e) != "ds ("+f.Short(e.Prefix)+")" || e.Name == "v" && f.Label(e) != "v" {
			t.Errorf("%s is shown as %s", e.Prefix, f.Label(e))
		}
	}
	if _, err := os.Stat(in("python-was-run")); err == nil {
		t.Error("a program was started")
	}
	if _, err := os.Stat(in(".local/share/nbremote")); err == nil {
		t.Error("something was written")
	}
}

// The system's Python is last, and is not one of an environment, of pyenv's
// shims or of uv.
func TestEnvironmentsSystemPython(t *testing.T) {
	r, home := emptyHost(t)
	in := func(p string) string { return filepath.Join(home, p) }
	fakeConda(t, in("miniconda3"), "3.12.4")
	file(t, in("miniconda3/bin/conda"), never, 0o755)
	symlink(t, "python", in("miniconda3/bin/python3"))
	fakeVenv(t, in("elsewhere/act"), "")
	symlink(t, "python", in("elsewhere/act/bin/python3"))
	file(t, in(".pyenv/shims/python3"), never, 0o755)
	file(t, in("share/uv/python/cpython-3.13/bin/python3.13"), never, 0o755)
	symlink(t, in("share/uv/python/cpython-3.13/bin/python3.13"), in(".local/bin/python3"))
	file(t, in("deep/os/bin/python3.9"), never, 0o755)
	symlink(t, "python3.9", in("deep/os/bin/python3"))
	file(t, in("deep/os/lib/python3/dist-packages/pip/x"), "", 0o644)
	file(t, in("deep/os/lib/python3.13/x"), "", 0o644)
	file(t, in(".local/lib/python3.9/site-packages/ipykernel-6.1.0.dist-info/x"), "", 0o644)
	path := ""
	for _, dir := range []string{".pyenv/shims", ".local/bin", "miniconda3/bin", "elsewhere/act/bin", "deep/os/bin"} {
		path += in(dir) + ":"
	}
	r.Env[1] = "PATH=" + path + "/usr/bin:/bin"
	f := environments(t, r, "", "")
	want := Environment{Name: "python3", Kind: "python", Prefix: in("deep/os"), Python: in("deep/os/bin/python3"), Version: "3.9", IPykernel: "6.1.0", Pip: true}
	if got := f.Environments[len(f.Environments)-1]; got != want {
		t.Errorf("%+v", got)
	}
}

var hostile = []string{
	"a b", "it's", `say "x"`, "$(touch pwn)", "`touch pwn`", "$HOME", "new\nline", "two\nlines\n", "\n", "*", "?", "[a-z]", `back\slash`, `\`, "-rf", "--", "-n",
	"é", "日本語", ";touch pwn;", "a:b", "#x", "~", "%s", "=ls", "{a,b}", "!!", "\t", "\x1b[31m", " lead", "trail ", "end 0 0", strings.Repeat("x", 200),
}

// hostileHome has environments with such names in all places.
func hostileHome(t *testing.T, home string) {
	t.Helper()
	fakeConda(t, filepath.Join(home, "miniconda3"), "3.12.1")
	for _, name := range hostile {
		for _, folder := range []string{"", "venvs", "work on"} {
			file(t, filepath.Join(home, folder, name, "bin/python"), never, 0o755)
			file(t, filepath.Join(home, folder, name, "pyvenv.cfg"), "version = 3.11.2\n", 0o644)
		}
		file(t, filepath.Join(home, "P"+name, ".venv/pyvenv.cfg"), "", 0o644)
		file(t, filepath.Join(home, "P"+name, "pyproject.toml"), "[tool.uv]\n", 0o644)
		for _, folder := range []string{"miniconda3/envs", "-x y/.pixi/envs"} {
			file(t, filepath.Join(home, folder, name, "conda-meta/history"), "", 0o644)
			file(t, filepath.Join(home, folder, name, "bin/python"), never, 0o755)
		}
		symlink(t, "/gone/"+name, filepath.Join(home, ".venvs", name, "bin/python"))
		file(t, filepath.Join(home, ".venvs", name, "pyvenv.cfg"), "", 0o644)
	}
}

func TestF1_EnvironmentNames(t *testing.T) {
	_, top := emptyHost(t)
	home := filepath.Join(top, "ho me's $(touch pwn)\n*")
	hostileHome(t, home)
	for name, path := range posix(t) {
		t.Run(name, func(t *testing.T) {
			r := shell{path, []string{"HOME=" + home, "PATH=/usr/bin:/bin", "WORKON_HOME=" + home + "/work on"}}
			hostileNames(t, environments(t, r, "", ""), home)
			for asked, want := range map[string]string{
				"P$(touch pwn)": "P$(touch pwn)/.venv", "venvs/two\nlines\n": "venvs/two\nlines\n", "~/venvs/-rf/bin/python": "venvs/-rf", home + `/\`: `\`,
			} {
				f := environments(t, r, asked, "Pit's")
				if len(f.Asked) != 1 || f.Asked[0].Prefix != filepath.Join(home, want) {
					t.Errorf("%q: %+v %s", asked, f.Asked, f.NotThere)
				}
			}
		})
	}
	filepath.WalkDir(top, func(path string, _ os.DirEntry, _ error) error {
		if base := filepath.Base(path); base == "pwn" || base == "python-was-run" {
			t.Errorf("something was run: %s", path)
		}
		return nil
	})
}

func hostileNames(t *testing.T, f *Found, home string) {
	t.Helper()
	prefixes := map[string]Environment{}
	for _, e := range f.Environments {
		prefixes[strings.TrimPrefix(e.Prefix, home+"/")] = e
	}
	for _, name := range hostile {
		for _, folder := range []string{"", "venvs", "work on", "miniconda3/envs", ".venvs"} {
			broken := ""
			if folder == ".venvs" {
				broken = "its Python, /gone/" + name + ", is gone"
			}
			if e := prefixes[filepath.Join(folder, name)]; e.Name != name || e.Broken != broken {
				t.Errorf("%q in %q: %+v", name, folder, e)
			}
		}
		if e := prefixes["P"+name+"/.venv"]; e.Name != "P"+name || e.Kind != "uv" {
			t.Errorf("%q: %+v", name, e)
		}
		if e := prefixes["-x y/.pixi/envs/"+name]; e.Name != "-x y-"+name || e.Kind != "pixi" {
			t.Errorf("%q: %+v", name, e)
		}
	}
}

func TestR17_BrokenEnvironments(t *testing.T) {
	r, home := emptyHost(t)
	in := func(p string) string { return filepath.Join(home, p) }
	file(t, in("gone/pyvenv.cfg"), "home = /usr/bin\nversion = 3.9.2\n", 0o644)
	symlink(t, "python3", in("gone/bin/python"))
	symlink(t, in("opt/python3.9"), in("gone/bin/python3"))
	fakeVenv(t, in("noexec"), "")
	os.Chmod(in("noexec/bin/python"), 0o644)
	file(t, in("empty/pyvenv.cfg"), "", 0o644)
	file(t, in("old/bin/python"), never, 0o755)
	file(t, in("old/bin/activate"), "", 0o644)
	file(t, in("old/lib/python2.7/site-packages/pip/x"), "", 0o644)
	file(t, in("opt/bin/python3.11"), never, 0o755)
	file(t, in("upgraded/pyvenv.cfg"), "home = "+in("opt/bin")+"\nversion = 3.9.2\n", 0o644)
	symlink(t, in("opt/bin/python3.11"), in("upgraded/bin/python"))
	file(t, in("fine/pyvenv.cfg"), "home = "+in("opt/bin")+"\nversion = 3.11.2\n", 0o644)
	symlink(t, in("opt/bin/python3.11"), in("fine/bin/python"))
	fakeVenv(t, in("copied"), "home = /gone/bin\nversion = 3.11.2\n")
	fakeVenv(t, in("before"), "")
	file(t, in("before/bin/activate"), "VIRTUAL_ENV="+in("before"), 0o644)
	if err := os.Rename(in("before"), in("moved")); err != nil {
		t.Fatal(err)
	}
	f := environments(t, r, "", "")
	diff(t, lines(f, f.Environments),
		"venv copied ~/copied 3.11.2 its Python, in /gone/bin, is gone",
		"venv empty ~/empty  it has no Python",
		"venv fine ~/fine 3.11.2",
		"venv gone ~/gone 3.9.2 its Python, "+in("opt/python3.9")+", is gone",
		"venv moved ~/moved 3.11",
		"venv noexec ~/noexec 3.11 its Python, "+in("noexec/bin/python")+", may not be run",
		"venv old ~/old 2.7 Python 2 pip",
		"venv upgraded ~/upgraded 3.9.2 it was made for Python 3.9, and "+in("upgraded/bin/python")+" is python3.11 now",
	)
	f = environments(t, r, "gone", "")
	if len(f.Asked) != 1 || f.Asked[0].Broken == "" {
		t.Errorf("%+v", f)
	}
}

// What Python itself makes is read right.
func TestEnvironmentsReal(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		lab.Missing(t, "python3")
	}
	r, home := emptyHost(t)
	for _, name := range []string{"one", "é x"} {
		if out, err := exec.Command(python, "-m", "venv", "--without-pip", filepath.Join(home, name)).CombinedOutput(); err != nil {
			lab.Missing(t, fmt.Sprintf("python3-venv: %v: %s", err, out))
		}
		f := environments(t, r, "~/"+name, "")
		if len(f.Asked) != 1 {
			t.Fatalf("%+v", f)
		}
		e := f.Asked[0]
		out, err := exec.Command(e.Python, "-c", "import sys; print(sys.prefix, '%d.%d' % sys.version_info[:2])").Output()
		prefix, version, _ := strings.Cut(strings.TrimSpace(string(out)), " 3.")
		if err != nil || prefix != e.Prefix || !strings.HasPrefix(e.Version, "3."+version) || e.Broken != "" || e.Pip {
			t.Errorf("%+v, and Python says %s", e, out)
		}
	}
}
