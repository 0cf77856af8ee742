//go:build linux

package jupyter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

// env makes what an environment looks like from outside.
func env(t *testing.T, prefix string, conda bool, packages ...string) {
	t.Helper()
	lab.Write(t, filepath.Join(prefix, "bin/python"), "#!/bin/sh\ntouch \"$HOME/python-was-run\"\n", 0o755)
	if conda {
		lab.Write(t, filepath.Join(prefix, "conda-meta/history"), "", 0o644)
	} else {
		lab.Write(t, filepath.Join(prefix, "pyvenv.cfg"), "", 0o644)
	}
	for _, p := range packages {
		lab.Write(t, filepath.Join(prefix, "lib/python3.11/site-packages", p+".dist-info/METADATA"), "", 0o644)
		if name, _, _ := strings.Cut(p, "-"); name == "jupyterlab" || name == "notebook" || name == "jupyter_server" {
			program := map[string]string{"jupyterlab": "jupyter-lab", "notebook": "jupyter-notebook", "jupyter_server": "jupyter-server"}[name]
			lab.Write(t, filepath.Join(prefix, "bin", program), "#!/bin/sh\ntouch \"$HOME/python-was-run\"\n", 0o755)
		}
	}
}

func probed(t *testing.T, r remote.Runner, look Look) *Host {
	t.Helper()
	h, err := Probe(t.Context(), r, look)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestR2_WhereJupyterIsFound(t *testing.T) {
	r, home := newHost(t)
	in := func(p string) string { return filepath.Join(home, p) }
	env(t, in("miniconda3"), true, "jupyterlab-4.6.6", "jupyter_server-2.21.1", "ipykernel-7.4.0")
	lab.Write(t, in("miniconda3/condabin/conda"), "", 0o755)
	env(t, in("miniconda3/envs/ds"), true, "jupyterlab-4.1.0", "jupyter_server-2.14.0")
	env(t, in("miniconda3/envs/empty"), true)
	env(t, in("else where/env1"), true, "notebook-6.5.7")
	lab.Write(t, in(".conda/environments.txt"), in("miniconda3")+"\n"+in("else where/env1")+"\n/gone/away\n", 0o644)
	env(t, in(".venv"), false, "jupyterlab-4.0.0")
	env(t, in("my_venv"), false, "jupyterlab-3.6.0", "notebook-6.5.0")
	env(t, in("plain"), false)
	env(t, in(".virtualenvs/v"), false, "jupyterlab-3.5.0")
	env(t, in(".local/share/pipx/venvs/jupyterlab"), false, "jupyterlab-4.2.0")
	env(t, in(".local/share/uv/tools/jupyterlab"), false, "jupyterlab-4.3.0")
	env(t, in("proj/.venv"), false, "jupyterlab-4.6.0")
	env(t, in(".pyenv/versions/3.12.1"), false, "jupyterlab-4.4.0")
	env(t, in(".local/share/nbremote/jupyter"), false, "jupyterlab-4.5.0") // not complete
	lab.Write(t, in(".local/bin/keep"), "", 0o644)
	if err := os.Symlink(in(".local/share/uv/tools/jupyterlab/bin/jupyter-lab"), in(".local/bin/jupyter-lab")); err != nil {
		t.Fatal(err)
	}

	h := probed(t, r, Look{Path: "proj"})
	var got []string
	for _, i := range h.Installs {
		got = append(got, i.Kind+": "+i.String())
	}
	want := []string{
		"project: JupyterLab 4.6.0 in .venv", "uv: JupyterLab 4.3.0 in uv tool jupyterlab", "conda: JupyterLab 4.6.6 in conda base",
		"venv: JupyterLab 4.0.0 in ~/.venv", "venv: JupyterLab 3.5.0 in v", "venv: JupyterLab 3.6.0 in my_venv", "conda: JupyterLab 4.1.0 in ds",
		"pipx: JupyterLab 4.2.0 in pipx jupyterlab", "pyenv: JupyterLab 4.4.0 in pyenv 3.12.1", "conda: Jupyter Notebook 6.5.7 in env1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for env, want := range map[string]string{
		"ds": "miniconda3/envs/ds", "my_venv": "my_venv", "~/my_venv": "my_venv", in("my_venv/bin/python"): "my_venv",
		"else where/env1": "else where/env1", "base": "miniconda3", "v": ".virtualenvs/v", ".venv": "proj/.venv",
	} {
		h := probed(t, r, Look{Path: "proj", Env: env})
		i, err := h.Pick(env)
		if err != nil || i.Prefix != in(want) {
			t.Errorf("--env %s: %s %v", env, i.Prefix, err)
		}
	}
	for _, env := range []string{"plain", "empty", "~/plain"} {
		h := probed(t, r, Look{Env: env})
		var missing *MissingError
		if _, err := h.Pick(env); !errors.As(err, &missing) || !strings.Contains(err.Error(), "has none") {
			t.Errorf("--env %s: %v", env, err)
		}
	}
	if _, err := os.Stat(in("python-was-run")); err == nil {
		t.Error("Python was started")
	}
}

func TestR2_NoJupyter(t *testing.T) {
	r, _ := newHost(t)
	h := probed(t, r, Look{})
	var missing *MissingError
	_, err := h.Pick("")
	if !errors.As(err, &missing) || err.Error() != "none" || !strings.Contains(missing.Cause(), "pipx") {
		t.Errorf("%v %q", err, h.Installs)
	}
	if how, err := h.CanInstall(); how != "venv" && err == nil {
		t.Errorf("%q %v", how, err)
	}
	for want, h := range map[string]*Host{"uv": {UV: "/usr/bin/uv"}, "venv": {Python: "/usr/bin/python3", ensurePip: true}} {
		if how, err := h.CanInstall(); how != want || err != nil {
			t.Errorf("%q %v", how, err)
		}
	}
	for _, h := range []*Host{{}, {Python: "/usr/bin/python3"}, {UV: "/u", Machine: Machine{Disk: Disk{Total: 1 << 40, Available: 1 << 20}}}} {
		if how, err := h.CanInstall(); err == nil {
			t.Errorf("%+v: %s", h, how)
		}
	}
}

func TestR2_LoginShellKnowsMore(t *testing.T) {
	lab.Needs(t, "bash")
	lab.Needs(t, "setsid")
	r, home := newHost(t, "SHELL=/bin/bash")
	env(t, filepath.Join(home, "apps/tools/py"), false, "jupyterlab-4.6.6")
	lab.Write(t, filepath.Join(home, ".bashrc"), "echo welcome\ncase $- in *i*) ;; *) return ;; esac\nPATH=$HOME/apps/tools/py/bin:$PATH\n", 0o644)
	h := probed(t, r, Look{})
	if i, err := h.Pick(""); err != nil || i.String() != "JupyterLab 4.6.6 in ~/apps/tools/py" {
		t.Errorf("%s %v", i, err)
	}
	lab.Write(t, filepath.Join(home, ".bashrc"), "echo nbr-path:/x:nbr-end; echo $$ >~/rc-pid; sleep 600\n", 0o644)
	began := time.Now()
	h = probed(t, r, Look{})
	if took := time.Since(began); len(h.Installs) != 0 || took > 20*time.Second {
		t.Errorf("%v after %v", h.Installs, took)
	}
	lab.Wait(t, 10*time.Second, "the login shell ended", func() bool {
		pid, err := strconv.Atoi(strings.TrimSpace(lab.Read(t, filepath.Join(home, "rc-pid"))))
		return err == nil && !alive(pid)
	})
}

func TestProbeDirectory(t *testing.T) {
	r, home := newHost(t)
	lab.Write(t, filepath.Join(home, "a b/x.ipynb"), "{}", 0o644)
	lab.Write(t, filepath.Join(home, "2024/n"), "", 0o644)
	if err := os.Symlink("a b", filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]string{
		"": {home, ""}, "~": {home, ""}, "~/": {home, ""}, "~/a b": {home + "/a b", ""}, "a b": {home + "/a b", ""}, "./2024": {home + "/2024", ""},
		"a b/x.ipynb": {home + "/a b", "x.ipynb"}, "link": {home + "/link", ""}, "link/x.ipynb": {home + "/link", "x.ipynb"}, home + "/2024/": {home + "/2024", ""},
		"a b/../2024": {home + "/2024", ""}, "/": {"/", ""}, "/etc/passwd": {"/etc", "passwd"},
	} {
		if h := probed(t, r, Look{Path: path}); h.Dir != want[0] || h.File != want[1] || h.Home != home {
			t.Errorf("%q: %q %q", path, h.Dir, h.File)
		}
	}
	for _, path := range []string{"nope", "~/a b/y.ipynb", "/nope/x", "-rf", "$(touch trap)", "a b/x.ipynb/z"} {
		_, err := Probe(t.Context(), r, Look{Path: path})
		var nf *NotFoundError
		if !errors.As(err, &nf) || nf.Class() != "not-found" || !strings.Contains(nf.Path, strings.TrimPrefix(path, "~/")) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestProbeProject(t *testing.T) {
	r, home := newHost(t)
	for name, c := range map[string]struct {
		file, text, prefix, cfg, kind string
	}{
		"u1":  {"uv.lock", "", ".venv", "", "uv"},
		"u2":  {"pyproject.toml", "[project]\n[tool.uv.sources]\n", ".venv", "", "uv"},
		"u3":  {"pyproject.toml", "[tool.ruff]\n", ".venv", "home = /x\nuv = 0.9\n", "uv"},
		"p1":  {"poetry.lock", "", "venv", "", "poetry"},
		"p2":  {"pyproject.toml", "[tool.poetry]\n", ".venv", "uv = 1\n", "poetry"},
		"x y": {"pixi.toml", "", ".pixi/envs/default", "", "pixi"},
		"v'1": {"README", "", "env", "uv = 1\n", "venv"},
	} {
		dir := filepath.Join(home, name)
		env(t, filepath.Join(dir, c.prefix), c.kind == "pixi", "ipykernel-7.4.0")
		lab.Write(t, filepath.Join(dir, c.file), c.text, 0o644)
		if c.cfg != "" {
			lab.Write(t, filepath.Join(dir, c.prefix, "pyvenv.cfg"), c.cfg, 0o644)
		}
		prefix := filepath.Join(dir, c.prefix)
		want := ProjectEnv{Name: name, Kind: c.kind, Prefix: prefix, Python: prefix + "/bin/python", IPykernel: "7.4.0"}
		if h := probed(t, r, Look{Path: name}); h.Project == nil || *h.Project != want {
			t.Errorf("%s: %+v", name, h.Project)
		}
	}
	env(t, filepath.Join(home, "venv"), false)
	env(t, filepath.Join(home, "own/.venv"), false)
	env(t, filepath.Join(home, "own/venv"), false, "jupyterlab-4.6.6")
	lab.Write(t, filepath.Join(home, "none/bin/python"), "", 0o755)
	lab.Write(t, filepath.Join(home, "broken/.venv/pyvenv.cfg"), "", 0o644)
	for _, path := range []string{"", "own", "none", "broken"} {
		if h := probed(t, r, Look{Path: path}); h.Project != nil {
			t.Errorf("%q: %+v", path, h.Project)
		}
	}
}

func TestProbeMachine(t *testing.T) {
	r, home := newHost(t)
	r.Env[1] = "PATH=" + home + "/bin:/usr/bin:/bin"
	lab.Write(t, home+"/bin/nvidia-smi", `#!/bin/sh
case $1 in *index*) echo "0, GPU-a, NVIDIA H100, 96, 72704, 81920"; echo "1, GPU-b, NVIDIA H100, 0, 0, 81920" ;;
*) echo "GPU-a, 1"; echo "GPU-b, $PPID" ;; esac
`, 0o755)
	h := probed(t, r, Look{})
	if len(h.GPUs) != 2 || h.GPUs[0].Name != "NVIDIA H100" || h.Memory.Total == 0 || h.Disk.Total == 0 || h.Tmux == "" || h.Shell != "/bin/sh" {
		t.Errorf("%+v", h)
	}
	m, err := Measure(t.Context(), r)
	if err != nil || len(m.GPUs) != 2 || m.GPUs[0] != h.GPUs[0] || m.Memory.Total != h.Memory.Total || m.Disk.Total != h.Disk.Total {
		t.Errorf("%+v %v", m, err)
	}
	lab.Write(t, home+"/bin/nvidia-smi", "#!/bin/sh\necho $$ >>$HOME/smi\nexec sleep 600\n", 0o755)
	began := time.Now()
	h = probed(t, r, Look{})
	if took := time.Since(began); len(h.GPUs) != 0 || took > 5*time.Second {
		t.Errorf("%v %v", h.GPUs, took)
	}
	for _, pid := range strings.Fields(lab.Read(t, home+"/smi")) {
		lab.Wait(t, 10*time.Second, "nvidia-smi ended", func() bool { n, err := strconv.Atoi(pid); return err == nil && !alive(n) })
	}
}

// byHandServer is something that looks like a Jupyter that its user started.
func byHandServer(t *testing.T, home, runtime string) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Args[0] = "jupyter-lab"
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pid := cmd.Process.Pid
	lab.Write(t, filepath.Join(home, ".local/share/jupyter/runtime", fmt.Sprintf("jpserver-%d.json", pid)), strings.ReplaceAll(runtime, "PID", fmt.Sprint(pid)), 0o600)
	return pid
}

func TestForeignServers(t *testing.T) {
	r, home := newHost(t)
	lab.Write(t, filepath.Join(home, ".jupyter/jupyter_server_config.py"), "c.IdentityProvider.token = ''\n", 0o644)
	pid := byHandServer(t, home, `{"pid":PID,"sock":"/run/x","root_dir":"`+home+`/old","token":"0123456789abcdef","version":"2.1.0","base_url":"/b/"}`)
	byHandServer(t, home, `{"pid":1,"sock":"/run/y","token":"x"}`)           // not its own pid
	byHandServer(t, home, `{"pid":PID,"port":80,"base_url":"javascript:"}`)  // hostile
	byHandServer(t, home, strings.Repeat("x", 70000))                        // huge
	byHandServer(t, home, `{"pid":PID,"port":1,"token":"x","secure":true}`)  // https
	byHandServer(t, home, `{"pid":PID,"port":1,"token":"x","root_dir":"/"}`) // nobody listens there
	lab.Write(t, filepath.Join(home, ".local/share/jupyter/runtime/jpserver-999999999.json"), `{"pid":999999999,"port":80}`, 0o600)
	lab.Write(t, filepath.Join(home, ".local/share/jupyter/runtime/jpserver-1;x.json"), `{"pid":1,"port":80}`, 0o600)
	h := probed(t, r, Look{})
	if len(h.Foreign) != 1 {
		t.Fatalf("%+v", h.Foreign)
	}
	f := h.Foreign[0]
	if f.PID != pid || !f.Foreign || f.Session != "old-by-hand" || f.Path != "/b/" || f.Where() != "/run/x" || f.ConfigFile != "~/.jupyter/jupyter_server_config.py" {
		t.Errorf("%+v", f)
	}
	if age := time.Since(f.Started); age < -2*time.Second || age > time.Minute {
		t.Errorf("started %v ago", age)
	}
	if h.Running("old-by-hand") == nil {
		t.Error("it cannot be named")
	}
	err := Stop(t.Context(), r, "old-by-hand")
	if c, ok := err.(interface{ Class() string }); !ok || c.Class() != "usage" {
		t.Errorf("%v", err)
	}
	if !alive(pid) {
		t.Error("it was ended")
	}
}

func TestD3_HostileProbe(t *testing.T) {
	for _, text := range []string{
		"", "home 1\n/\n", "rubbish", "done 1\n1\n", "dir 2\n/x\ndone 1\n1\nname 3\nabc\ntmux 1\n1\nspec 1\nx\nstat 1\n1\nruntime 2\n{}\nkind 1\nx\n",
		"session 1\na\nspec 2\n[]\nrunning 1\n1\npid 3\n-12\nstarted 20\n99999999999999999999\ndir 1\n/\ndone 1\n1\n",
		"project 2\n/a\nproject-kind 1\nx\ndir 1\n/\ndone 1\n1\n", "project-python 2\n/p\nproject 1\nx\ndir 1\n/\ndone 1\n1\n",
		"foreign 3\nabc\nstat 1\n)\nruntime 20\n{\"pid\":12,\"sock\":\"/a\"}\ndir 1\n/\ndone 1\n1\n",
	} {
		h, err := parseProbe([]byte(text))
		if err == nil && (h.Dir == "" || len(h.Foreign) > 0 || h.Project != nil) {
			t.Errorf("%q: %+v", text, h)
		}
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte("home 1\n/\ndir 1\n/\ninstall 2\n/a\nname 1\nx\nprograms 11\njupyter-lab\nsession 1\na\nenc 1\na\nspec 2\n{}\ndone 1\n1\n"))
	f.Add([]byte("dir 1\n/\nforeign 2\n12\nruntime 22\n{\"pid\":12,\"sock\":\"/ab\"}\nuptime 3\n1.5\ndisk 4\na b \ngpus 3\nabc\ndone 1\n1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseProbe(b)
		if err != nil {
			return
		}
		h.Choose(Look{})
		h.Pick("")
		h.Short(h.Dir)
		for _, s := range h.Foreign {
			if !validBase(s.BaseURL) || !validToken(s.Token) {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func FuzzOutcome(f *testing.F) {
	f.Add([]byte("state 5\nended\nlog 2\nxx\nexit 1\n1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := started(b, Wish{Session: "m", Dir: "/"}); err == nil && (s == nil || !validBase(s.BaseURL)) {
			t.Fatalf("%+v", s)
		}
	})
}
