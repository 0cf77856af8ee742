package sshx

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestDial_Quickens: the first connection to another machine runs a command
// once, and none where one ran before.
func TestDial_Quickens(t *testing.T) {
	key := hostKey(t, "ed25519")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, l)
	for _, before := range []bool{false, true} {
		s := startSSHD(t, 0, []string{key})
		c := signIn(t, s)
		commands := func() int { return strings.Count(s.said(t), "Starting session: command") }
		if before {
			run(t, c)
		}
		for range 3 {
			conn, err := c.Dial(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		for limit := time.Now().Add(5 * time.Second); commands() < 1 && time.Now().Before(limit); {
			time.Sleep(10 * time.Millisecond)
		}
		run(t, c) // what was begun before it has begun now
		want := 2
		if got := commands(); got != want {
			t.Errorf("a command before: %v: %d commands, want %d", before, got, want)
		}
	}
}

func run(t *testing.T, c *Conn) {
	t.Helper()
	p, err := c.Exec(t.Context(), "true")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}
