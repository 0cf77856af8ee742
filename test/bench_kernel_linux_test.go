package test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// kernelAlone is how long the kernel's own start takes on the host by hand:
// started, asked 1+1 and answered, by jupyter_client in one process that has
// imported all it needs before.
const kernelAlone = `import time
from jupyter_client.manager import start_new_kernel
import ipykernel, zmq
t = time.time()
km, kc = start_new_kernel(kernel_name="KERNEL")
kc.execute_interactive("1+1", timeout=30, output_hook=lambda m: None)
print(int((time.time() - t) * 1e6))
kc.stop_channels()
km.shutdown_kernel(now=True)
`

func TestBenchKernels(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay time.Duration // one way
	}{{"loopback", 0}, {"100 ms round trip", 50 * time.Millisecond}} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			l := benchLab(t, lab.Chain{Delay: c.delay})
			benchKernels(t, l, c.name, 2*c.delay)
		})
	}
}

// benchKernels measures, in turn: the kernel by hand, kernel add of the same
// environment, and kernel list, all with the holder up.
func benchKernels(t *testing.T, l *lab.Lab, title string, rtt time.Duration) {
	host := l.Hosts[0]
	offline(t, host, lab.Me)
	venv(t, host, "ds", "ipykernel")
	host.ShAs(lab.Me, "ds/bin/python -m compileall -q ds/lib || :")
	l.Must("open", "--no-browser", "gpu1")
	l.Must("kernel", "add", "ds")
	host.WriteFile(lab.Me, "/home/me/alone.py", strings.ReplaceAll(kernelAlone, "KERNEL", "ds"))
	all := map[string][]time.Duration{}
	add := func(name string, d time.Duration) { all[name] = append(all[name], d) }
	for range turns {
		us, err := strconv.Atoi(strings.TrimSpace(host.ShAs(lab.Me, "/opt/nbremote-test/jupyter/bin/python alone.py")))
		if err != nil {
			t.Fatal(err)
		}
		alone := time.Duration(us) * time.Microsecond
		l.Must("kernel", "remove", "ds")
		took := l.Must("kernel", "add", "ds").Took
		add("alone", alone)
		add("add", took)
		add("beyond", took-alone)
		add("list", l.Must("kernel", "list").Took)
	}
	header(title)
	spread("the kernel by hand, until it has answered", all["alone"], "")
	spread("kernel add", all["add"], "")
	spread("kernel add less the kernel by hand", all["beyond"], fmt.Sprintf("300 ms + 4 round trips = %v", 300*time.Millisecond+4*rtt))
	bound := "150 ms"
	if rtt > 0 {
		bound = "(150 ms on loopback)"
	}
	spread("kernel list, holder up", all["list"], bound)
}

// TestBenchEnvironments: 200 environments, no rc files. (bash under sshd reads
// .bashrc whatever it is to run; no interactive and no login shell is started.)
func TestBenchEnvironments(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	host := l.Hosts[0]
	host.ShAs(lab.Me, `mkdir -p envs && /usr/bin/python3 -m venv --without-pip envs/e0 && for i in $(seq 1 199); do cp -a envs/e0 envs/e$i; done
printf 'echo read >>~/rc-was-read\n' >>.profile; printf 'case $- in *i*) echo read >>~/rc-was-read ;; esac\n' >>.bashrc`)
	l.Must("open", "--no-browser", "gpu1")
	os.Remove(host.Path("/home/me/rc-was-read"))
	var all []time.Duration
	for range turns {
		r := l.Must("kernel", "list", "--json")
		if n := strings.Count(r.Stdout, "/home/me/envs/e"); n < 200 {
			t.Errorf("%d environments", n)
		}
		all = append(all, r.Took)
	}
	if host.ReadFile("/home/me/rc-was-read") != "" {
		t.Error("an rc file was read")
	}
	header("200 environments")
	spread("kernel list, holder up", all, "1 s")
}
