package test

import (
	"fmt"
	"testing"
	"time"

	"nbremote/test/lab"
)

// TestBench_Cp: 1 GiB each way, in turn with scp, with a connection that is open
// already on either side; and ten thousand small files.
func TestBench_Cp(t *testing.T) {
	bench(t)
	t.Run("loopback", func(t *testing.T) { benchCopy(t, 1<<30, 3, 0) })
	t.Run("20 ms", func(t *testing.T) { benchCopy(t, 256<<20, 5, 10*time.Millisecond) })
}

func benchCopy(t *testing.T, bytes, pairs int, delay time.Duration) {
	l := benchLab(t, lab.Chain{Jupyter: "none", Delay: delay})
	host := l.Hosts[0]
	host.ShAs(lab.Me, fmt.Sprintf("head -c %d /dev/urandom >big", bytes))
	l.Must("run", "gpu1", "--", "true")
	ssh := sharedSSH(l)
	defer ssh("ssh -O exit gpu1")
	var ratios [2][]float64
	var all [4][]float64
	for range pairs {
		for way, c := range [][2]string{{"gpu1:big a", "gpu1:big b"}, {"a gpu1:a", "b gpu1:b"}} {
			ours := l.Laptop.ShAs // with the time that the shell takes, as for scp
			began := time.Now()
			ours(lab.Me, "nbremote cp -q "+c[0])
			a := time.Since(began)
			b := ssh("scp -q " + c[1])
			all[2*way], all[2*way+1] = append(all[2*way], mbs(bytes, a)), append(all[2*way+1], mbs(bytes, b))
			ratios[way] = append(ratios[way], b.Seconds()/a.Seconds())
		}
		for _, m := range []*lab.Machine{l.Laptop, host} {
			m.ShAs(lab.Me, "rm a b")
		}
	}
	rowHeader(fmt.Sprintf("a copy, %d MiB, a round trip of %v, %d paired turns, MB/s", bytes>>20, 2*delay, pairs))
	for way, name := range []string{"from", "to"} {
		row("nbremote cp, "+name+" the host", all[2*way], 1, "")
		row("scp, "+name+" the host", all[2*way+1], 1, "")
		row("nbremote cp / scp, pair by pair", ratios[way], 2, "median 0.85 at least")
	}
}

// TestBench_CpSmallFiles: ten thousand small files at 20 ms. scp is given two
// hundred of them, fifty times that are its time.
func TestBench_CpSmallFiles(t *testing.T) {
	l := benchLab(t, lab.Chain{Jupyter: "none", Delay: 10 * time.Millisecond})
	l.Hosts[0].ShAs(lab.Me, `python3 -c "
import os
for n in range(10000):
    os.makedirs('many/%d' % (n // 200), exist_ok=True)
    open('many/%d/%d' % (n // 200, n), 'w').write('x' * 500)"`)
	l.Must("run", "gpu1", "--", "true")
	ssh := sharedSSH(l)
	defer ssh("ssh -O exit gpu1")
	began := time.Now()
	l.Laptop.ShAs(lab.Me, "nbremote cp -q gpu1:many a")
	from := time.Since(began)
	began = time.Now()
	l.Laptop.ShAs(lab.Me, "nbremote cp -q a gpu1:a")
	to := time.Since(began)
	scpFrom, scpTo := 50*ssh("scp -qr gpu1:many/0 b"), 50*ssh("scp -qr b gpu1:b")
	rowHeader("10,000 files of 500 bytes, 20 ms round trip, seconds")
	row("nbremote cp, from the host", []float64{from.Seconds()}, 1, "")
	row("scp -r, from the host (50 x 200 files)", []float64{scpFrom.Seconds()}, 1, "")
	row("scp / nbremote cp", []float64{scpFrom.Seconds() / from.Seconds()}, 1, "5 at least")
	row("nbremote cp, to the host", []float64{to.Seconds()}, 1, "")
	row("scp -r, to the host (50 x 200 files)", []float64{scpTo.Seconds()}, 1, "")
	row("scp / nbremote cp", []float64{scpTo.Seconds() / to.Seconds()}, 1, "5 at least")
}

func mbs(bytes int, d time.Duration) float64 { return float64(bytes) / 1e6 / d.Seconds() }

// sharedSSH times commands of OpenSSH's on a connection that is open already.
func sharedSSH(l *lab.Lab) func(command string) time.Duration {
	l.Laptop.ShAs(lab.Me, "printf '  ControlPath /tmp/master\\n' >>.ssh/config; ssh -fN -o ControlMaster=yes gpu1")
	return func(command string) time.Duration {
		began := time.Now()
		l.Laptop.ShAs(lab.Me, command)
		return time.Since(began)
	}
}
