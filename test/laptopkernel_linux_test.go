package test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"nbremote/test/lab"
)

// laptopPython has jupyter_client and nbclient, as an editor's would.
const laptopPython = lab.Jupyter + "/bin/python"

// laptopKernel makes an environment on gpu1 a kernel of the laptop, and gives
// its name there.
func laptopKernel(t *testing.T, l *lab.Lab, env string) string {
	t.Helper()
	var k struct {
		Name string `json:"name"`
	}
	r := l.Must("kernel", "add", env, "--host", "gpu1", "--laptop", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &k); err != nil {
		t.Fatalf("%v in:\n%s%s", err, r.Stdout, r.Stderr)
	}
	return k.Name
}

// onLaptop is a program of Python on the laptop, which runs beside the test.
func onLaptop(t *testing.T, l *lab.Lab, text string, args ...string) *program {
	t.Helper()
	return startOnLaptop(t, l, nil, text, args...)
}

// startOnLaptop is onLaptop; prepare may change the command.
func startOnLaptop(t *testing.T, l *lab.Lab, prepare func(*lab.Cmd) error, text string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	p := &program{ended: make(chan error, 1)}
	cmd := l.Laptop.As(ctx, lab.Me, append([]string{laptopPython, "-c", text}, args...)...)
	cmd.Env = append(cmd.Env, "GORACE=log_path=/tmp/race")
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	p.cmd = cmd
	if prepare != nil {
		if err := prepare(cmd); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- cmd.Wait() }()
	t.Cleanup(cancel)
	return p
}

type program struct {
	cmd            *lab.Cmd
	stdout, stderr lab.Text
	ended          chan error
}

// must waits for the end and gives what was printed.
func (p *program) must(t *testing.T) string {
	t.Helper()
	if err := <-p.ended; err != nil {
		t.Fatalf("%v\n%s%s", err, p.stdout.String(), p.stderr.String())
	}
	return p.stdout.String()
}

// notebook runs cells by nbclient and prints their outputs.
const notebook = `import json, sys
import nbformat, nbclient
nb = nbformat.v4.new_notebook()
nb.cells = [nbformat.v4.new_code_cell(c) for c in json.load(open(sys.argv[2]))]
nbclient.NotebookClient(nb, kernel_name=sys.argv[1], timeout=300).execute()
def merged(outputs):  # a stream comes in pieces as it happens
    out = []
    for o in outputs:
        o = {k: v for k, v in o.items() if k != "execution_count"}
        if out and o["output_type"] == "stream" and out[-1].get("name") == o["name"]:
            out[-1]["text"] += o["text"]
        else:
            out.append(o)
    return out
for c in nb.cells:
    print(json.dumps(merged(c.outputs)))
`

func runCells(t *testing.T, l *lab.Lab, kernel string, cells []string) *program {
	t.Helper()
	raw, err := json.Marshal(cells)
	if err != nil {
		t.Fatal(err)
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/cells.json", string(raw))
	return onLaptop(t, l, notebook, kernel, "/home/me/cells.json")
}

// newLaptopKernel is a lab with a kernel on gpu1, my_venv, that is one of the
// laptop too, by its name there.
func newLaptopKernel(t *testing.T) (*lab.Lab, string) {
	t.Helper()
	return newLaptopKernelOf(t, lab.Jupyter)
}

// newLaptopKernelOf is newLaptopKernel of an environment that has ipykernel.
func newLaptopKernelOf(t *testing.T, prefix string) (*lab.Lab, string) {
	t.Helper()
	lab.Needs(t, prefix+"/bin/python")
	l := lab.New(t, lab.Chain{})
	l.Host("gpu1").WriteFile(lab.Me, "/home/me/.local/share/jupyter/kernels/my_venv/kernel.json", kernelOf(prefix))
	return l, laptopKernel(t, l, "my_venv")
}

func kernelOf(prefix string) string {
	return `{"argv": ["` + prefix + `/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "my_venv", "language": "python", "metadata": {"debugger": true}}`
}
