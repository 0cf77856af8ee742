package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// serveDown is a far server that sends so many bytes as it is asked for in a
// line.
func serveDown(t *testing.T, m *lab.Machine, port int) {
	t.Helper()
	ln, err := m.Listen("tcp", net.JoinHostPort(m.Addr, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	block := make([]byte, 256<<10)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var n int
				if _, err := fmt.Fscanln(c, &n); err != nil {
					return
				}
				for n > 0 {
					k, err := c.Write(block[:min(n, len(block))])
					if err != nil {
						return
					}
					n -= k
				}
				io.Copy(io.Discard, c)
			}()
		}
	}()
}

// TestBench_Socks: one download by name through the proxy, in turn with one by
// ssh -D.
func TestBench_Socks(t *testing.T) {
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond} {
		name := "loopback"
		if rtt > 0 {
			name = fmt.Sprintf("%v round trip", rtt)
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			l := benchLab(t, lab.Chain{Jupyter: "none", Delay: rtt / 2})
			gpu1 := l.Hosts[0]
			gpu1.Sh("echo '" + gpu1.Addr + " far.internal' >>/etc/hosts")
			const bytes, pairs = 64 << 20, 7
			serveDown(t, gpu1, 81)
			l.Must("proxy", "gpu1")
			ctx, cancel := context.WithCancel(context.Background())
			ssh := l.Laptop.As(ctx, lab.Me, "/usr/bin/ssh", "-N", "-o", "BatchMode=yes", "-D", "127.0.0.1:7001", "gpu1")
			if err := ssh.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cancel(); ssh.Wait() })
			awaitListener(t, l.Laptop, "127.0.0.1:7001")
			moved := func(proxy string) float64 {
				c, err := socksTo(t.Context(), l, proxy, "far.internal", 81)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				began := time.Now()
				fmt.Fprintln(c, bytes)
				if err := take(c, bytes); err != nil {
					t.Fatal(err)
				}
				return float64(bytes) / 1e6 / time.Since(began).Seconds()
			}
			var ours, theirs, ratio []float64
			for i := range pairs + 1 {
				a, b := moved("127.0.0.1:8157"), moved("127.0.0.1:7001")
				if i == 0 {
					continue // windows and caches
				}
				ours, theirs, ratio = append(ours, a), append(theirs, b), append(ratio, a/b)
			}
			rowHeader(fmt.Sprintf("one download through the SOCKS proxy, %s, %d MiB, %d paired turns, MB/s", name, bytes>>20, pairs))
			row("nbremote proxy", ours, 1, "")
			row("ssh -D, default cipher", theirs, 1, "")
			row("nbremote / ssh -D, pair by pair", ratio, 2, "median 0.85 at least")
		})
	}
}
