package test

import (
	"context"
	"net"
	"strings"
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

// A Jupyter that was started by hand, with its runtime file where nobody looks,
// or gone: the file is found by the process; else address and token are read in
// what it printed into a log or a tmux pane; a token that it was given is asked
// for.
func TestByHand_WhereItsTokenIs(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "tmux")
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	const command = "jupyter-lab --no-browser --port=8888"
	const typed = "typed0123456789TYPED"
	const dropped = " && rm ~/far/*"
	for _, c := range []struct{ name, start, then, typed string }{
		{"runtime file", "setsid " + command + " </dev/null >/dev/null 2>&1 &", "", ""},
		{"log", "setsid " + command + " </dev/null >log 2>&1 &", dropped, ""},
		{"tmux pane", "tmux new-session -d -x 80 '" + command + "';", dropped, ""},
		{"asked for", "JUPYTER_TOKEN=" + typed + " setsid " + command + " </dev/null >log 2>&1 &", dropped, typed},
	} {
		host.ShAs(lab.Me, "mkdir -p far old && rm -f far/* && export JUPYTER_RUNTIME_DIR=~/far && cd old && { "+c.start+
			" } && until ls ~/far/jpserver-*.json >/dev/null 2>&1; do sleep 0.1; done"+c.then)
		awaitListener(t, host, "127.0.0.1:8888")
		if c.typed == "" {
			l.Must("open", "--no-browser", "-y", "gpu1")
		} else {
			fails(t, l.Run("open", "--no-browser", "-y", "gpu1"), 2, "nobody can be asked for the token", "--name NAME")
			x := l.Pty("open", "--no-browser", "-y", "gpu1")
			x.Expect("Its token", 30*time.Second)
			x.Type(c.typed + "\r")
			if r := x.Wait(); r.Exit != 0 {
				t.Fatalf("%s: exit %d\n%s", c.name, r.Exit, x.Screen())
			}
		}
		o := open(t, l, "gpu1")
		if o.Session != "old-by-hand" || o.Directory != "/home/me/old" {
			t.Errorf("%s: got %+v", c.name, o)
		}
		works(t, l, o)
		if text := l.Must("status", "gpu1").Stdout; !strings.Contains(text, "started by hand: not stopped") || strings.Contains(text, o.Token) {
			t.Errorf("%s: status: %s", c.name, text)
		}
		fails(t, l.Run("stop", "gpu1/old-by-hand", "-y"), 2, "it was started by hand")
		l.Must("close", "gpu1")
		host.Kill("jupyter-lab", 15)
		lab.Wait(t, 10*time.Second, "its end", func() bool { return len(host.Running("jupyter-lab")) == 0 })
	}
}
