package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// loginNodes are three machines with one home behind the name login.
func loginNodes(t *testing.T) (l *lab.Lab, leadsTo func(*lab.Machine)) {
	t.Helper()
	l = lab.New(t, lab.Chain{Hosts: 3})
	l.Hosts[0].ShareHome(lab.Me, l.Hosts[1], l.Hosts[2])
	leadsTo = l.OneName("login", l.Hosts...)
	leadsTo(l.Hosts[0])
	return l, leadsTo
}

func jupyters(l *lab.Lab) (names []string) {
	for _, m := range l.Hosts {
		for range m.Running("jupyter-lab") {
			names = append(names, m.Name)
		}
	}
	return names
}

// one checks that the only Jupyter is that of a machine.
func one(t *testing.T, l *lab.Lab, m *lab.Machine) {
	t.Helper()
	if all := jupyters(l); len(all) != 1 || all[0] != m.Name {
		t.Errorf("Jupyters run on %v, want %s", all, m.Name)
	}
}

// What was started on one of several machines behind a name is found again,
// whichever of them a sign-in leads to.
func TestLoginNodes_SignInElsewhere(t *testing.T) {
	t.Parallel()
	l, leadsTo := loginNodes(t)
	first := open(t, l, "login:~")
	l.Must("close", "login")
	leadsTo(l.Hosts[1])
	fails(t, l.Run("stop", "-y", "login"), 3, "find login/main: it was started on gpu1, another machine behind this name", "nbremote open login/main goes there")
	l.Must("close", "login")
	r := l.Must("open", "--json", "--no-browser", "login")
	if o := parseOpened(t, r); !o.Reused || o.Token != first.Token || o.Port != first.Port {
		t.Errorf("it is another: %+v, not %+v", o, first)
	}
	if !strings.Contains(r.Stderr, "main was started on gpu1, another machine behind this name: going there") {
		t.Errorf("it does not say so:\n%s", r.Stderr)
	}
	works(t, l, first)
	one(t, l, l.Hosts[0])
	// From now on each command goes there at once.
	l.Must("close", "login")
	leadsTo(l.Hosts[2])
	if o := open(t, l, "login"); !o.Reused || o.Token != first.Token {
		t.Errorf("it is another: %+v", o)
	}
	if s := l.Must("status", "login").Stdout; !strings.Contains(s, "on gpu1") {
		t.Errorf("status does not name the machine:\n%s", s)
	}
	l.Must("stop", "-y", "login")
	lab.Wait(t, 10*time.Second, "Jupyter to be gone", func() bool { return len(jupyters(l)) == 0 })
}

// byWayOf hangs up until the line leads through a machine: names are kept in
// mind for some seconds.
func byWayOf(t *testing.T, l *lab.Lab, o opened, m *lab.Machine) {
	t.Helper()
	lab.Wait(t, 40*time.Second, "a line by way of "+m.Name, func() bool {
		for _, host := range l.Hosts {
			host.HangUp()
		}
		works(t, l, o)
		return strings.Contains(m.SSHDLog(), "Accepted publickey")
	})
}

// A line that was lost returns to its machine, and with it what it carried.
func TestLoginNodes_LineReturnsElsewhere(t *testing.T) {
	t.Parallel()
	l, leadsTo := loginNodes(t)
	o := open(t, l, "login")
	leadsTo(l.Hosts[1])
	byWayOf(t, l, o, l.Hosts[1])
	leadsTo(l.Hosts[2])
	byWayOf(t, l, o, l.Hosts[2])
	if status, err := holdersOf(l)[0].Status(t.Context()); err != nil || status.Link == nil || !status.Link.On || status.Link.Lost != 0 || status.Node != "gpu1" {
		t.Errorf("%+v, %v", status, err)
	}
	one(t, l, l.Hosts[0])
}

// Without a relay too: the page is no other machine's.
func TestLoginNodes_LineReturnsWithoutRelay(t *testing.T) {
	t.Parallel()
	l, leadsTo := loginNodes(t)
	for _, m := range l.Hosts {
		brokenPython(m)
	}
	o := open(t, l, "login")
	leadsTo(l.Hosts[1])
	byWayOf(t, l, o, l.Hosts[1])
	one(t, l, l.Hosts[0])
}

// A machine that cannot be reached is named, and no second Jupyter is started
// in the place of the first; one that is no longer known holds up nobody.
func TestLoginNodes_MachineOutOfReach(t *testing.T) {
	t.Parallel()
	l, leadsTo := loginNodes(t)
	open(t, l, "login")
	l.Must("close", "login")
	leadsTo(l.Hosts[1])
	l.Hosts[0].StopSSHD()
	r := l.Run("open", "--no-browser", "login")
	fails(t, r, 5, "find login/main: it was started on gpu1, another machine behind this name", "refused", "nbremote open --name NEW login")
	one(t, l, l.Hosts[0])
	if o := open(t, l, "--name", "new", "login"); o.Reused {
		t.Errorf("it is not new: %+v", o)
	}
	l.Must("stop", "-y", "login/new")
	l.Must("close", "login")
	l.Hosts[1].Sh("grep -v gpu1 /etc/hosts >/tmp/h; cat /tmp/h >/etc/hosts; echo 127.0.0.1 gpu2 >>/etc/hosts")
	r = l.Must("open", "--json", "--no-browser", "login")
	if o := parseOpened(t, r); o.Reused || !strings.Contains(r.Stderr, "main was started on gpu1, which is not there any more") {
		t.Errorf("%+v\n%s", o, r.Stderr)
	}
}

// Machines that share a home and have names of their own are hosts of their own.
func TestLoginNodes_OwnNames(t *testing.T) {
	t.Parallel()
	l, _ := loginNodes(t)
	open(t, l, "gpu1")
	if o := open(t, l, "gpu2"); o.Reused {
		t.Errorf("it is that of gpu1: %+v", o)
	}
	if all := jupyters(l); len(all) != 2 {
		t.Errorf("Jupyters run on %v", all)
	}
}
