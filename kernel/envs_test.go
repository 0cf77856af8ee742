//go:build linux

package kernel

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

const uv = testTop + "/tools/bin/uv"

// A plain environment: no ipykernel, the offer, ipykernel, a kernel.
func TestInstall_Pip(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	command(t, nil, "/usr/bin/python3", "-m", "venv", home+"/ds")
	env := Environment{Name: "ds", Kind: "venv", Prefix: home + "/ds", Python: home + "/ds/bin/python", Pip: true}
	var none *NoKernelError
	if _, err := Add(t.Context(), r, Wish{Env: env}); !errors.As(err, &none) {
		t.Fatalf("%v", err)
	}
	install(t, r, env, "pip")
	a := mustAdd(t, r, Wish{Env: env})
	if !strings.HasPrefix(a.IPykernel, "7.") || len(a.Notes) > 0 {
		t.Errorf("%+v", a)
	}

	// It is moved: it works, but its own pip does not.
	if err := os.Rename(home+"/ds", home+"/moved"); err != nil {
		t.Fatal(err)
	}
	specs, err := Kernelspecs(t.Context(), r)
	if err != nil || len(specs) != 1 {
		t.Fatalf("%v %+v", err, specs)
	}
	if err := Check(t.Context(), r, specs); err != nil || specs[0].Broken != home+"/ds/bin/python is gone" && specs[0].Broken != "its Python "+home+"/ds/bin/python is gone" {
		t.Errorf("%v %+v", err, specs[0])
	}
	env.Name, env.Prefix, env.Python = "moved", home+"/moved", home+"/moved/bin/python"
	moved := mustAdd(t, r, Wish{Env: env})
	if moved.Prefix != env.Prefix || len(moved.Notes) != 1 || !strings.Contains(moved.Notes[0], "its pip wants "+home+"/ds/bin/python") {
		t.Errorf("%+v", moved)
	}
}

func TestInstall_UVWithoutPip(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	command(t, r.Env, uv, "venv", "-q", home+"/ds")
	env := Environment{Name: "ds", Kind: "venv", Prefix: home + "/ds", Python: home + "/ds/bin/python", Tool: uv}
	install(t, r, env, "uv-pip")
	if a := mustAdd(t, r, Wish{Env: env}); a.Prefix != env.Prefix || len(a.Notes) > 0 {
		t.Errorf("%+v", a)
	}
}

// uvProject is one without ipykernel.
func uvProject(t *testing.T, home string, env []string) Environment {
	t.Helper()
	dir := home + "/proj"
	lab.Write(t, dir+"/pyproject.toml", "[project]\nname = \"proj\"\nversion = \"0.1\"\nrequires-python = \">=3.11\"\ndependencies = []\n"+
		"[tool.uv]\nenvironments = [\"sys_platform == 'linux'\"]\n", 0o644)
	command(t, env, uv, "sync", "-q", "--project", dir)
	return Environment{Name: "proj", Kind: "uv", Prefix: dir + "/.venv", Python: dir + "/.venv/bin/python", Project: dir, Tool: uv}
}

func TestInstall_UVProject(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	env := uvProject(t, home, r.Env)
	if offers := Offers(env); offers[0].Text != "uv add --dev ipykernel" || offers[1].Key != "with" {
		t.Errorf("%+v", offers)
	}
	install(t, r, env, "uv")
	if !strings.Contains(lab.Read(t, env.Project+"/pyproject.toml"), "ipykernel") {
		t.Error("the project does not know it")
	}
	if a := mustAdd(t, r, Wish{Env: env}); a.Prefix != env.Prefix || len(a.Notes) > 0 {
		t.Errorf("%+v", a)
	}
}

func TestAdd_WithUV(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	env := uvProject(t, home, r.Env)
	before := lab.Read(t, env.Project+"/pyproject.toml")
	s := jupyter(t, home, false, r.Env[4:]...)
	for _, server := range []*Server{nil, s} {
		w := Wish{Env: env, With: true, Server: server, Name: "with"}
		a := mustAdd(t, r, w)
		if !strings.HasPrefix(a.IPykernel, "7.") || a.Unchanged != (server != nil) {
			t.Errorf("%+v", a)
		}
	}
	if lab.Read(t, env.Project+"/pyproject.toml") != before {
		t.Error("the project was changed")
	}
	idle(t, s)
	specs, err := Kernelspecs(t.Context(), r)
	if err == nil {
		err = Check(t.Context(), r, specs)
	}
	if err != nil || len(specs) != 1 || specs[0].Broken != "" || !specs[0].Ours {
		t.Errorf("%v %+v", err, specs)
	}
}

func TestInstall_Poetry(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	poetry := testTop + "/tools/bin/poetry"
	lab.Needs(t, poetry)
	dir := home + "/proj"
	lab.Write(t, dir+"/pyproject.toml", "[project]\nname = \"proj\"\nversion = \"0.1\"\nrequires-python = \">=3.11,<4\"\n[tool.poetry]\npackage-mode = false\n"+
		"[[tool.poetry.source]]\nname = \"wheels\"\npriority = \"primary\"\nurl = \""+simpleIndex(t)+"\"\n", 0o644)
	r.Env = append(r.Env, "POETRY_VIRTUALENVS_IN_PROJECT=1", "POETRY_CACHE_DIR="+home+"/.cache/poetry")
	cmd := append([]string{"env", "-C", dir}, poetry, "install", "-n", "-q")
	command(t, r.Env, cmd...)
	env := Environment{Name: "proj", Kind: "poetry", Prefix: dir + "/.venv", Python: dir + "/.venv/bin/python", Project: dir, Tool: poetry}
	if offers := Offers(env); offers[0].Text != "poetry add --group dev ipykernel" {
		t.Errorf("%+v", offers)
	}
	install(t, r, env, "poetry")
	if !strings.Contains(lab.Read(t, dir+"/pyproject.toml"), "ipykernel") {
		t.Error("the project does not know it")
	}
	if a := mustAdd(t, r, Wish{Env: env}); a.Prefix != env.Prefix {
		t.Errorf("%+v", a)
	}
}

func TestInstall_Fails(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := bare(t, home+"/ds")
	env.Pip = true // so it was said, but it is not so
	err := Install(t.Context(), r, env, Offers(env)[0], nil)
	var failed *InstallError
	if !errors.As(err, &failed) || !strings.HasSuffix(failed.Cause(), "No module named pip") || failed.Class() != "missing" || failed.Env != "ds" {
		t.Errorf("%v", err)
	}
	elsewhere := Offer{Key: "x", packages: []string{"ipykernel"}, argv: [][]string{{"/bin/echo", "done"}}}
	if err := Install(t.Context(), r, env, elsewhere, nil); !errors.As(err, &failed) || !strings.Contains(failed.Cause(), "not into "+env.Prefix) {
		t.Errorf("%v", err)
	}
}

func TestOffers(t *testing.T) {
	for want, env := range map[string]Environment{
		"uv with uv-pip": {Kind: "uv", Project: "/p", Tool: "/bin/uv"}, "uv-pip": {Kind: "uv", Tool: "/bin/uv"}, "poetry pip": {Kind: "poetry", Project: "/p", Tool: "/bin/poetry", Pip: true},
		"pixi": {Kind: "pixi", Project: "/p", Tool: "/bin/pixi"}, "conda pip": {Kind: "conda", Tool: "/bin/mamba", Pip: true}, "pip": {Kind: "hatch", Pip: true}, "ensurepip": {Kind: "venv"},
	} {
		env.Name, env.Prefix, env.Python = "e", "/my env", "/my env/bin/python"
		var keys []string
		for _, o := range Offers(env) {
			keys = append(keys, o.Key)
			if o.Key != "with" && !strings.Contains(o.Command, "ipykernel") || o.Text == "" || env.Kind == "hatch" && o.Note == "" {
				t.Errorf("%+v", o)
			}
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%+v: %s, want %s", env, got, want)
		}
	}
	if got := Offers(Environment{Kind: "conda", Tool: "/o/mamba", Prefix: "/my env"})[0]; got.Command != "/o/mamba install -y -p '/my env' ipykernel" {
		t.Errorf("%+v", got)
	}
	if got := Offers(Environment{Kind: "uv", Project: "/p", Tool: "/bin/uv", Python: "/p/.venv/bin/python"}, "papermill", "ipykernel"); len(got) != 2 ||
		got[0].Command != "cd /p && /bin/uv add --dev papermill ipykernel" || got[1].Key != "uv-pip" {
		t.Errorf("%+v", got)
	}
}

func TestAdd_AncientIPykernel(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	command(t, r.Env, uv, "venv", "-q", home+"/old")
	command(t, r.Env, uv, "pip", "install", "-q", "--python", home+"/old/bin/python", "ipykernel==5.5.6", "ipython==8.12.3", "jupyter_client==7.4.9")
	env := Environment{Name: "old", Kind: "venv", Prefix: home + "/old", Python: home + "/old/bin/python"}
	s := jupyter(t, home, false)
	for _, server := range []*Server{nil, s} {
		a := mustAdd(t, r, Wish{Env: env, Server: server})
		if a.IPykernel != "5.5.6" || a.Unchanged != (server != nil) {
			t.Errorf("%+v", a)
		}
		if strings.Contains(lab.Read(t, a.Dir+"/kernel.json"), `"debugger": true`) {
			t.Error("it promises a debugger")
		}
	}
}

// The same with an IPython that it does not know: it starts, and never answers.
func TestAdd_AncientIPykernelNewIPython(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	r = offline(t, r, home)
	command(t, r.Env, uv, "venv", "-q", home+"/old")
	command(t, r.Env, uv, "pip", "install", "-q", "--python", home+"/old/bin/python", "ipykernel==5.5.6", "ipython>=9")
	_, err := Add(t.Context(), r, Wish{Env: Environment{Name: "old", Kind: "venv", Prefix: home + "/old", Python: home + "/old/bin/python"}, Timeout: 25 * time.Second})
	var proof *ProofError
	if !errors.As(err, &proof) || !strings.HasPrefix(proof.Cause(), "TypeError: ") || len(proof.Words) != wordsLimit {
		t.Errorf("%v %+v", err, proof)
	}
}

// conda is faked: an environment with conda's two marks.
func TestAdd_FakedConda(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/c", base)
	env.Kind, env.Name = "conda", "my conda"
	lab.Write(t, env.Prefix+"/conda-meta/python-3.11.2-0.json", "{}", 0o644)
	lab.Write(t, env.Prefix+"/etc/conda/activate.d/cuda.sh", `[[ -n $CONDA_PREFIX ]] && words=(a b) && echo "${words[1]} $CONDA_DEFAULT_ENV $$" >>"$CONDA_PREFIX/activated"`+"\n", 0o644)
	a := mustAdd(t, r, Wish{Env: env})
	lines := strings.Split(strings.TrimSpace(lab.Read(t, env.Prefix+"/activated")), "\n")
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "b my conda ") || lines[0] == lines[1] {
		t.Errorf("the activation ran: %q", lines)
	}
	spec := parseSpec(a.Name, a.Dir, []byte(lab.Read(t, a.Dir+"/kernel.json")))
	if spec.Argv[0] != "/usr/bin/bash" || spec.Interpreter != env.Python || spec.Kind != "conda" || spec.Env["CONDA_PREFIX"] != env.Prefix {
		t.Errorf("%+v", spec)
	}
	checked := []Spec{spec}
	if err := Check(t.Context(), r, checked); err != nil || checked[0].Broken != "" || checked[0].Python != "3.11.2" || checked[0].IPykernel == "" {
		t.Errorf("%v %+v", err, checked)
	}
}

func TestAdd_Setup(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	// A profile that reads its stdin must not get what is not for it.
	lab.Write(t, home+"/.bash_profile", "cat >>"+home+"/read\n", 0o644)
	w := Wish{Env: env, Setup: `module() { export "MODULE=$2"; }; module load ${NAME}{prefix}; echo "$MODULE" >>` + home + `/said`, Setenv: []string{"NAME=cuda"}}
	mustAdd(t, r, w)
	if said := lab.Read(t, home+"/said"); said != "cuda{prefix}\ncuda{prefix}\n" {
		t.Errorf("%q", said)
	}
	if got := lab.Read(t, home+"/read"); got != "" {
		t.Errorf("the profile read %q", got)
	}
	w.Name, w.Setup = "bad", "no-such-program --load || exit 3"
	_, err := Add(t.Context(), r, w)
	var proof *ProofError
	if !errors.As(err, &proof) || !strings.Contains(proof.Cause(), "no-such-program") {
		t.Errorf("%v", err)
	}
}

// torch is faked: a module that says what the real one would.
func TestAdd_FakedTorch(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	torch := site(t, env.Prefix) + "/torch/__init__.py"
	lab.Write(t, torch, "__version__ = '2.9.1+cu130'\nclass version: cuda = '13.0'\nclass cuda:\n    device_count = staticmethod(lambda: 2)\n", 0o644)
	a := mustAdd(t, r, Wish{Env: env})
	if a.Torch != "2.9.1+cu130" || a.CUDA != "13.0" || a.GPUs != 2 || len(a.Notes) > 0 {
		t.Errorf("%+v", a)
	}
	lab.Write(t, torch, "raise ImportError('libcudart.so.13: cannot open shared object file')\n", 0o644)
	a = mustAdd(t, r, Wish{Env: env})
	if a.Torch != "" || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "libcudart.so.13") {
		t.Errorf("%+v", a)
	}
	lab.Write(t, torch, "import time\ntime.sleep(600)\n", 0o644)
	a = mustAdd(t, r, Wish{Env: env, Timeout: 30 * time.Second})
	if a.Torch != "" || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "in time") {
		t.Errorf("%+v", a)
	}
}
