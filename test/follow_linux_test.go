package test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// dashboard is a cell with a real Dask, whose scheduler, nanny and worker listen
// on ports of the system's choice, and with other servers: in a child, in one
// that has left its parents, on a port of the system's choice. That one would
// tell of anybody who connects.
const dashboard = `import os, socket, subprocess, sys, threading
from distributed import LocalCluster
cluster = LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=None)
web = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
os.chdir("/tmp")
child = subprocess.Popen(web + ["8000"])
os.system(" ".join(web + ["8090"]) + " >/dev/null 2>&1 & sleep 0.1")
quiet = socket.create_server(("127.0.0.1", 0))
def tell():
    quiet.accept()
    open(os.path.expanduser("~/disturbed"), "w").close()
threading.Thread(target=tell, daemon=True).start()
threading.Event().wait()
`

// followed are the local ports that lead to a host without anybody having asked.
func followed(t *testing.T, l *lab.Lab) map[string]int {
	t.Helper()
	ports := map[string]int{}
	for _, row := range proxies(t, l) {
		if row["followed"] == true {
			ports[strings.Fields(row["what"].(string))[0]] = int(row["port"].(float64))
		}
	}
	return ports
}

// Ports of what Jupyter and run began are ports here, of the same number where
// nobody has it, and no other port of the host is; over a cut, the relay's end
// and the holder's. They go with their listeners, and when a person closes them.
func TestN3_PortsOfOwnProcesses(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	outside := host.As(t.Context(), lab.Me, "/usr/bin/python3", "-m", "http.server", "8123")
	if err := outside.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(outside.Process.Pid, syscall.SIGKILL); outside.Wait() })
	serveFar(t, l.Laptop, "[::1]:8000", says("the laptop's"))
	stays := l.Start("open", "--foreground", "--no-browser", "gpu1")
	stays.Expect("Ctrl-C closes", time.Minute)
	o := open(t, l, "gpu1")
	page := newPage(t, l, o.Port, o.Token)
	page.run(t.Context(), dashboard)
	script(l, 8100)
	want := map[string]int{"localhost:8787": 8787, "localhost:8000": 8001, "localhost:8090": 8090, "localhost:8100": 8100}
	arePorts(t, l, want)
	for port, text := range map[int]string{8787: "/health", 8001: "/", 8090: "/", 8100: "/"} {
		if out, exit := curl(t, l, fmt.Sprintf("http://127.0.0.1:%d%s", port, text)); exit != 0 || text == "/health" && out != "ok" || text == "/" && !strings.Contains(out, "Directory listing") {
			t.Errorf("%d: %q, exit %d", port, out, exit)
		}
	}
	stays.Expect("127.0.0.1:8001 leads to localhost:8000 there (python", 10*time.Second)
	stays.Expect("; 8000 is taken here", time.Second)
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "127.0.0.1:8001 (8000 is taken)") {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	if r := l.Must("status", "gpu1"); !strings.Contains(r.Stdout, "127.0.0.1:8787 to localhost:8787 (") {
		t.Errorf("status:\n%s", r.Stdout)
	}

	l.Must("close", "8090")
	delete(want, "localhost:8090")
	if n := host.Kill("http.server --bind 127.0.0.1 8000", syscall.SIGKILL); n != 1 {
		t.Fatalf("%d of them ran", n)
	}
	delete(want, "localhost:8000")
	arePorts(t, l, want)
	stays.Expect("127.0.0.1:8001 is closed: nothing listens", time.Second)

	l.Laptop.Cut()
	l.Laptop.Mend()
	if out, exit := curl(t, l, "http://127.0.0.1:8787/health"); out != "ok" {
		t.Errorf("after a cut: %q, exit %d", out, exit)
	}
	host.Kill("serve relay-", syscall.SIGKILL)
	stays.Expect("the relay on the host has ended", 20*time.Second)
	lab.Wait(t, 30*time.Second, "the next relay", func() bool {
		out, _ := curl(t, l, "http://127.0.0.1:8787/health")
		return out == "ok"
	})
	script(l, 8200)
	want["localhost:8200"] = 8200
	arePorts(t, l, want)
	if l.Laptop.Kill("nbremote holder", syscall.SIGKILL) != 1 {
		t.Fatal("no holder")
	}
	l.Must("open", "--no-browser", "gpu1")
	want["localhost:8090"] = 8090
	arePorts(t, l, want)
	if host.ReadFile("/home/me/disturbed") != "" || host.ShAs(lab.Me, "ls -d disturbed 2>/dev/null || :") != "" {
		t.Error("a port was asked who it is")
	}

	fails(t, l.Run("forward", "gpu1", "8200:localhost:1"), 0) // a person's own has the number, from now on
	if got := followed(t, l)["localhost:8200"]; got == 8200 {
		t.Error("a followed port keeps its number from a person")
	}
	l.Must("close", "gpu1")
	lab.Wait(t, 20*time.Second, "nobody to look on the host", func() bool { return len(host.Running("NBREMOTE_PORTS")) == 0 })
}

// Those of a Jupyter that was started by hand too, and of no other program.
func TestN3_PortsOfAnAdoptedJupyter(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "setsid jupyter-lab --no-browser --port=8888 --IdentityProvider.token=byhand </dev/null >log 2>&1 & setsid python3 -m http.server 8123 </dev/null >/dev/null 2>&1 &")
	awaitListener(t, host, "127.0.0.1:8888")
	awaitListener(t, host, "127.0.0.1:8123")
	o := open(t, l, "-y", "gpu1")
	page := newPage(t, l, o.Port, o.Token)
	page.run(t.Context(), `import subprocess, sys; subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "8300"]).wait()`)
	arePorts(t, l, map[string]int{"localhost:8300": 8300})
	l.Must("close", "gpu1")
}

// arePorts waits until exactly those are followed.
func arePorts(t *testing.T, l *lab.Lab, want map[string]int) {
	t.Helper()
	var got map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("want %v, have %v", want, got)
		}
	}()
	lab.Wait(t, 60*time.Second, "the ports", func() bool {
		got = followed(t, l)
		return fmt.Sprint(got) == fmt.Sprint(want)
	})
}

// script is a server that run begins.
func script(l *lab.Lab, port int) {
	l.Must("run", "gpu1", "-d", "--name", "web-"+strconv.Itoa(port), "--", "/usr/bin/python3", "-m", "http.server", strconv.Itoa(port))
}
