package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// The ssh of a ProxyCommand has no terminal: what it asks is asked by the
// command that is connected.
func TestProxyCommand_AsksThroughUs(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Sshd: "PasswordAuthentication yes\n"})
	gw := l.Host("gw1")
	gw.AddAccount(lab.Account{Name: "walk", Password: "through walls"})
	config := strings.Replace(l.SSHConfig(), "ProxyJump gw1", "ProxyCommand ssh -o PubkeyAuthentication=no -o PreferredAuthentications=password -W %h:%p walk@gw1", 1)
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", config)
	x := l.Pty("open", "--no-browser", "gpu1")
	x.Expect("password", 20*time.Second)
	x.Type("through walls\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	if strings.Contains(x.Screen(), "walls") {
		t.Errorf("the password is on the screen:\n%s", x.Screen())
	}
	if r := l.Run("open", "--no-browser", "gpu1"); r.Exit != 0 {
		t.Errorf("again: exit %d\n%s", r.Exit, r.Stderr)
	}
}
