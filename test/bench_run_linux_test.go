package test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// TestBench_Run: a script that does nothing, from the command to its exit code,
// beside ssh with a connection that is open already.
func TestBench_Run(t *testing.T) {
	const rtt = 100 * time.Millisecond
	l := benchLab(t, lab.Chain{Delay: rtt / 2})
	l.Must("run", "gpu1", "--", "true")
	ssh := func(args string) { l.Laptop.ShAs(lab.Me, "ssh -o ControlPath=/tmp/master "+args) }
	ssh("-fN -o ControlMaster=yes gpu1")
	var run, beyond, master, logs []time.Duration
	for range turns {
		took := l.Must("run", "gpu1", "--", "true").Took
		run, beyond = append(run, took), append(beyond, took-2*rtt)
		began := time.Now()
		ssh("gpu1 true")
		master = append(master, time.Since(began))
		logs = append(logs, l.Must("logs", "gpu1/true").Took)
	}
	ssh("-O exit gpu1")
	// Of a line that comes after half a second of silence; both machines have one clock.
	l.Hosts[0].WriteFile(lab.Me, "/home/me/says.py", "import time\nfor n in range(9):\n    time.sleep(0.5)\n    print(time.time_ns(), flush=True)\n")
	l.Must("run", "-d", "gpu1", "--", "python3", "says.py")
	var lines []time.Duration
	for j, seen := l.Start("logs", "-f", "gpu1/says"), 0; !j.Ended(); time.Sleep(200 * time.Microsecond) {
		for all := strings.Fields(j.Stdout()); seen < len(all); seen++ {
			ns, _ := strconv.ParseInt(all[seen], 10, 64)
			lines = append(lines, time.Since(time.Unix(0, ns))-rtt)
		}
	}
	header("a script, 100 ms round trip, holder up")
	spread("run gpu1 -- true", run, "")
	spread("run gpu1 -- true, less 2 round trips", beyond, "150")
	spread("logs gpu1/true", logs, "")
	spread("logs -f, a line till it is here, less 1 r.t.", lines, "20")
	spread("ssh gpu1 true, connection shared, for comparison", master, "")
}
