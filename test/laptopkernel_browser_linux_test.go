package test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nbremote/test/lab"
)

// localLab is a JupyterLab on the laptop itself, and its address.
func localLab(t *testing.T, l *lab.Lab) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.Laptop.WriteFile(lab.Me, "/home/me/jupyter_server_config.py", "c.IdentityProvider.token = '"+strings.Repeat("t", 43)+"'\n")
	cmd := l.Laptop.As(ctx, lab.Me, lab.Jupyter+"/bin/jupyter-lab", "--no-browser", "--port=18999", "--config=/home/me/jupyter_server_config.py")
	var said lab.Text
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = append(cmd.Env, "GORACE=log_path=/tmp/race")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the JupyterLab here:\n%s", said.String())
		}
	})
	awaitListener(t, l.Laptop, "127.0.0.1:18999")
	return "http://127.0.0.1:18999/lab?token=" + strings.Repeat("t", 43)
}

// A JupyterLab on the laptop has the kernel in its list, and a cell runs on the
// host.
func TestLaptopKernel_InLocalLab(t *testing.T) {
	t.Parallel()
	l, _ := newLaptopKernel(t)
	tab := l.Chromium(5 * time.Minute)
	inLocalLab(t, l, tab, `import os
print("at", os.uname().nodename)`, "at gpu1")
}

// There a cell prints on over a cut.
func TestSoak_LaptopKernelInLocalLab(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("make soak")
	}
	t.Parallel()
	l, _ := newLaptopKernel(t)
	l.Must("close", "gpu1")
	box := l.Box(l.Host("gpu1"), "gpu1")
	tab := l.Chromium(5 * time.Minute)
	inLocalLab(t, l, tab, `import os, time
for i in range(80):
    print("line", i, flush=True)
    time.sleep(0.1)
print("at", os.uname().nodename)`, "line 3")
	box.Refuse(true)
	if box.Reset() == 0 {
		t.Error("nothing was cut")
	}
	time.Sleep(3 * time.Second) // how long the line is down
	box.Refuse(false)
	await(t, tab, "the last line", `(`+outputs+`).includes("at gpu1")`)
	await(t, tab, "every line", `Array.from({length: 80}, (_, i) => "line " + i + "\n").every(s => (`+outputs+`).includes(s))`)
	do(t, tab, "wait for the kernel", chromedp.WaitVisible(kernelIdle))
}

// inLocalLab runs a cell by the laptop's own JupyterLab until it has printed that.
func inLocalLab(t *testing.T, l *lab.Lab, tab context.Context, cell, prints string) {
	t.Helper()
	proveInLab(t, tab, localLab(t, l), "laptop")
	changeKernel(t, tab, "my_venv @ gpu1")
	until(t, tab, "the cell to be typed", `document.querySelector(".jp-NotebookPanel .jp-Cell.jp-mod-active .cm-content").innerText.includes("import os")`,
		chromedp.Click(activeCell), chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), insert(cell))
	until(t, tab, "the cell to print", `(`+outputs+`).includes("`+prints+`")`, chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}
