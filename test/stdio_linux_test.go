package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// signIns counts what a machine's sshd has let in.
func signIns(m *lab.Machine) int {
	return strings.Count(m.SSHDLog(), "Accepted publickey") + strings.Count(m.SSHDLog(), "Accepted password")
}

// Ten hosts behind one bastion: it is signed in to once, by a person, and ssh,
// scp and nbremote go through that. ssh alone signs in there once for each.
func TestStdio_TenHostsOneSignIn(t *testing.T) {
	t.Parallel()
	const hosts = 10
	l := lab.New(t, lab.Chain{Gateways: 1, Hosts: hosts, Sshd: ann})
	bastion := byPassword(l, "gw1")
	config := l.Laptop.ReadFile("/home/me/.ssh/config")
	added := l.Must("stdio", "--print-config", "gpu*").Stdout
	if !strings.Contains(added, "ProxyCommand nbremote stdio %n %p\n") {
		t.Fatalf("it prints %s", added)
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", added+config)

	x := l.Pty("open", "--no-browser", "gpu1")
	x.Expect("gw1 asks", 30*time.Second)
	x.Type("deep water\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	for n := range hosts {
		name := fmt.Sprintf("gpu%d", n+1)
		if r := l.SSH(name, "uname -n"); r.Exit != 0 || strings.TrimSpace(r.Stdout) != name {
			t.Fatalf("ssh %s: %+v", name, r)
		}
	}
	l.Laptop.ShAs(lab.Me, "head -c 3000000 /dev/urandom >sent && scp -qB sent gpu2: && scp -qB gpu2:sent back && cmp sent back")
	works(t, l, open(t, l, "gpu2"))
	if n := signIns(bastion); n != 1 {
		t.Errorf("%d sign-ins on the bastion", n)
	}

	// The twin: with the line away ssh goes by its own ProxyJump, and signs in
	// each time, which here it cannot without a person.
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", strings.ReplaceAll(config, "User ann", "User me"))
	for range 2 {
		if r := l.SSH("gpu1", "true"); r.Exit != 0 {
			t.Fatalf("%+v", r)
		}
	}
	if n := signIns(bastion); n != 3 {
		t.Errorf("ssh alone: %d sign-ins on the bastion, not one for each", n-1)
	}
}

// Without a terminal the bastion's question is an error on stderr, and stdout,
// which is ssh's line, has nothing.
func TestStdio_NobodyToAsk(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Sshd: ann, Jupyter: "none"})
	byPassword(l, "gw1")
	r := l.Run("stdio", "gpu1")
	fails(t, r, 4, "sign in to gw1")
	if r.Stdout != "" {
		t.Errorf("stdout has %q", r.Stdout)
	}
	fails(t, l.Run("stdio"), 2, "needs a HOST")
}

// A person is asked once, at the terminal where ssh was typed.
func TestStdio_AsksAtTheTerminal(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Sshd: ann, Jupyter: "none"})
	bastion := byPassword(l, "gw1")
	x := l.Pty("stdio", "gpu1")
	x.Expect("gw1 asks", 30*time.Second)
	x.Type("deep water\r")
	x.Expect("SSH-2.0-OpenSSH", 30*time.Second) // the greeting of gpu1
	x.Type("\x03")
	x.Wait()
	if n := signIns(bastion); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}
