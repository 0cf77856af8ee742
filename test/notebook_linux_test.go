package test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// notebookOf is a notebook with these cells, of a kernel.
func notebookOf(kernel string, cells ...string) string {
	type cell = map[string]any
	all := []cell{{"cell_type": "markdown", "metadata": cell{}, "source": "# it"}}
	for _, code := range cells {
		c := cell{"cell_type": "code", "metadata": cell{}, "source": code, "outputs": []any{}, "execution_count": nil}
		if strings.HasPrefix(code, "lr =") {
			c["metadata"] = cell{"tags": []string{"parameters"}}
		}
		all = append(all, c)
	}
	raw, err := json.Marshal(cell{"cells": all, "nbformat": 4, "nbformat_minor": 4, "metadata": cell{"kernelspec": cell{"name": kernel, "language": "python", "display_name": kernel}}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// cellsPrinted is all that the cells of a notebook have printed on stdout; marks is
// what its cells of text say.
func cellsPrinted(t *testing.T, text string) (out, marks string) {
	t.Helper()
	var nb struct {
		Cells []struct {
			Type    string `json:"cell_type"`
			Source  any    `json:"source"`
			Outputs []struct {
				Name string `json:"name"`
				Text any    `json:"text"`
			} `json:"outputs"`
		} `json:"cells"`
	}
	if err := json.Unmarshal([]byte(text), &nb); err != nil {
		t.Errorf("it does not parse: %v: %.200q", err, text)
	}
	joined := func(v any) (s string) {
		list, ok := v.([]any)
		if !ok {
			return fmt.Sprint(v)
		}
		for _, part := range list {
			s += fmt.Sprint(part)
		}
		return s
	}
	for _, c := range nb.Cells {
		if c.Type == "markdown" {
			marks += joined(c.Source) + "\n"
		}
		for _, o := range c.Outputs {
			if o.Name == "stdout" {
				out += joined(o.Text)
			}
		}
	}
	return out, marks
}

// A notebook runs as a script does: what its cells print, its end, and what ran
// of it beside it.
func TestRun_Notebook(t *testing.T) {
	t.Parallel()
	lab.Needs(t, lab.Jupyter+"/bin/papermill")
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "mkdir -p proj/sub")
	first := notebookOf("no-such", "lr = 1", "import os, sys\nprint(lr * 2, end=''); print(os.getcwd(), file=sys.stderr)", "lr + 1")
	host.WriteFile(lab.Me, "/home/me/proj/sub/my nb {1}.ipynb", first)
	in := []string{"run", "--env", lab.Jupyter}
	r := l.Must(append(in, "gpu1:proj", "sub/my nb {1}.ipynb", "-p", "lr=0.25")...)
	if r.Stdout != "In [1]: lr = 1\nIn [2]: # Parameters …\nIn [3]: import os, sys …\n0.5\nIn [4]: lr + 1\nOut[4]: 1.25\n" ||
		!strings.Contains(r.Stderr, "\n/home/me/proj/sub\n") || !strings.HasSuffix(r.Stderr, "nbremote: every cell ran: my nb {1}.out.ipynb\n") {
		t.Errorf("it shows %q, %q", r.Stdout, r.Stderr)
	}
	if out, _ := cellsPrinted(t, host.ReadFile("/home/me/proj/sub/my nb {1}.out.ipynb")); out != "0.5" {
		t.Errorf("the result has %q", out)
	}
	if host.ReadFile("/home/me/proj/sub/my nb {1}.ipynb") != first {
		t.Error("the input was touched")
	}

	// A failing cell; what another run has left is kept.
	host.WriteFile(lab.Me, "/home/me/proj/train.ipynb", notebookOf("python3", "print('one')", "1/0", "print('not reached')"))
	host.ShAs(lab.Me, "chmod 600 proj/train.ipynb; echo mine >proj/train.out.ipynb")
	fails(t, l.Run(append(in, "gpu1:proj/train.ipynb")...), 1, "nbremote: cell [2] failed: ZeroDivisionError: division by zero; it and those before it are in train.out.ipynb",
		"what train.out.ipynb was before is now train.out.1.ipynb", "----> 1 1/0")
	out, marks := cellsPrinted(t, host.ReadFile("/home/me/proj/train.out.ipynb"))
	if out != "one\n" || !strings.Contains(marks, "An Exception was encountered") || host.ReadFile("/home/me/proj/train.out.1.ipynb") != "mine\n" {
		t.Errorf("the result has %q, %q", out, marks)
	}
	if mode := host.Sh("stat -c %a /home/me/proj/train.out.ipynb"); mode != "600\n" {
		t.Errorf("the result of a private notebook has mode %s", mode)
	}
	if r := l.Must("ls"); !strings.HasPrefix(strings.Join(strings.Fields(r.Stdout), " "), "gpu1/train exit 1, ") {
		t.Errorf("ls: %s", r.Stdout)
	}

	// Stopped in the middle of a cell: what ran is there, and says so.
	host.WriteFile(lab.Me, "/home/me/proj/slow.ipynb", notebookOf("python3", "print('done')", "print('begun', flush=True)\nimport time; time.sleep(300)"))
	j := l.Start(append(in, "gpu1:proj", "--", "slow.ipynb")...)
	j.Expect("begun\n", time.Minute)
	two := l.Start(append(in, "gpu1:proj", "slow.ipynb")...) // beside the first
	two.Expect("begun\n", time.Minute)
	l.Must("stop", "-y", "gpu1/slow")
	if r := j.Wait(); r.Exit != 143 || !strings.Contains(r.Stderr, "nbremote: stopped in cell [2]; what ran so far is in slow.out.ipynb") {
		t.Errorf("stopped: exit %d, %s", r.Exit, r.Stderr)
	}
	if out, marks := cellsPrinted(t, host.ReadFile("/home/me/proj/slow.out.ipynb")); out != "done\nbegun\n" || !strings.Contains(marks, "stopped in cell [2]") {
		t.Errorf("the result has %q, %q", out, marks)
	}
	host.Kill("ipykernel_launcher", 9)
	if r := two.Wait(); r.Exit != 1 || !strings.Contains(r.Stderr, "nbremote: cell [2]: Kernel died; what ran so far is in slow-2.out.ipynb") {
		t.Errorf("the kernel killed: exit %d, %s", r.Exit, r.Stderr)
	}
	if left := host.Running("ipykernel_launcher"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left := host.ShAs(lab.Me, "ls -A proj /tmp"); strings.Contains(left, ".part") || strings.Contains(left, "nbr-nb") {
		t.Errorf("left: %s", left)
	}

	l.Laptop.WriteFile(lab.Me, "/home/me/only.ipynb", first)
	fails(t, l.Run("run", "gpu1:proj", "only.ipynb"), 255, "no ~/proj/only.ipynb there, but one here")
	fails(t, l.Run("run", "gpu1:proj", "nowhere.ipynb"), 255, "find ~/proj/nowhere.ipynb: no such file")
	host.ShAs(lab.Me, "mkdir bare; python3 -m venv --without-pip bare/.venv; cp proj/train.ipynb bare")
	fails(t, l.Run("run", "gpu1:bare/train.ipynb"), 255, "/home/me/bare/.venv/bin/python3 lacks papermill and ipykernel", "-y, which installs it")
	host.ShAs(lab.Me, "cp proj/train.ipynb .")
	fails(t, l.Run("run", "gpu1", "train.ipynb"), 255, "python3 lacks papermill and ipykernel", "--env, one of: bare, ")
	x := l.Pty("run", "gpu1:bare", "train.ipynb")
	x.Expect("papermill and ipykernel is missing", 30*time.Second)
	x.Type("n\r")
	if r := x.Wait(); r.Exit != 255 {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
}

// The relay is killed and the line cut while it runs: every line comes once and
// is in the result. papermill by ssh ends with the line.
func TestR18_NotebookOverCuts(t *testing.T) {
	t.Parallel()
	lab.Needs(t, lab.Jupyter+"/bin/papermill")
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.WriteFile(lab.Me, "/home/me/long.ipynb", notebookOf("python3", "import time", "for n in range(200):\n    print('line', n, flush=True); time.sleep(0.02)", "print('end')"))
	want := ""
	for n := range 200 {
		want += fmt.Sprintf("line %d\n", n)
	}
	want += "end\n"
	j := l.Start("run", "--env", lab.Jupyter, "gpu1", "long.ipynb")
	j.Expect("line 3\n", time.Minute)
	if host.Kill("serve relay-", syscall.SIGKILL) == 0 { // who follows goes on by another
		t.Fatal("there is no relay")
	}
	cutOften(t, host, j, 3)
	r := j.Wait()
	if got := strings.Join(strings.Split(r.Stdout, "In [")[2:], ""); r.Exit != 0 || strings.Count(r.Stdout, "line ") != 200 || !strings.HasSuffix(got, "end\n") {
		t.Errorf("exit %d, %d bytes\n%s", r.Exit, len(r.Stdout), r.Stderr)
	}
	if out, _ := cellsPrinted(t, host.ReadFile("/home/me/long.out.ipynb")); out != want {
		t.Errorf("the result has %d bytes of %d", len(out), len(want))
	}
	if log := l.Must("logs", "gpu1/long").Stdout; !strings.HasPrefix(log, "In [1]: import time\n") || strings.Count(log, "line ") != 200 {
		t.Errorf("logs: %d bytes", len(log))
	}

	// The twin.
	done := make(chan lab.Result, 1)
	go func() { done <- l.SSH("gpu1", lab.Jupyter+"/bin/papermill --log-output long.ipynb twin.ipynb") }()
	lab.Wait(t, time.Minute, "the twin to run", func() bool {
		raw, _ := os.ReadFile(host.Path("/home/me/twin.ipynb"))
		return len(raw) > 0 && len(host.Running("ipykernel_launcher")) > 0
	})
	host.HangUp()
	<-done
	lab.Wait(t, time.Minute, "the twin's kernel to end", func() bool { return len(host.Running("ipykernel_launcher")) == 0 })
	raw, err := os.ReadFile(host.Path("/home/me/twin.ipynb"))
	if err != nil || strings.Contains(string(raw), "'end'") && strings.Contains(string(raw), `"end\n"`) {
		t.Errorf("papermill by ssh lost nothing: %v", err)
	}
}
