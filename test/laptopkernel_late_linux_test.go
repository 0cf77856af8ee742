package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// pressing is what an editor does with a cell that runs.
const pressing = `def start(code):
    global cell
    cell = kc.execute(code)
def told(text):
    while True:
        m = kc.get_iopub_msg(timeout=30)
        if m["msg_type"] == "stream" and text in m["content"]["text"]:
            return m["parent_header"].get("msg_id") == cell
def ended():
    while True:
        r = kc.get_shell_msg(timeout=60)
        if r["parent_header"].get("msg_id") == cell:
            return r["content"].get("ename", r["content"]["status"])
def press():
    kc.control_channel.send(kc.session.msg("interrupt_request", {}))
def answer():
    return kc.get_control_msg(timeout=60)["content"]["status"]
def down():
    t = time.time()
    km.shutdown_kernel()
    return time.time() - t < 20
`

// until a file is there a cell runs.
func untilThere(file string) string {
	return `start("print('begun', flush=True)\nimport os, time\nwhile not os.path.exists('` + file + `'): time.sleep(0.05)")`
}

// pressingEditor is an editor of a laptop kernel with its own options.
func pressingEditor(t *testing.T, l *lab.Lab, name, option string) *editor {
	t.Helper()
	dir := "/home/me/.local/share/jupyter/kernels/"
	spec := strings.Replace(l.Laptop.ReadFile(dir+name+"/kernel.json"), `"proxy",`, `"proxy", "--patience", "`+option+`",`, 1)
	l.Laptop.WriteFile(lab.Me, dir+name+"-"+option+"/kernel.json", spec)
	l.Laptop.WriteFile(lab.Me, "/home/me/pressing.py", pressing)
	e := newEditor(t, l)
	e.ask(`exec(open("/home/me/pressing.py").read(), globals())`, "None")
	e.ask(`begin("`+name+"-"+option+`", "/home/me/`+option+`.ipynb", stderr="/home/me/said-`+option+`")`, "None")
	return e
}

// An interrupt or an end that is asked for while the line is down is done within
// the patience, else never, and that is said. Without a limit it hits what runs
// when the line is back.
func TestLaptopKernel_NothingIsDoneLate(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	l.Must("close", "gpu1")
	box := l.Box(l.Host("gpu1"), "gpu1")
	ours, twin := pressingEditor(t, l, name, "4s"), pressingEditor(t, l, name, "1h")
	for _, e := range []*editor{ours, twin} {
		e.ask(`run("x = 41")`, "ok")
		e.ask(untilThere("/home/me/go"), "None")
		e.ask(`told("begun")`, "True")
	}
	cut := func() {
		box.Refuse(true)
		if box.Reset() == 0 {
			t.Error("nothing was cut")
		}
	}
	cut()
	ours.ask(`press()`, "None")
	twin.ask(`press()`, "None")
	ours.ask(`told("nbremote: not interrupted: the line to gpu1 has been down for 4s")`, "True") // as output of that cell
	ours.ask(`answer()`, "error")
	box.Refuse(false)
	twin.ask(`ended()`, "KeyboardInterrupt")
	l.Host("gpu1").WriteFile(lab.Me, "/home/me/go", "")
	ours.ask(`ended()`, "ok")

	ours.ask(untilThere("/home/me/never"), "None")
	ours.ask(`told("begun")`, "True")
	cut()
	ours.ask(`press()`, "None")
	box.Refuse(false)
	ours.ask(`ended()`, "KeyboardInterrupt")
	ours.ask(`answer()`, "ok")

	cut()
	ours.ask(`down()`, "True")
	if said := l.Laptop.ReadFile("/home/me/said-4s"); !strings.Contains(said, "not ended: the line to gpu1") {
		t.Errorf("said: %s", said)
	}
	box.Refuse(false)
	again := pressingEditor(t, l, name, "4s")
	again.ask(`run("x + 1")`, "42")
	again.ask(`km.shutdown_kernel()`, "None")
	twin.ask(`km.shutdown_kernel()`, "None")
	lab.Wait(t, 20*time.Second, "the kernels to end", func() bool { return kernels(l) == 0 })
}
