package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nbremote/test/lab"
)

// wheels are ipykernel and what it needs: the hosts have no network.
const wheels = "/opt/nbremote-test/wheels"

// offline are the lines that make pip and uv on a host take the wheels.
func offline(t *testing.T, host *lab.Machine, account string) {
	t.Helper()
	lab.Needs(t, wheels, "/opt/nbremote-test/tools/bin/uv")
	host.WriteFile(account, "/home/"+account+"/.config/pip/pip.conf", "[global]\nno-index = true\nfind-links = "+wheels+"\n")
	host.WriteFile(account, "/home/"+account+"/.config/uv/uv.toml", "no-index = true\noffline = true\nfind-links = [\""+wheels+"\"]\n")
	host.Sh("ln -sf /opt/nbremote-test/tools/bin/uv /usr/local/bin/uv")
}

// venv makes an environment on the host; packages come from the wheels.
func venv(t *testing.T, host *lab.Machine, dir string, packages ...string) {
	t.Helper()
	script := "/usr/bin/python3 -m venv '" + dir + "'"
	if len(packages) > 0 {
		script += " && '" + dir + "'/bin/pip install -q " + strings.Join(packages, " ")
	}
	host.ShAs(lab.Me, script)
}

// addedKernel is what `kernel add --json` prints.
type addedKernel struct {
	Name      string `json:"name"`
	Dir       string `json:"dir"`
	Unchanged bool   `json:"unchanged"`
	Python    string `json:"python"`
}

func kernelAdd(t *testing.T, l *lab.Lab, args ...string) addedKernel {
	t.Helper()
	var k addedKernel
	r := l.Must(append([]string{"kernel", "add", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &k); err != nil {
		t.Fatalf("%v in:\n%s%s", err, r.Stdout, r.Stderr)
	}
	return k
}

// A venv becomes a kernel of the Lab that is open, in the browser: Kernel >
// Change Kernel, and a cell runs in the environment.
func TestKernel_AddedAndChosenInChromium(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "my_venv", "ipykernel")
	l.Must("open", "gpu1")
	tab := l.Chromium(5 * time.Minute)
	proveInLab(t, tab, l.NextOpened(0), "gpu1")
	r := l.Must("kernel", "add", "my_venv")
	for _, text := range []string{"my_venv: Python 3", "1+1 = 2", "Change Kernel"} {
		if !strings.Contains(r.Stderr, text) {
			t.Errorf("it does not say %q:\n%s", text, r.Stderr)
		}
	}
	if r.Stdout != "" {
		t.Errorf("stdout: %q", r.Stdout)
	}
	changeKernel(t, tab, "my_venv")
	until(t, tab, "the cell to be typed", `document.querySelector(".jp-NotebookPanel .jp-Cell.jp-mod-active .cm-content").innerText.includes("which")`,
		chromedp.Click(activeCell), chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), insert(whereAmI))
	until(t, tab, "the environment to be told", `(`+outputs+`).includes("in /home/me/my_venv /home/me/my_venv/bin/pip")`,
		chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

const whereAmI = `import sys
pip = !which pip
print("in", sys.prefix, pip[0])`

// changeKernel is Kernel > Change Kernel, by the name at the notebook's top right.
func changeKernel(t *testing.T, tab context.Context, name string) {
	t.Helper()
	const list = `document.querySelector(".jp-Dialog select")`
	// Lab asks for new kernels each minute, and an open list stays as it is.
	for end, there := time.Now().Add(90*time.Second), false; !there; {
		do(t, tab, "ask for another kernel", chromedp.Click(chromedp.CSS(`.jp-NotebookPanel .jp-KernelName`)), chromedp.WaitVisible(chromedp.CSS(`.jp-Dialog select`)))
		var err error
		there, err = chromedp.Run(tab, chromedp.Evaluate[bool](`Array.from(`+list+`.options).some(o => o.text.startsWith("`+name+`"))`))
		if err != nil || time.Now().After(end) {
			t.Fatalf("no kernel %s in the list (%v); %s", name, err, pageText(tab))
		}
		if !there {
			do(t, tab, "leave the list", chromedp.Click(chromedp.CSS(`.jp-Dialog .jp-mod-reject`)), chromedp.Sleep(2*time.Second))
		}
	}
	do(t, tab, "choose "+name,
		chromedp.Evaluate[chromedp.Void](`(s => { s.value = Array.from(s.options).find(o => o.text.startsWith("`+name+`")).value; s.dispatchEvent(new Event("change", {bubbles: true})) })(`+list+`)`),
		chromedp.Click(chromedp.CSS(`.jp-Dialog .jp-mod-accept`)))
	await(t, tab, "the kernel "+name, `document.querySelector(".jp-NotebookPanel .jp-KernelName").innerText.includes("`+name+`")`)
	do(t, tab, "wait for the kernel", chromedp.WaitVisible(kernelIdle))
}

// post sends JSON to the page's address and reads the answer.
func post(t *testing.T, l *lab.Lab, o opened, path, body string, answer any) {
	t.Helper()
	req, err := http.NewRequest("POST", fmt.Sprintf("http://127.0.0.1:%d%s", o.Port, path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+o.Token)
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil || resp.StatusCode > 299 {
		t.Fatalf("POST %s: %s, %v", path, resp.Status, err)
	}
}

// Real jupyter_client starts the kernel by its name.
func TestKernel_StartedByJupyterClient(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "my_venv", "ipykernel")
	k := kernelAdd(t, l, "my_venv", "--host", "gpu1", "--setenv", "COLOUR=blue $HOME")
	host.WriteFile(lab.Me, "/home/me/ask.py", `import os, sys, shutil
print(sys.prefix, os.environ["VIRTUAL_ENV"], shutil.which("pip"), os.environ["COLOUR"])
`)
	out := host.ShAs(lab.Me, "cd && /opt/nbremote-test/jupyter/bin/jupyter-run --kernel="+k.Name+" ask.py")
	if want := "/home/me/my_venv /home/me/my_venv /home/me/my_venv/bin/pip blue $HOME\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// Twice is once, two at once are one, and another environment of the same name
// is shown and not replaced unasked.
func TestR17_RegisteredTwice(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "ds", "ipykernel")
	l.Must("open", "--no-browser", "gpu1")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if r := l.Run("kernel", "add", "ds"); r.Exit != 0 {
				t.Errorf("exit %d: %s", r.Exit, r.Stderr)
			}
		})
	}
	wg.Wait()
	k := kernelAdd(t, l, "ds")
	file := k.Dir + "/kernel.json"
	before := host.ReadFile(file)
	if again := kernelAdd(t, l, "ds"); !again.Unchanged || host.ReadFile(file) != before || before == "" {
		t.Errorf("again: %+v, %q, before %q", again, host.ReadFile(file), before)
	}
	host.ShAs(lab.Me, "mkdir -p other && cp -r ds other/ds && sed -i s,/home/me/ds,/home/me/other/ds, other/ds/pyvenv.cfg other/ds/bin/*")
	fails(t, l.Run("kernel", "add", "~/other/ds", "--no-input"), 2, "/home/me/ds", "/home/me/other/ds", "--force")
	if host.ReadFile(file) != before {
		t.Error("it was replaced unasked")
	}
	l.Must("kernel", "add", "~/other/ds", "--force")
	if text := host.ReadFile(file); !strings.Contains(text, "/home/me/other/ds/bin/python") {
		t.Errorf("after --force: %s", text)
	}
	if left := host.ShAs(lab.Me, "ls ~/.local/share/jupyter/kernels"); left != "ds\n" {
		t.Errorf("kernels: %q", left)
	}
}

// An environment without ipykernel: said, nothing added; asked, installed.
func TestR17_NoIPykernel(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "bare")
	fails(t, l.Run("kernel", "add", "bare", "--host", "gpu1", "--no-input"), 7, "ipykernel", "--install")
	if left := host.ShAs(lab.Me, "ls ~/.local/share/jupyter/kernels 2>/dev/null || :"); left != "" {
		t.Errorf("kernels: %q", left)
	}
	x := l.Pty("kernel", "add", "bare", "--host", "gpu1")
	x.Expect("ipykernel is missing", 20*time.Second)
	x.Expect("pip install ipykernel", 5*time.Second)
	x.Type("y\r")
	x.Expect("added", time.Minute)
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
}

// What vanishes after it was listed is said, and the broken kernel is marked.
func TestR17_EnvironmentVanished(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "gone", "ipykernel")
	kernelAdd(t, l, "gone", "--host", "gpu1")
	host.ShAs(lab.Me, "rm -r gone")
	if r := l.Must("kernel", "list", "--host", "gpu1"); !strings.Contains(r.Stdout, "broken: its Python") {
		t.Errorf("list: %s", r.Stdout)
	}
	fails(t, l.Run("kernel", "add", "gone", "--host", "gpu1"), 3, "gone")
	fails(t, l.Run("kernel", "remove", ".Gone", "--host", "gpu1"), 3, "no kernel of that name", "nbremote kernel remove gone --host gpu1")
	l.Must("kernel", "remove", "gone", "--host", "gpu1")
	fails(t, l.Run("kernel", "remove", "gone", "--host", "gpu1"), 3, "no kernel of that name")
}

// kernelRow is a row of `kernel list --json`.
type kernelRow struct {
	Name    string `json:"name"`
	Broken  string `json:"broken"`
	Busy    int    `json:"busy"`
	Running []struct {
		ID    string `json:"id"`
		State string `json:"state"`
	} `json:"running"`
}

func kernelList(t *testing.T, l *lab.Lab, args ...string) (kernels map[string]kernelRow, environments []string) {
	t.Helper()
	var there struct {
		Kernels      []kernelRow `json:"kernels"`
		Environments []struct {
			Name string `json:"name"`
		} `json:"environments"`
	}
	r := l.Must(append([]string{"kernel", "list", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &there); err != nil {
		t.Fatalf("%v in:\n%s%s", err, r.Stdout, r.Stderr)
	}
	kernels = map[string]kernelRow{}
	for _, k := range there.Kernels {
		kernels[k.Name] = k
	}
	for _, e := range there.Environments {
		environments = append(environments, e.Name)
	}
	return kernels, environments
}

// What runs is listed, interrupted, restarted and ended by its ID or name.
func TestKernel_RunningOnes(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	o := open(t, l, "gpu1")
	var started struct {
		ID string `json:"id"`
	}
	post(t, l, o, "/api/kernels", `{"name": "python3"}`, &started)
	kernels, _ := kernelList(t, l)
	if k := kernels["python3"]; len(k.Running) != 1 || k.Running[0].ID != started.ID {
		t.Fatalf("listed: %+v, started %s", kernels, started.ID)
	}
	l.Must("kernel", "interrupt", "python3")
	l.Must("kernel", "restart", started.ID[:8])
	fails(t, l.Run("kernel", "stop", "none"), 3, "no such kernel runs")
	l.Must("kernel", "stop", started.ID, "-y")
	if kernels, _ = kernelList(t, l); len(kernels["python3"].Running) != 0 {
		t.Errorf("after stop: %+v", kernels)
	}
}

// F1, F7: a venv whose name is text of a shell and of JSON becomes a kernel.
func TestF1_F7_NamesOfEnvironments(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "plain", "ipykernel")
	name := "a\"b\n;touch pwn; $(touch pwn) `touch pwn` it's \\ % é"
	quoted := "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	host.ShAs(lab.Me, "cp -r plain "+quoted)
	k := kernelAdd(t, l, "~/"+name, "--host", "gpu1")
	if strings.Trim(k.Name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		t.Errorf("the kernel's name: %q", k.Name)
	}
	host.WriteFile(lab.Me, "/home/me/ask.py", "import sys\nprint(repr(sys.prefix))\n")
	out := host.ShAs(lab.Me, "cd && /opt/nbremote-test/jupyter/bin/jupyter-run --kernel="+k.Name+" ask.py")
	if !strings.Contains(out, "touch pwn; $(touch pwn)") {
		t.Errorf("it runs in %s", out)
	}
	if left := host.ShAs(lab.Me, "find . -name 'pwn*'"); left != "" {
		t.Errorf("a name was run: %s", left)
	}
	if _, envs := kernelList(t, l, "--host", "gpu1"); fmt.Sprint(envs) == "" {
		t.Errorf("environments: %q", envs)
	}
}

// A project whose environment has no Jupyter is offered as a kernel, once.
func TestKernel_OpenOffersTheProjects(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	host.ShAs(lab.Me, "mkdir proj")
	venv(t, host, "proj/.venv", "ipykernel")
	x := l.Pty("open", "--no-browser", "gpu1:~/proj")
	x.Expect("its own environment", 30*time.Second)
	x.Type("y\r")
	x.Expect("added", time.Minute)
	x.Expect("http://127.0.0.1:", 30*time.Second)
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	if kernels, _ := kernelList(t, l, "--host", "gpu1"); kernels["proj"].Name == "" {
		t.Errorf("kernels: %+v", kernels)
	}
	l.Must("stop", "-y", "gpu1/proj")
	if r := l.Must("open", "--no-browser", "gpu1:~/proj"); strings.Contains(r.Stderr, "its own environment") {
		t.Errorf("asked again:\n%s", r.Stderr)
	}
}

// What people have, on a host behind sshd, each made a kernel by what a person
// types; conda's is faked: a venv with conda's folder in it.
func TestKernel_KindsOfEnvironments(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	host.WriteFile(lab.Me, "/home/me/proj/pyproject.toml", "[project]\nname = \"proj\"\nversion = \"0.1\"\nrequires-python = \">=3.11\"\n[tool.uv]\nenvironments = [\"sys_platform == 'linux'\"]\n")
	host.ShAs(lab.Me, `uv venv -q -p /usr/bin/python3 nopip
(cd proj && uv sync -q -p /usr/bin/python3)
/usr/bin/python3 -m venv first && first/bin/pip install -q ipykernel && mv first moved
/usr/bin/python3 -m venv ancient && ancient/bin/pip install -q ipykernel==5.5.6 ipython==8.12.3 jupyter_client==7.4.9
mkdir -p miniconda3/envs miniconda3/condabin miniconda3/conda-meta
cp -r moved miniconda3/envs/science && cd miniconda3/envs/science && rm pyvenv.cfg && mkdir -p conda-meta etc/conda/activate.d
: >conda-meta/history; echo 'export SCIENCE=yes' >etc/conda/activate.d/x.sh
printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >pyvenv.cfg
/opt/nbremote-test/jupyter/bin/python -m bash_kernel.install --user >/dev/null 2>&1`)
	open(t, l, "gpu1")
	for _, c := range []struct{ env, kernel string }{
		{"nopip", "nopip"}, {"~/proj", "proj"}, {"moved", "moved"}, {"ancient", "ancient"}, {"science", "science"},
	} {
		k := kernelAdd(t, l, c.env, "--install")
		if k.Name != c.kernel || k.Python == "" {
			t.Errorf("%s: %+v", c.env, k)
		}
	}
	if text := host.ReadFile("/home/me/proj/pyproject.toml"); !strings.Contains(text, "ipykernel") {
		t.Errorf("the next uv sync will remove ipykernel:\n%s", text)
	}
	host.WriteFile(lab.Me, "/home/me/ask.py", "import os\nprint(os.environ['CONDA_PREFIX'], os.environ['SCIENCE'])\n")
	if out := host.ShAs(lab.Me, "/opt/nbremote-test/jupyter/bin/jupyter-run --kernel=science ask.py"); out != "/home/me/miniconda3/envs/science yes\n" {
		t.Errorf("conda's own activation: %q", out)
	}
	kernels, environments := kernelList(t, l)
	for _, name := range []string{"nopip", "proj", "moved", "ancient", "science", "bash", "python3"} {
		if k, ok := kernels[name]; !ok || k.Broken != "" {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if strings.Contains(strings.Join(environments, " "), "proj") {
		t.Errorf("listed as no kernel yet: %q", environments)
	}
	l.Must("kernel", "remove", "bash", "-y")
}

// A Jupyter that looks elsewhere is told of, and nothing stays.
func TestKernel_ServerThatDoesNotLookThere(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "ds", "ipykernel")
	host.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.py", "c.KernelSpecManager.allowed_kernelspecs = {'python3'}\n")
	open(t, l, "gpu1")
	fails(t, l.Run("kernel", "add", "ds"), 7, "does not look in", "nothing was added")
	if left := host.ShAs(lab.Me, "ls ~/.local/share/jupyter/kernels 2>/dev/null || :"); left != "" {
		t.Errorf("kernels: %q", left)
	}
}

// A home without room: said, and nothing half-written.
func TestKernel_FullDisk(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	offline(t, host, lab.Me)
	venv(t, host, "ds", "ipykernel")
	host.Small("/home/me/.local/share/jupyter", "64k")
	host.Sh("head -c 65536 /dev/zero >/home/me/.local/share/jupyter/full || :")
	fails(t, l.Run("kernel", "add", "ds", "--host", "gpu1"), 7, "nothing was added", "No space left")
	if left := host.ShAs(lab.Me, "find ~/.local/share/jupyter -name kernel.json"); left != "" {
		t.Errorf("left: %q", left)
	}
}
