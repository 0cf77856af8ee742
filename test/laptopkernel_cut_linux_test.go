package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// twinKernel is what a person does without nbremote: the kernel on the host,
// its five ports by ssh -L in a restart loop.
const twinKernel = `import json, subprocess, sys, time
name = sys.argv[1]
with open(name) as f:
    text = f.read()
c = json.loads(text)
subprocess.run(["ssh", "-o", "BatchMode=yes", "twin", "umask 077; cat >twin.json; setsid /opt/nbremote-test/jupyter/bin/python -m ipykernel_launcher -f twin.json >twin.log 2>&1 </dev/null &"], input=text.encode(), check=True)
ports = []
for k, v in c.items():
    if k.endswith("_port"):
        ports += ["-L", "127.0.0.1:%d:127.0.0.1:%d" % (v, v)]
while True:
    subprocess.run(["ssh", "-N", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2"] + ports + ["twin"])
    time.sleep(0.2)
`

// putTwin makes that a kernel of the laptop, twin.
func putTwin(l *lab.Lab) {
	l.Laptop.WriteFile(lab.Me, "/home/me/twin.py", twinKernel)
	l.Laptop.WriteFile(lab.Me, "/home/me/.local/share/jupyter/kernels/twin/kernel.json", `{"argv": ["/usr/bin/python3", "/home/me/twin.py", "{connection_file}"], "display_name": "twin", "language": "python", "interrupt_mode": "message"}`)
}

// cutCells count, say where they are, and show things of several kinds.
func cutCells(n int) []string {
	cells := []string{"import os, sys, time\nfrom IPython.display import display, HTML\nsaid = open(os.path.expanduser('~/said' if 'JPY_PARENT_PID' in os.environ else '~/said-twin'), 'a')"}
	for i := range n - 1 {
		cells = append(cells, fmt.Sprintf(`said.write("%d\n"); said.flush()
for i in range(10):
    print(%d, i, flush=True)
    time.sleep(0.01)
print("and", %d, file=sys.stderr)
display(HTML("<b>%d</b>"))
%d * 2`, i, i, i, i, i))
	}
	return cells
}

// A notebook of fifty cells over five cuts: its outputs are those of a run
// without any. The same kernel over ssh -L loses some, or hangs.
func TestN4_N5_LaptopKernelNotebookOverCuts(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	l.Must("close", "gpu1")
	box, other := l.Box(l.Host("gpu1"), "gpu1"), l.Box(l.Host("gpu1"), "twin")
	putTwin(l)
	cells := cutCells(50)
	uncut, ours, twin := runCells(t, l, "python3", cells), runCells(t, l, name, cells), runCells(t, l, "twin", cells)
	progress := func() int { return strings.Count(l.Host("gpu1").ReadFile("/home/me/said"), "\n") }
	for i := range 5 {
		lab.Wait(t, time.Minute, fmt.Sprintf("cell %d", 8*(i+1)), func() bool { return progress() > 8*(i+1) || ours.over() })
		box.Refuse(true)
		other.Refuse(true)
		box.Reset()
		other.Reset()
		time.Sleep(500 * time.Millisecond) // how long the line is down
		box.Refuse(false)
		other.Refuse(false)
	}
	whole := uncut.must(t)
	if got := ours.must(t); got != whole {
		t.Errorf("over cuts:\n%s\nwithout:\n%s", got, whole)
	}
	select {
	case err := <-twin.ended:
		if err == nil && twin.stdout.String() == whole {
			t.Error("the twin lost nothing: no cut was one")
		}
		t.Logf("twin: %v", err)
	case <-time.After(3 * time.Second):
		t.Log("twin: it hangs")
	}
	if cuts := statusOf(t, l).Link.Cuts; len(cuts) < 5 {
		t.Errorf("%d cuts", len(cuts))
	}
}

// over says whether the program has ended, without waiting.
func (p *program) over() bool { return len(p.ended) > 0 }
