//go:build linux

package lab_test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

func TestNew_ThroughTwoGateways(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 2, Accounts: []lab.Account{{Name: "fishy", Shell: "/usr/bin/fish"}}})
	r := l.SSH("gpu1", "hostname; command -v jupyter-lab; who am i; echo $PATH")
	if !strings.HasPrefix(r.Stdout, "gpu1\n/usr/local/bin/jupyter-lab\n") {
		t.Errorf("ssh gpu1: %+v", r)
	}
	if r := l.SSH("fishy@gpu1", "echo (hostname) $status"); r.Stdout != "gpu1 0\n" {
		t.Errorf("ssh fishy@gpu1: %+v", r)
	}
	direct := l.SSH("me@"+l.Host("gpu1").Addr, "true")
	if direct.Exit != 255 || !strings.Contains(direct.Stderr, "unreachable") {
		t.Errorf("gpu1 is reached past its gateways: %+v", direct)
	}
}

func TestMachine_DelayCutMendRoam(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	quick := l.SSH("gpu1", "true").Took
	l.Laptop.Delay(50 * time.Millisecond)
	slow := l.SSH("gpu1", "true").Took
	if slow < 500*time.Millisecond {
		t.Errorf("ssh took %v at once and %v with 100 ms there and back", quick, slow)
	}
	t.Log(quick, slow)
	l.Laptop.Delay(0)
	for _, m := range []*lab.Machine{l.Laptop, l.Host("gpu1")} {
		m.Cut()
		if r := l.Laptop.ShAs("me", "ssh -o ConnectTimeout=1 gpu1 true 2>&1 || true"); !strings.Contains(r, "timed out") {
			t.Errorf("with %s cut off: %s", m.Name, r)
		}
		m.Mend()
		if r := l.SSH("gpu1", "true"); r.Exit != 0 {
			t.Errorf("with %s mended: %+v", m.Name, r)
		}
	}
	l.Laptop.Roam(101)
	if r := l.SSH("gpu1", "echo $SSH_CLIENT"); !strings.HasPrefix(r.Stdout, "10.77.0.101 ") {
		t.Errorf("after roaming: %+v", r)
	}
}

func TestMachine_ServerFaults(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.Freeze()
	if r := l.Laptop.ShAs("me", "ssh -o ConnectTimeout=1 gpu1 true 2>&1 || true"); !strings.Contains(r, "timed out") {
		t.Errorf("frozen: %s", r)
	}
	gpu1.Thaw()
	if r := l.SSH("gpu1", "true"); r.Exit != 0 {
		t.Errorf("thawed: %+v", r)
	}
	gpu1.StopSSHD()
	if r := l.SSH("gpu1", "true"); !strings.Contains(r.Stderr, "refused") {
		t.Errorf("stopped: %+v", r)
	}
	gpu1.NewHostKeys()
	gpu1.StartSSHD()
	if r := l.SSH("gpu1", "true"); !strings.Contains(r.Stderr, "HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("new host key: %+v", r)
	}
	if !strings.Contains(gpu1.SSHDLog(), "Server listening") {
		t.Errorf("log: %s", gpu1.SSHDLog())
	}
}
