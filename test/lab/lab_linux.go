package lab

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Chain says what the lab looks like: laptop → gw1 → gw2 → gpu1, gpu2, …
// Each arrow is a network of its own: a host is reached from the last gateway
// and from nowhere else.
type Chain struct {
	Gateways int
	Hosts    int           // 0 = 1
	Delay    time.Duration // one way, between the laptop and all others
	Unknown  bool          // the laptop knows no host key yet
	// Accounts are made on every host beside "me", and take the laptop's key.
	Accounts []Account
	// Jupyter is the folder of a Python environment; what starts with
	// "jupyter" in it is put on the hosts' PATH. "" is that of `make deps`,
	// "none" is none.
	Jupyter string
	// Passphrase locks the laptop's key.
	Passphrase string
	Sshd       string // lines before the others in every sshd_config
	// Program is the nbremote on the laptop; "" is Binary.
	Program string
}

// Jupyter is where `make deps` puts the Python environment with JupyterLab.
const Jupyter = "/opt/nbremote-test/jupyter"

// Me is the account that every machine has.
const Me = "me"

// Lab is a running lab.
type Lab struct {
	Laptop   *Machine
	Gateways []*Machine
	Hosts    []*Machine
	// Binary is the nbremote program that the laptop runs, seen from here;
	// "" leaves the laptop without it.
	Binary string

	t     testing.TB
	net   *network
	key   Key
	chain Chain
}

// New builds a lab that ends with the test. It skips the test where that is
// impossible, and fails it in CI.
func New(t testing.TB, chain Chain) *Lab {
	t.Helper()
	Needs(t, "/usr/sbin/sshd", "ip", "perl")
	if os.Geteuid() != 0 {
		Missing(t, "root")
	}
	if chain.Hosts == 0 {
		chain.Hosts = 1
	}
	l := &Lab{t: t, chain: chain, key: NewKey(t, chain.Passphrase), Binary: cmp.Or(chain.Program, Binary)}
	l.net = newNetwork(t, chain.Gateways+1)
	l.Laptop = newMachine(t, "laptop")
	l.net.connect(l.Laptop, 0, 100)
	for i := range chain.Gateways {
		gw := l.server(fmt.Sprintf("gw%d", i+1), i, 2)
		l.net.connect(gw, i+1, 1)
		gw.Addr = gw.links[0].addr
		l.Gateways = append(l.Gateways, gw)
	}
	for i := range chain.Hosts {
		host := l.server(fmt.Sprintf("gpu%d", i+1), chain.Gateways, 10+i)
		for _, a := range chain.Accounts {
			host.AddAccount(a, l.key.Public)
		}
		l.putJupyter(host)
		l.Hosts = append(l.Hosts, host)
	}
	l.furnish()
	if chain.Delay > 0 {
		l.Laptop.Delay(chain.Delay)
	}
	// The last to be registered is the first to run: the machines still live.
	t.Cleanup(l.tell)
	return l
}

// server makes a machine with sshd and the account "me".
func (l *Lab) server(name string, segment, place int) *Machine {
	l.t.Helper()
	m := newMachine(l.t, name)
	l.net.connect(m, segment, place)
	m.AddAccount(Account{Name: Me}, l.key.Public)
	m.sshd = &server{extra: l.chain.Sshd}
	m.NewHostKeys()
	m.StartSSHD()
	return m
}

func (l *Lab) putJupyter(host *Machine) {
	l.t.Helper()
	from := l.chain.Jupyter
	if from == "" {
		from = Jupyter
	}
	if from == "none" {
		return
	}
	if from == Jupyter {
		Needs(l.t, from+"/bin/jupyter-lab")
	}
	host.Sh("for f in '" + from + "'/bin/jupyter*; do ln -s \"$f\" /usr/local/bin/; done")
}

// Key is the laptop's key, which every account takes.
func (l *Lab) Key() Key { return l.key }

// Host is the machine of that name.
func (l *Lab) Host(name string) *Machine {
	l.t.Helper()
	for _, m := range l.servers() {
		if m.Name == name {
			return m
		}
	}
	l.t.Fatalf("the lab has no %s", name)
	panic("not reached")
}

func (l *Lab) servers() []*Machine {
	return append(append([]*Machine(nil), l.Gateways...), l.Hosts...)
}

// tell shows what the machines have written down when the test has failed.
func (l *Lab) tell() {
	if !l.t.Failed() {
		return
	}
	for _, m := range l.servers() {
		l.t.Logf("--- sshd of %s\n%s", m.Name, tail(m.SSHDLog()))
	}
	l.tellFiles(l.Laptop, "/home/me/.local/state/nbremote", ".log")
	for _, m := range l.Hosts {
		l.tellFiles(m, "/home/me/.local/share/nbremote", "log")
		l.tellFiles(m, "/dev/shm", ".log") // a relay's
	}
}

func (l *Lab) tellFiles(m *Machine, dir, suffix string) {
	out, _ := exec.Command("find", m.Path(dir), "-name", "*"+suffix, "-type", "f").Output()
	for _, name := range strings.Fields(string(out)) {
		text, _ := os.ReadFile(name)
		l.t.Logf("--- %s: %s\n%s", m.Name, strings.TrimPrefix(name, m.Path("")), tail(string(text)))
	}
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}
