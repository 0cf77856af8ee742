package test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// console runs lines in jupyter console, joined to a kernel by its connection
// file, and gives what it prints.
func console(t *testing.T, l *lab.Lab, file, lines string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := l.Laptop.As(ctx, lab.Me, lab.Jupyter+"/bin/jupyter-console", "--simple-prompt", "--existing", file)
	cmd.Stdin = strings.NewReader(lines)
	var out lab.Text
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("jupyter console: %v\n%s", err, out.String())
	}
	return out.String()
}

// A kernel that runs is joined by a real console: one of a Jupyter on the host
// by its ID, and one of an editor here by its name.
func TestKernel_Connect(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	o := open(t, l, "gpu1")
	var started struct {
		ID string `json:"id"`
	}
	post(t, l, o, "/api/kernels", `{"name": "python3"}`, &started)
	file := strings.TrimSpace(l.Must("kernel", "connect", "gpu1", started.ID[:8]).Stdout)
	console(t, l, file, "kept = 6 * 7\n")
	if got := console(t, l, file, "print('it', 'is', kept)\n"); !strings.Contains(got, "it is 42") {
		t.Errorf("%s", got)
	}
	if again := strings.TrimSpace(l.Must("kernel", "connect", "gpu1", "python3").Stdout); again != file {
		t.Errorf("again %q, before %q", again, file)
	}
	if ls := l.Must("ls").Stdout; strings.Count(ls, started.ID) != 2 || strings.Contains(ls, "forward") || !strings.Contains(ls, file) {
		t.Errorf("ls:\n%s", ls) // its ID is its name and in its file's
	}
	if mode := l.Laptop.Sh("stat -c %a " + file); mode != "600\n" {
		t.Errorf("the mode of its file: %s", mode)
	}
	fails(t, l.Run("kernel", "connect", "gpu1", "nosuch"), 3, "connect to kernel nosuch on gpu1: no such kernel runs there", "nbremote kernel list")
	e := newEditor(t, l)
	e.ask(`begin("`+name+`", transport="ipc")`, "None") // sockets here, ports there
	e.ask(`run("kept = 43")`, "ok")
	file = strings.TrimSpace(l.Must("kernel", "connect", "gpu1", "kernel-my_venv").Stdout)
	if got := console(t, l, file, "print('it', 'is', kept)\n"); !strings.Contains(got, "it is 43") {
		t.Errorf("%s", got)
	}
	e.ask(`km.shutdown_kernel()`, "None")
}

// A kernel that is no Python's: Deno, whose own program speaks ZeroMQ.
func TestLaptopKernel_Deno(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "/opt/nbremote-test/tools/bin/deno")
	l := lab.New(t, lab.Chain{})
	l.Host("gpu1").ShAs(lab.Me, "DENO_NO_UPDATE_CHECK=1 /opt/nbremote-test/tools/bin/deno jupyter --install 2>&1")
	name := laptopKernel(t, l, "deno")
	e := newEditor(t, l)
	e.ask(`begin("`+name+`")`, "None")
	// Deno now and then says idle before it gives the value.
	e.ask(`any("42" in run("const x%d: number = 41; x%d + 1" % (i, i)) for i in range(9))`, "True")
	e.ask(`km.shutdown_kernel()`, "None")
	lab.Wait(t, 20*time.Second, "the kernel to end", func() bool { return len(l.Host("gpu1").Running("deno")) == 0 })
}

// conformance runs the tests of jupyter_kernel_test against a kernel and prints
// how each went.
const conformance = `import sys, unittest
import jupyter_kernel_test as jkt
class Tests(jkt.KernelTests):
    kernel_name, language_name, file_extension = sys.argv[1], "python", ".py"
    code_hello_world, code_stderr = "print('hello, world')", "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples, incomplete_code_samples, invalid_code_samples = ["1", "print('hello')"], ["def f(x):"], ["import = 7q"]
    code_page_something, code_generate_error = "zip?", "raise"
    code_execute_result = [{"code": "1+2+3", "result": "6"}, {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"}]
    code_display_data = [{"code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))", "mime": "text/html"}]
    code_history_pattern, supported_history_operations = "1?2*", ("tail", "range", "search")
    code_inspect_sample, code_clear_output = "zip", "from IPython.display import clear_output; clear_output()"
class Result(unittest.TestResult):
    def say(self, test, how): print(test._testMethodName, how, flush=True)
    def addSuccess(self, test): self.say(test, "passes")
    def addSkip(self, test, why): self.say(test, "is skipped")
    def addError(self, test, e): self.say(test, "breaks: " + str(e[1])); super().addError(test, e)
    def addFailure(self, test, e): self.say(test, "fails: " + str(e[1])); super().addFailure(test, e)
result = Result()
unittest.defaultTestLoader.loadTestsFromTestCase(Tests).run(result)
for _, text in result.errors: print(text, file=sys.stderr)
`

// What plain ipykernel 6 passes of Jupyter's own tests for kernels, a laptop
// kernel passes.
func TestLaptopKernel_Conformance(t *testing.T) {
	t.Parallel()
	conforms(t, "6.", lab.Jupyter+"-2.7")
}

// And 7.
func TestSoak_LaptopKernelConformance(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("make soak")
	}
	t.Parallel()
	conforms(t, "7.", lab.Jupyter)
}

func conforms(t *testing.T, version, prefix string) {
	t.Helper()
	l, name := newLaptopKernelOf(t, prefix)
	l.Laptop.WriteFile(lab.Me, "/home/me/.local/share/jupyter/kernels/plain/kernel.json", kernelOf(prefix))
	plain, ours := onLaptop(t, l, conformance, "plain"), onLaptop(t, l, conformance, name)
	want, got := plain.must(t), ours.must(t)
	if got != want || strings.Count(want, " passes") < 10 {
		t.Errorf("a laptop kernel:\n%s\nplain ipykernel:\n%s\n%s", got, want, ours.stderr.String())
	}
	t.Logf("%s", got)
	if out := l.Host("gpu1").ShAs(lab.Me, prefix+"/bin/python -c 'import ipykernel; print(ipykernel.__version__)'"); !strings.HasPrefix(out, version) {
		t.Errorf("it is ipykernel %s", out)
	}
}

// An editor's kernel has no terminal: where a person must answer it says what to
// type, and nothing stays.
func TestLaptopKernel_NobodyCanBeAsked(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Passphrase: "correct horse"})
	l.Laptop.WriteFile(lab.Me, "/home/me/k.json", `{"transport": "tcp", "ip": "127.0.0.1", "key": "k", "signature_scheme": "hmac-sha256",
		"shell_port": 20001, "iopub_port": 20002, "stdin_port": 20003, "control_port": 20004, "hb_port": 20005}`)
	fails(t, l.Run("kernel", "proxy", "gpu1", "/home/me/.local/share/jupyter/kernels/ds", "/home/me/k.json"), 4, "start kernel ds", "nbremote open gpu1")
	if left := l.Laptop.Running("kernel proxy"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
