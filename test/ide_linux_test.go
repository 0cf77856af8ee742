package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

const (
	vscodeDir = "/opt/nbremote-test/vscode"
	python    = lab.Jupyter + "/bin/python"
)

// vscodeSays is the answer of vscode.mjs.
type vscodeSays struct {
	File struct {
		Tasks []vscodeTask `json:"tasks"`
	} `json:"file"`
	Errors []any `json:"errors"`
	Events []struct {
		Kind     string `json:"kind"`
		Text     string `json:"text"`
		Severity int    `json:"severity"`
	} `json:"events"`
	raw []byte
}

type vscodeTask struct {
	Label   string   `json:"label"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

// kinds are the events, a problem with the severity that VS Code gives it.
func (v vscodeSays) kinds() string {
	var all []string
	for _, e := range v.Events {
		kind := strings.TrimPrefix(e.Kind, "backgroundProcessing")
		if kind == "problem" {
			kind = map[int]string{8: "error", 4: "warning"}[e.Severity]
		}
		all = append(all, kind)
	}
	return strings.Join(all, " ")
}

// vscode asks VS Code's own code about a tasks.json; question is as in
// vscode.mjs.
func vscode(t *testing.T, question map[string]any) vscodeSays {
	t.Helper()
	lab.Needs(t, "node", vscodeDir+"/node_modules")
	asked, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "vscode.mjs", vscodeDir)
	cmd.Stdin = bytes.NewReader(asked)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, trouble.String())
	}
	says := vscodeSays{raw: raw}
	if err := json.Unmarshal(raw, &says); err != nil {
		t.Fatal(err)
	}
	return says
}

// validate names what the schema of an answer has against its file.
func validate(t *testing.T, says vscodeSays) string {
	t.Helper()
	lab.Needs(t, python)
	cmd := exec.Command(python, "-c", `
import json, sys, jsonschema
a = json.load(sys.stdin)
jsonschema.Draft7Validator.check_schema(a["schema"])
for e in jsonschema.Draft7Validator(a["schema"]).iter_errors(a["file"]): print(e.message[:200])`)
	cmd.Stdin = bytes.NewReader(says.raw)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// VS Code reads what is written, alone and merged into a file with comments,
// and its published schema accepts it; a key that it does not know is refused,
// so the schema does look.
func TestIDE_SchemaOfVSCode(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{
		"new":    "",
		"merged": "\ufeff// mine\r\n{\r\n\t\"version\": \"2.0.0\",\r\n\t\"tasks\": [\r\n\t\t{ \"label\": \"x\", \"type\": \"shell\", \"command\": \"make\" }, // late\r\n\t],\r\n}",
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, ".vscode", "tasks.json")
		if before != "" {
			if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(before), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(lab.Binary, "ide", "vscode", "gpu1:~/it's", "--debug", "--write", "--dir", dir)
		cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		says := vscode(t, map[string]any{"text": text})
		if len(says.Errors) != 0 || len(says.File.Tasks) < 3 {
			t.Errorf("%s: VS Code finds %v in\n%s", name, says.Errors, text)
		}
		if wrong := validate(t, says); wrong != "" {
			t.Errorf("%s: %s", name, wrong)
		}
		unknown := vscode(t, map[string]any{"text": strings.Replace(text, `"isBackground"`, `"isBackgroud"`, 1)})
		if validate(t, unknown) == "" {
			t.Errorf("%s: the schema accepts anything", name)
		}
	}
}

// The task's own command line, run at a terminal as VS Code runs it, says lines
// on which its matcher fires: VS Code's own matcher, fed with them. The token is
// in none of them, though url has it.
func TestIDE_MatcherOnARealRun(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	text := l.Must("ide", "vscode", "gpu1").Stdout
	task := taskOf(t, text, "nbremote: open gpu1")
	x := l.Pty(task.Args...)
	x.Expect("nbremote: ready gpu1/main http://127.0.0.1:", time.Minute)
	x.Expect("nbremote url gpu1/main --copy", 5*time.Second)
	address := strings.TrimSpace(l.Must("url", "gpu1").Stdout)
	_, token, ok := strings.Cut(address, "?token=")
	if !ok || len(token) < 32 {
		t.Fatalf("url has no token: %s", address)
	}
	x.Signal(syscall.SIGINT) // Terminate Task
	x.Wait()
	if screen := x.Screen(); strings.Contains(screen, token) || strings.Contains(screen, "token=") {
		t.Errorf("the token is in the task's terminal:\n%s", screen)
	}
	if n := len(l.Opened()); n != 0 {
		t.Errorf("%d pages in the browser", n)
	}
	says := vscode(t, map[string]any{"text": text, "label": task.Label, "lines": terminalLines(x.Screen())})
	if got := says.kinds(); got != "Begins Ends" || !strings.HasPrefix(says.Events[1].Text, "nbremote: ready gpu1/main ") {
		t.Errorf("VS Code saw %q in\n%s", got, x.Screen())
	}

	unknown := l.Must("ide", "vscode", "gpu11").Stdout
	task = taskOf(t, unknown, "nbremote: open gpu11")
	y := l.Pty(task.Args...)
	if r := y.Wait(); r.Exit == 0 {
		t.Errorf("gpu11 is there:\n%s", y.Screen())
	}
	says = vscode(t, map[string]any{"text": unknown, "label": task.Label, "lines": terminalLines(y.Screen())})
	if got := says.kinds(); got != "Begins error" || !strings.Contains(says.Events[1].Text, " gpu11: ") {
		t.Errorf("VS Code saw %q in\n%s", got, y.Screen())
	}

	stop := taskOf(t, text, "nbremote: stop gpu1")
	if z := l.Pty(stop.Args...); z.Wait().Exit != 0 {
		t.Errorf("stop:\n%s", z.Screen())
	}
	if left := l.Host("gpu1").Running("jupyter-lab"); len(left) != 0 {
		t.Errorf("left after stop: %v", left)
	}
}

// A pipe gets the token of open, as before; only who asks for the lines and
// stays does not.
func TestIDE_TokenOnlyWhereItIsPasted(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	for _, c := range []struct {
		args  []string
		token bool
	}{
		{[]string{"--foreground", "--no-browser"}, true},
		{[]string{"--foreground", "--no-browser", "--progress=plain"}, false},
		{[]string{"--foreground", "--progress=plain"}, false},
		{[]string{"--foreground", "--progress=plain", "--json"}, true},
	} {
		j := l.Start(append([]string{"open", "gpu1"}, c.args...)...)
		j.Expect("Ctrl-C closes the line", time.Minute)
		j.Signal(syscall.SIGINT)
		r := j.Wait()
		if got := strings.Contains(r.Stdout, "token"); got != c.token || !strings.Contains(r.Stdout, "http://127.0.0.1:") || strings.Contains(r.Stderr, "token=") {
			t.Errorf("%q: token %v, want %v\n%s%s", c.args, got, c.token, r.Stdout, r.Stderr)
		}
	}
}

// taskOf gives a task as VS Code reads it.
func taskOf(t *testing.T, text, label string) vscodeTask {
	t.Helper()
	all := vscode(t, map[string]any{"text": text}).File.Tasks
	i := slices.IndexFunc(all, func(task vscodeTask) bool { return task.Label == label })
	if i < 0 || all[i].Command != "nbremote" {
		t.Fatalf("no task %q in %+v", label, all)
	}
	return all[i]
}

func terminalLines(screen string) []string {
	return strings.Split(strings.ReplaceAll(screen, "\r\n", "\n"), "\n")
}

// A real JupyterLab of the laptop runs its cells on the host, by the lines that
// ide jlab prints.
func TestIDE_JupyterLabHere(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	open(t, l, "gpu1")
	lines := l.Must("ide", "jlab", "gpu1", "-q").Stdout
	const port = 8931
	text := strings.Replace(lines, "jupyter lab", lab.Jupyter+"/bin/jupyter lab --no-browser --port=8931 --IdentityProvider.token=local", 1)
	here := l.Laptop.As(t.Context(), lab.Me, "/bin/sh", "-c", text)
	if err := here.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(here.Process.Pid, syscall.SIGKILL); here.Wait() })
	awaitListener(t, l.Laptop, "127.0.0.1:8931")
	page := newPage(t, l, port, "local")
	page.run(t.Context(), "import os; open(os.path.expanduser('~/made'), 'w').close()")
	lab.Wait(t, 30*time.Second, "what the cell makes on the host", func() bool {
		return l.Host("gpu1").ShAs(lab.Me, "ls") == "made\n"
	})
	if left := l.Laptop.ShAs(lab.Me, "ls"); strings.Contains(left, "made") {
		t.Errorf("it ran here: %s", left)
	}
}
