package test

import (
	"context"
	"net"
	"testing"
	"time"

	"nbremote/test/lab"
)

// The parts alone, without nbremote: a Jupyter started by hand, `ssh -L`, and
// Chromium. When this fails, the machine is at fault and not the program.
func TestParts_SSHForwardAndChromium(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	jupyter := l.Host("gpu1").As(ctx, lab.Me, "/usr/local/bin/jupyter-lab", "--no-browser",
		"--ip=127.0.0.1", "--port=8888", "--IdentityProvider.token=byhand")
	forward := l.Laptop.As(ctx, lab.Me, "/usr/bin/ssh", "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
		"-L", "127.0.0.1:8888:127.0.0.1:8888", "gpu1")
	for _, cmd := range []*lab.Cmd{jupyter, forward} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	}
	awaitListener(t, l.Host("gpu1"), "127.0.0.1:8888")
	awaitListener(t, l.Laptop, "127.0.0.1:8888")
	tab := l.Chromium(3 * time.Minute)
	proveInLab(t, tab, "http://127.0.0.1:8888/lab?token=byhand", "gpu1")
}

func awaitListener(t *testing.T, m *lab.Machine, addr string) {
	t.Helper()
	lab.Wait(t, 30*time.Second, addr+" of "+m.Name, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var conn net.Conn
		conn, err := m.Dial(ctx, 0, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
