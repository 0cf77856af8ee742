package test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// onHostAlone is the kernel's own start, on the host itself.
const onHostAlone = `import time
from jupyter_client.manager import start_new_kernel
t = time.time()
km, kc = start_new_kernel(kernel_name="my_venv")
print(time.time() - t)
kc.stop_channels()
km.shutdown_kernel(now=True)
`

// seconds is the answer of an editor that has timed something.
func (e *editor) seconds(line string) time.Duration {
	e.t.Helper()
	e.tell("timed(lambda: " + line + ")")
	return asSeconds(e.t, e.hear(5*time.Minute))
}

func asSeconds(t *testing.T, text string) time.Duration {
	t.Helper()
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(s * float64(time.Second))
}

// TestBench_LaptopKernel: a thousand small cells (a hundred where each waits for
// its round trip), in turn with the same kernel behind ssh -L of its ports; its
// start; and what the proxy has in memory.
func TestBench_LaptopKernel(t *testing.T) {
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
		title, cells := "loopback", 1000
		if rtt > 0 {
			cells, title = 100, fmt.Sprintf("%v round trip", rtt)
		}
		t.Run(strings.ReplaceAll(title, " ", "_"), func(t *testing.T) {
			l := benchLab(t, lab.Chain{Delay: rtt / 2})
			host := l.Host("gpu1")
			host.WriteFile(lab.Me, "/home/me/.local/share/jupyter/kernels/my_venv/kernel.json", kernelOf(lab.Jupyter))
			l.Reach("twin", &net.TCPAddr{IP: net.ParseIP(host.Addr), Port: 22}, host)
			putTwin(l)
			name := laptopKernel(t, l, "my_venv")
			run := fmt.Sprintf(`[run("1") for i in range(%d)]`, cells)
			var alone, start, beyond, ours, twins []time.Duration
			memory := 0.0
			for i := range turns {
				own := asSeconds(t, host.ShAs(lab.Me, laptopPython+" -c '"+onHostAlone+"'"))
				e, twin := newEditor(t, l), newEditor(t, l)
				began := e.seconds(`begin("` + name + `")`)
				twin.ask(`begin("twin")`, "None")
				alone, start, beyond = append(alone, own), append(start, began), append(beyond, began-own)
				if i%3 == 0 {
					ours = append(ours, e.seconds(run))
					twins = append(twins, twin.seconds(run))
				}
				memory = max(memory, float64(resident(t, l.Laptop.Running("kernel proxy")[0].PID))/1e6)
				e.ask(`km.shutdown_kernel()`, "None")
				twin.ask(`km.shutdown_kernel(now=True)`, "None")
				host.Kill("twin.json", 9)
			}
			header("laptop kernel, " + title)
			spread("the kernel's own start, on the host", alone, "")
			spread("its start from the laptop", start, "")
			spread("more than its own", beyond, fmt.Sprintf("200 ms + 4 round trips = %v", 200*time.Millisecond+4*rtt))
			spread(fmt.Sprintf("%d cells over ssh -L, each third turn", cells), twins, "")
			spread(fmt.Sprintf("%d cells, each third turn", cells), ours, "1.2 x ssh -L")
			t.Logf("proxy: %.1f MB at most; bound 25 MB", memory)
		})
	}
}
