package test

import (
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
	header("a script, 100 ms round trip, holder up")
	spread("run gpu1 -- true", run, "")
	spread("run gpu1 -- true, less 2 round trips", beyond, "150")
	spread("logs gpu1/true", logs, "")
	spread("ssh gpu1 true, connection shared, for comparison", master, "")
}
