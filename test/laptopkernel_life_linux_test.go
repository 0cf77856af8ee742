package test

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// window drives a kernel as an editor does, by jupyter_client: each line that it
// reads is run, with these names.
const window = `import os, signal, sys, time, traceback
from jupyter_client.manager import KernelManager
km = kc = None
def begin(name, session=None, stderr=None, **more):
    global km, kc
    km = KernelManager(kernel_name=name, **more)
    env = dict(os.environ)
    if session:
        env["JPY_SESSION_NAME"] = session
    km.start_kernel(env=env, stderr=open(stderr, "w") if stderr else None)
    join()
def join():
    global kc
    kc = km.client()
    kc.start_channels()
    kc.wait_for_ready(timeout=60)
def run(code, **more):
    said = []
    def hook(m):
        c = m["content"]
        said.append(c.get("text") or c.get("ename") or c.get("target_name") or c.get("data", {}).get("text/plain", ""))
    r = kc.execute_interactive(code, timeout=60, output_hook=hook, **more)
    return "".join(said) or r["content"]["status"]
def interrupted(code):
    said = []
    def hook(m):
        c = m["content"]
        if c.get("text", "").startswith("begun"):
            km.interrupt_kernel()
        said.append(c.get("ename", ""))
    kc.execute_interactive(code, timeout=60, output_hook=hook)
    return "".join(said)
def debugger():
    m = kc.session.msg("debug_request", {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}})
    kc.control_channel.send(m)
    return kc.get_control_msg(timeout=20)["content"]["success"]
def timed(f):
    t = time.time()
    f()
    return time.time() - t
print("ready", flush=True)
for line in sys.stdin:
    try:
        try:
            print("=", eval(line), flush=True)
        except SyntaxError:
            exec(line)
            print("= done", flush=True)
    except BaseException as e:
        traceback.print_exc()
        print("= raised", repr(e), flush=True)
`

// editor is a window: what it is told, line by line, and answers.
type editor struct {
	t     *testing.T
	p     *program
	stdin io.Writer
	asked int
}

func newEditor(t *testing.T, l *lab.Lab) *editor {
	t.Helper()
	e := &editor{t: t}
	e.p = startOnLaptop(t, l, func(cmd *lab.Cmd) (err error) { e.stdin, err = cmd.StdinPipe(); return err }, window)
	return e
}

// tell sends a line.
func (e *editor) tell(line string) {
	e.t.Helper()
	e.asked++
	if _, err := e.stdin.Write([]byte(line + "\n")); err != nil {
		e.t.Fatalf("%v\n%s", err, e.p.stderr.String())
	}
}

// hear waits for the answer of the last line.
func (e *editor) hear(limit time.Duration) string {
	e.t.Helper()
	var answers []string
	lab.Wait(e.t, limit, "the editor to answer; "+e.p.stderr.String(), func() bool {
		answers = strings.Split(e.p.stdout.String(), "\n= ")
		return len(answers) > e.asked && strings.HasSuffix(answers[e.asked], "\n")
	})
	return strings.TrimSuffix(answers[e.asked], "\n")
}

// ask is tell and hear.
func (e *editor) ask(line, want string) {
	e.t.Helper()
	e.tell(line)
	if got := e.hear(90 * time.Second); got != want {
		e.t.Errorf("%s: %q, want %q\n%s", line, got, want, e.p.stderr.String())
	}
}

// kernels are the kernel processes that run on gpu1.
func kernels(l *lab.Lab) int { return len(l.Host("gpu1").Running("ipykernel_launcher")) }

// An environment becomes a kernel of the laptop too. Interrupt, restart, input,
// completion, the debugger, comms and the end are as jupyter_client has them.
func TestA2_LaptopKernelLife(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	name := laptopKernel(t, l, lab.Jupyter)
	e := newEditor(t, l)
	e.ask(`begin("`+name+`")`, "None")
	e.ask(`run("x = 41; x + 1")`, "42")
	e.tell(`km.session.key.decode()`)
	if key := e.hear(10 * time.Second); len(key) < 16 || len(l.Host("gpu1").Running(key))+len(l.Laptop.Running(key)) > 0 {
		t.Errorf("the key %q is in a command line", key)
	}
	if c := clean(t, l, "gpu1", "--kernels", "-y"); len(c.Removed) != 0 || !c.stays("the kernel jupyter runs") || !c.stays("the kernel "+name+" of this computer runs") {
		t.Errorf("clean beside it: %+v", c)
	}
	e.ask(`interrupted("import time\nprint('begun', flush=True)\ntime.sleep(60)")`, "KeyboardInterrupt")
	e.ask(`run("x")`, "41")
	e.ask(`run("print(input('name? '))", stdin_hook=lambda m: kc.input("Ada"), allow_stdin=True)`, "Ada\n")
	e.ask(`kc.complete("x.bit_co", reply=True, timeout=20)["content"]["matches"]`, "['bit_count']")
	e.ask(`debugger()`, "True")
	e.ask(`run("from comm import create_comm; create_comm(target_name='slider', data={'a': 1}); print('made')")`, "slidermade\n")
	e.ask(`km.restart_kernel(now=False)`, "None")
	e.ask(`kc.wait_for_ready(timeout=60)`, "None")
	e.ask(`run("'x' in globals()")`, "False")
	e.ask(`run("y = 1")`, "ok")
	e.ask(`km.restart_kernel(now=True)`, "None")
	e.ask(`kc.wait_for_ready(timeout=60)`, "None")
	e.ask(`run("'y' in globals()")`, "False")
	if n := kernels(l); n != 1 {
		t.Errorf("%d kernels run", n)
	}
	e.ask(`km.shutdown_kernel()`, "None")
	lab.Wait(t, 20*time.Second, "the kernel to end", func() bool { return kernels(l) == 0 })
	lab.Wait(t, 20*time.Second, "the proxy to end", func() bool { return len(l.Laptop.Running("kernel proxy")) == 0 })
	if r := l.Must("kernel", "list", "--host", "gpu1"); !strings.Contains(r.Stdout, name+"  jupyter @ gpu1") {
		t.Errorf("list:\n%s", r.Stdout)
	}
	fails(t, l.Run("kernel", "add", "jupyter", "--host", ".", "--laptop"), 2, "--laptop is for one of another")
	if c := clean(t, l, "gpu1", "--kernels", "-y"); strings.Join(c.Removed, ",") != "kernel jupyter,kernel "+name+" of this computer" {
		t.Errorf("clean: %+v", c)
	}
	if left := l.Laptop.ShAs(lab.Me, "ls ~/.local/share/jupyter/kernels"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// A window that goes leaves its kernel to the next one of the same name; one
// that is not fetched is ended.
func TestLaptopKernel_Adopted(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	e := newEditor(t, l)
	e.ask(`begin("`+name+`", "/home/me/train.ipynb")`, "None")
	e.ask(`run("x = 41")`, "ok")
	e.p.cmd.Process.Kill()
	l.Laptop.Kill("kernel proxy", syscall.SIGKILL)
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "kernel my_venv for train.ipynb") {
		t.Errorf("ls: %s", r.Stdout)
	}
	other := newEditor(t, l)
	other.ask(`begin("`+name+`", "/home/me/other.ipynb")`, "None")
	other.ask(`run("'x' in globals()")`, "False")
	again := newEditor(t, l)
	again.ask(`begin("`+name+`", "/home/me/train.ipynb", stderr="/home/me/said")`, "None")
	again.ask(`run("x + 1")`, "42")
	again.ask(`run("print(input('name? '))", stdin_hook=lambda m: kc.input("Ada"), allow_stdin=True)`, "Ada\n")
	again.ask(`kc.complete("x.bit_co", reply=True, timeout=20)["content"]["matches"]`, "['bit_count']")
	if said := l.Laptop.ReadFile("/home/me/said"); !strings.Contains(said, "ran on without a window") {
		t.Errorf("said: %q", said)
	}
	again.ask(`km.restart_kernel(now=True)`, "None")
	again.ask(`kc.wait_for_ready(timeout=60)`, "None")
	again.ask(`run("'x' in globals()")`, "False")
	again.ask(`km.shutdown_kernel()`, "None")
	other.ask(`km.shutdown_kernel()`, "None")
	l.Must("kernel", "remove", name)
	if left := l.Laptop.ShAs(lab.Me, "ls ~/.local/share/jupyter/kernels"); left != "" {
		t.Errorf("left: %s", left)
	}
	lab.Wait(t, 20*time.Second, "the kernels to end", func() bool { return kernels(l) == 0 })
}

// With hardened its channels there are sockets, but for a port of ipykernel's own
// into which others can write and not read.
func TestA7_LaptopKernelOnSockets(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	ports := func() int {
		return strings.Count(l.Host("gpu1").Sh("ss -ltnHe"), "uid:"+strconv.Itoa(meUID(t, l)))
	}
	for _, hardened := range []bool{false, true} {
		if hardened {
			l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[hosts.gpu1]\nhardened = true\n")
		}
		e := newEditor(t, l)
		e.ask(`begin("`+name+`")`, "None")
		e.ask(`run("41 + 1")`, "42")
		if n := ports(); hardened && n > 1 || !hardened && n < 5 {
			t.Errorf("hardened %v: %d ports", hardened, n)
		}
		if hardened {
			e.ask(`km.restart_kernel(now=True)`, "None")
			e.ask(`kc.wait_for_ready(timeout=60)`, "None")
			e.ask(`run("41 + 1")`, "42")
			file := strings.TrimSpace(l.Must("kernel", "connect", "gpu1", "kernel-my_venv").Stdout)
			if got := console(t, l, file, "print('it', 'is', 43)\n"); !strings.Contains(got, "it is 43") {
				t.Errorf("%s", got)
			}
		}
		e.ask(`km.shutdown_kernel()`, "None")
	}
	lab.Wait(t, 20*time.Second, "the kernels to end", func() bool { return kernels(l) == 0 })
}

// death is an end that nobody asked for, and what is said of it.
type death struct {
	what, says string
	kill       func(e *editor)
}

// What ends a kernel that nobody asked to end is told in words, and nothing is
// left.
func TestN14_R16_L5_LaptopKernelDeath(t *testing.T) {
	t.Parallel()
	l, name := newLaptopKernel(t)
	host := l.Host("gpu1")
	deaths := []death{
		{"the kernel is killed", "killed (signal KILL), as the system does when memory is full", func(*editor) { host.Kill("ipykernel_launcher", syscall.SIGKILL) }},
		{"the holder is killed", "was closed on this computer", func(*editor) { l.Laptop.Kill("holder", syscall.SIGKILL) }},
		{"what watches it is killed", "is lost", func(*editor) { host.Kill("supervise.py", syscall.SIGKILL) }},
	}
	if group, file := memoryGroup(t); group != "" {
		deaths = append(deaths, death{"memory is full", "killed by its system: memory was full", func(e *editor) {
			putNumber(t, group+"/"+file, 300<<20)
			putNumber(t, group+"/cgroup.procs", host.Running("ipykernel_launcher")[0].PID)
			e.ask(`bool(kc.execute("x = bytearray(600 << 20)"))`, "True")
		}})
	}
	deaths = append(deaths, death{"the host is started again", "is lost", func(*editor) { reboot(l, host) }})
	die(t, l, name, deaths)
}

// By itself a kernel is kept for ten minutes, to the minute.
func TestSoak_LaptopKernelIsKeptTenMinutes(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("make soak")
	}
	t.Parallel()
	l, name := newLaptopKernel(t)
	e := newEditor(t, l)
	e.ask(`begin("`+name+`")`, "None")
	e.p.cmd.Process.Kill()
	l.Laptop.Kill("kernel proxy", syscall.SIGKILL)
	gone := time.Now()
	lab.Wait(t, 11*time.Minute, "the kernel to end", func() bool { return kernels(l) == 0 })
	if kept := time.Since(gone); kept < 10*time.Minute-5*time.Second {
		t.Errorf("it was kept for %v", kept)
	}
	lab.Wait(t, 20*time.Second, "what watched it to end", func() bool { return len(l.Host("gpu1").Running("supervise.py")) == 0 })
}

func die(t *testing.T, l *lab.Lab, name string, deaths []death) {
	t.Helper()
	host, spec := l.Host("gpu1"), "/home/me/.local/share/jupyter/kernels/"+name+"/kernel.json"
	l.Laptop.WriteFile(lab.Me, spec, strings.Replace(l.Laptop.ReadFile(spec), `"proxy",`, `"proxy", "--keep", "1s",`, 1))
	for _, c := range deaths {
		e := newEditor(t, l)
		e.ask(`begin("`+name+`", stderr="/home/me/said")`, "None")
		e.ask(`run("1 + 1")`, "2")
		c.kill(e)
		lab.Wait(t, 20*time.Second, c.what+": the editor to see it", func() bool { return len(l.Laptop.Running("kernel proxy")) == 0 })
		e.ask(`any([time.sleep(0.1) for _ in range(50) if km.is_alive()]) or km.is_alive()`, "False")
		said := strings.Join(strings.Fields(l.Laptop.ReadFile("/home/me/said")), " ")
		if !strings.Contains(said, c.says) {
			t.Errorf("%s: %q does not say %q", c.what, said, c.says)
		}
		t.Log(said)
		l.Must("kernel", "list", "--host", "gpu1") // a laptop that is back: the host cannot tell a dead one from a cut
		lab.Wait(t, 20*time.Second, c.what+": the kernel to end", func() bool { return kernels(l) == 0 })
		lab.Wait(t, 20*time.Second, c.what+": what watched it to end", func() bool { return len(host.Running("supervise.py")) == 0 })
	}
}

// memoryGroup is a group of processes whose memory can be limited by writing
// into the file; "": none can be made here.
func memoryGroup(t *testing.T) (group, file string) {
	t.Helper()
	for top, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		group, err := os.MkdirTemp(top, "nbremote-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(group) })
		if _, err := os.Stat(group + "/" + file); err == nil {
			return group, file
		}
	}
	return "", ""
}

func putNumber(t *testing.T, name string, number int) {
	t.Helper()
	if err := os.WriteFile(name, []byte(strconv.Itoa(number)), 0o644); err != nil {
		t.Fatal(err)
	}
}
