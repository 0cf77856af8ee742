package sshx

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	embedded "nbremote/internal/sshd"
)

// stuckTime is what a call of ours may take beyond its own limit.
const stuckTime = 5 * time.Second

// frozen is a server that can be stopped, and its target.
func frozen(t *testing.T, name string) (*embedded.Server, *Target) {
	t.Helper()
	s := &embedded.Server{NoAuth: true}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Thaw(); s.Close() })
	host, portText, _ := net.SplitHostPort(s.Address())
	port, _ := strconv.Atoi(portText)
	return s, &Target{Name: name, User: "me", Host: host, Port: port, Engine: EngineNative, IdentityAgent: "none", StrictHostKeyChecking: "no"}
}

// ends fails the test when something takes longer than its limit.
func ends(t *testing.T, what string, limit time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	began := time.Now()
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit + stuckTime):
		t.Errorf("%s: not ended after %v", what, time.Since(began).Round(time.Millisecond))
	}
}

// pour stops the server s, and writes to commands that c runs until nothing more
// is taken: what is between them is full. A command's own window is 2 MiB.
func pour(t *testing.T, s *embedded.Server, c *Conn) {
	t.Helper()
	var all []*Process
	for range 10 {
		p, err := c.Exec(t.Context(), "exec sleep 1000")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	s.Freeze()
	wrote := make(chan bool, len(all))
	for _, p := range all {
		go func() {
			for b := make([]byte, 32<<10); ; {
				if _, err := p.Stdin.Write(b); err != nil {
					return
				}
				wrote <- true
			}
		}()
	}
	for {
		select {
		case <-wrote:
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}

// A line that stops taking what is sent, at whichever moment, holds up neither a
// sign-in, nor a command, nor the end of the connection; behind a gateway it is
// the gateway's line, or that of the machine behind it.
func TestN2_StuckLine(t *testing.T) {
	const timeout = 500 * time.Millisecond
	opts := Options{Timeout: timeout}
	connect := func(t *testing.T, target *Target, dial func(context.Context, string, string) (net.Conn, error)) *Conn {
		t.Helper()
		o := opts
		o.Dial = dial
		c, err := Connect(t.Context(), target, o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, try := range map[string]func(t *testing.T){
		"before a sign-in": func(t *testing.T) {
			s, target := frozen(t, "gpu1")
			s.Freeze()
			ends(t, "Connect", timeout, func() { Connect(t.Context(), target, opts) })
		},
		"in a session": func(t *testing.T) {
			s, target := frozen(t, "gpu1")
			c := connect(t, target, nil)
			pour(t, s, c)
			ends(t, "Exec", timeout, func() { c.Exec(t.Context(), "true") })
			ends(t, "Dial", timeout, func() { c.Dial(t.Context(), "tcp", "127.0.0.1:1") })
			ends(t, "Close", 0, func() { c.Close() })
		},
		"of a gateway, before the dial": func(t *testing.T) {
			s, gw := frozen(t, "gw1")
			_, target := frozen(t, "gpu1")
			c := connect(t, gw, nil)
			defer c.Close()
			pour(t, s, c)
			o := opts
			o.Dial = c.Dial
			ends(t, "Connect", timeout, func() { Connect(t.Context(), target, o) })
		},
		"of a gateway, in a sign-in": func(t *testing.T) {
			s, gw := frozen(t, "gw1")
			_, target := frozen(t, "gpu1")
			c := connect(t, gw, nil)
			defer c.Close()
			o := opts
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := c.Dial(ctx, network, addr)
				pour(t, s, c)
				return conn, err
			}
			o.Timeout = 2 * time.Second
			ends(t, "Connect", o.Timeout, func() { Connect(t.Context(), target, o) })
		},
		"of a gateway, in a session": func(t *testing.T) {
			s, gw := frozen(t, "gw1")
			_, target := frozen(t, "gpu1")
			c := connect(t, gw, nil)
			defer c.Close()
			inner := connect(t, target, c.Dial)
			pour(t, s, c)
			ends(t, "Exec", timeout, func() {
				if _, err := inner.Exec(t.Context(), "true"); err == nil {
					t.Error("a stuck line opened a session")
				}
			})
			ends(t, "Close", 0, func() { inner.Close() })
		},
		"behind a gateway, in a session": func(t *testing.T) {
			_, gw := frozen(t, "gw1")
			s, target := frozen(t, "gpu1")
			c := connect(t, gw, nil)
			defer c.Close()
			inner := connect(t, target, c.Dial)
			pour(t, s, inner)
			ends(t, "Exec", timeout, func() { inner.Exec(t.Context(), "true") })
			ends(t, "Close", 0, func() { inner.Close() })
			if _, err := c.Exec(t.Context(), "true"); err != nil {
				t.Errorf("the gateway's own line: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t)
		})
	}
}
