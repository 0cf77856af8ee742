package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

const knownHosts = "/home/me/.ssh/known_hosts"

// laptopConfig replaces a line of the laptop's ssh_config and gives what stood
// there before.
func laptopConfig(l *lab.Lab, old, new string) {
	config := l.Laptop.ReadFile("/home/me/.ssh/config")
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", strings.Replace(config, old, new, 1))
}

var brokenWays = []broken{
	{
		name: "dns", check: "dns", hop: "gw1", state: "failed", says: "nowhere.example is not found", exit: 5, also: []string{"tcp"},
		by: func(l *lab.Lab) { laptopConfig(l, "HostName "+l.Host("gw1").Addr, "HostName nowhere.example") },
		repair: func(l *lab.Lab, try string) {
			paste(l, try+" || :")
			laptopConfig(l, "HostName nowhere.example", "HostName "+l.Host("gw1").Addr)
		},
		args: []string{"--connect-timeout", "8s"},
	},
	{
		name: "ssh_config", check: "name", state: "failed", says: "no argument after keyword", exit: 2,
		by:     func(l *lab.Lab) { laptopConfig(l, "  User me", "  ForwardAgent") },
		repair: func(l *lab.Lab, _ string) { laptopConfig(l, "  ForwardAgent", "  User me") },
	},
	{
		name: "refused", check: "tcp", hop: "gpu1", state: "failed", says: "gw1 is fine; from there 10.77.1.10:22 is refused", exit: 5,
		by:     func(l *lab.Lab) { l.Host("gpu1").StopSSHD() },
		repair: func(l *lab.Lab, _ string) { l.Host("gpu1").StartSSHD() },
	},
	{
		name: "silent_gateway", check: "tcp", hop: "gw1", state: "failed", says: "gave no answer in 2 s", exit: 5,
		by:     func(l *lab.Lab) { l.Host("gw1").Cut() },
		repair: func(l *lab.Lab, _ string) { l.Host("gw1").Mend() },
		args:   []string{"--connect-timeout", "2s"},
	},
	{
		name: "no_greeting", check: "ssh", hop: "gw1", state: "failed", says: "no SSH greeting from 10.77.0.2:22", exit: 5,
		by:     func(l *lab.Lab) { l.Host("gw1").Freeze() },
		repair: func(l *lab.Lab, _ string) { l.Host("gw1").Thaw() },
		args:   []string{"--connect-timeout", "2s"},
	},
	{
		name: "gateway_forwards_nothing", check: "tcp", hop: "gpu1", state: "failed", says: "gw1 forbids connections to 10.77.1.10:22", exit: 5,
		by:     func(l *lab.Lab) { l.Host("gw1").Configure("AllowTcpForwarding no\n") },
		repair: func(l *lab.Lab, _ string) { l.Host("gw1").Configure("AllowTcpForwarding yes\n") },
	},
	{
		name: "changed_host_key", check: "host key", hop: "gpu1", state: "failed", says: "ssh-keygen -R 10.77.1.10", exit: 6,
		by: func(l *lab.Lab) { l.Host("gpu1").NewHostKeys(); l.Host("gpu1").Configure("") },
		repair: func(l *lab.Lab, try string) {
			_, line, _ := strings.Cut(try, "is right: ")
			paste(l, line)
			before := l.Laptop.ReadFile(knownHosts)
			r := l.Run("doctor", "gpu1")
			if after := l.Laptop.ReadFile(knownHosts); r.Exit != 6 || after != before {
				l.Laptop.Sh("false # an unknown key: doctor ended with " + fmt.Sprint(r.Exit))
			}
			paste(l, "ssh -o StrictHostKeyChecking=accept-new gpu1 true")
		},
	},
	{
		name: "not_let_in", check: "sign-in", hop: "gpu1", state: "failed", says: "offered id_ed25519; it takes publickey", exit: 4,
		by: func(l *lab.Lab) { l.Host("gpu1").Sh("mv /home/me/.ssh/authorized_keys /home/me/.ssh/off") },
		repair: func(l *lab.Lab, try string) { // what ssh-copy-id does, which needs another way in
			if !strings.HasPrefix(try, "ssh-copy-id gpu1") {
				l.Laptop.Sh("false # " + try)
			}
			l.Host("gpu1").Sh("mv /home/me/.ssh/off /home/me/.ssh/authorized_keys")
		},
	},
	{
		name: "no_key", check: "sign-in", hop: "gw1", state: "failed", says: "ssh-keygen -t ed25519 && ssh-copy-id gw1", exit: 4, also: []string{"keys"},
		by:     func(l *lab.Lab) { l.Laptop.Sh("mkdir /home/me/off; mv /home/me/.ssh/id_* /home/me/off") },
		repair: func(l *lab.Lab, _ string) { l.Laptop.Sh("mv /home/me/off/id_* /home/me/.ssh") },
	},
	{
		name: "dead_agent", check: "agent", state: "warning", says: "/home/me/gone does not answer",
		env: []string{"SSH_AUTH_SOCK=/home/me/gone"},
		by:  func(l *lab.Lab) {},
		repair: func(l *lab.Lab, try string) {
			said := l.Laptop.ShAs(lab.Me, "export SSH_AUTH_SOCK=/home/me/gone; "+try+"; nbremote doctor gpu1; ssh-agent -k")
			if !strings.Contains(said, "✓ agent      it has 1 key") || !strings.Contains(said, "(agent)") {
				l.Laptop.Sh("false # " + strings.ReplaceAll(said, "\n", " "))
			}
		},
	},
	{
		name: "many_keys", check: "keys", state: "warning", says: "IdentitiesOnly yes", also: []string{"sign-in"}, exit: 4,
		by: func(l *lab.Lab) { // as many as servers take, the right one last
			l.Laptop.ShAs(lab.Me, `for i in 1 2 3 4 5 6; do ssh-keygen -q -t ed25519 -N '' -f .ssh/other$i; printf 'IdentityFile ~/.ssh/other%s\n' $i; done >files
				echo 'IdentityFile ~/.ssh/id_ed25519' >>files; cat files .ssh/config >new; mv new .ssh/config`)
		},
		repair: func(l *lab.Lab, _ string) {
			l.Laptop.ShAs(lab.Me, `sed -i '/IdentityFile ~.*other/d' .ssh/config; sed -i '1i IdentitiesOnly yes' .ssh/config`)
		},
	},
	{
		name: "no_browser", check: "browser", state: "warning", says: "none will open: no program to open one: nothing",
		env: []string{"BROWSER=nothing"}, by: func(l *lab.Lab) {},
		repair: func(l *lab.Lab, try string) {
			line, _, _ := strings.Cut(try, ", or ")
			l.Laptop.ShAs(lab.Me, "export BROWSER=nothing; "+line+"; nbremote doctor gpu1 | grep '✓ browser'")
		},
	},
}

// Each thing that is broken on purpose on the way is found at its step, and what
// doctor says to try mends it.
func TestE1_Doctor_FindsWhatIsBrokenOnTheWay(t *testing.T) {
	t.Parallel()
	mendEach(t, lab.New(t, lab.Chain{Gateways: 1}), brokenWays)
}

// A new host key is saved by nobody, also where the ssh_config accepts it.
func TestE2_Doctor_SavesNoHostKey(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Unknown: true})
	all, r := doctor(t, l)
	if c := find(all, "host key", "gpu1"); r.Exit != 6 || c.State != "failed" || !strings.Contains(c.Why, lab.Fingerprint(t, l.Host("gpu1").HostKeys()[0])) || find(all, "sign-in", "gpu1").State != "not tried" {
		t.Errorf("exit %d: %+v", r.Exit, all)
	}
	x := l.Pty("doctor", "gpu1")
	if r := x.Wait(); r.Exit != 6 || strings.Contains(x.Screen(), "Trust it?") || !strings.Contains(x.Screen(), "doctor accepts no host key") {
		t.Errorf("at a terminal: exit %d\n%s", r.Exit, x.Screen())
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", "StrictHostKeyChecking accept-new\n"+l.SSHConfig())
	all, r = doctor(t, l)
	if c := find(all, "host key", "gpu1"); r.Exit != 0 || !strings.Contains(c.What, "not saved by doctor") {
		t.Errorf("exit %d: %+v", r.Exit, all)
	}
	if is := l.Laptop.ReadFile(knownHosts); is != "" {
		t.Errorf("saved: %s", is)
	}
}

// Where a line is open it is used: nobody signs in twice. It tells how the line
// is, and of a port that somebody else has.
func TestDoctor_UsesTheLineThatIsOpen(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	gw1, gpu1 := l.Host("gw1"), l.Host("gpu1")
	o := open(t, l, "gpu1")
	a, b := signIns(gw1), signIns(gpu1)
	all, r := doctor(t, l)
	if bad := notFine(all); r.Exit != 0 || len(bad) != 0 || !strings.Contains(find(all, "link", "").What, "by the relay") || !strings.Contains(find(all, "jupyter", "").What, "runs: main") {
		t.Errorf("exit %d: %+v", r.Exit, all)
	}
	if signIns(gw1) != a || signIns(gpu1) != b {
		t.Error("it signed in again")
	}
	works(t, l, o)

	// The gateway's line alone is used for a host that is not open.
	l.Must("close", "gpu1")
	all, r = doctor(t, l)
	if c := find(all, "sign-in", "gw1"); r.Exit != 0 || !strings.Contains(c.What, "already") || signIns(gw1) != a || signIns(gpu1) != b+1 {
		t.Errorf("exit %d, %d sign-ins: %+v", r.Exit, signIns(gw1)-a, all)
	}

	taker, err := l.Laptop.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", o.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	all, r = doctor(t, l)
	c := find(all, "port", "")
	if r.Exit != 0 || c.State != "warning" || !strings.HasPrefix(c.What, fmt.Sprintf("%d, main's own, is taken", o.Port)) {
		t.Errorf("exit %d: %+v", r.Exit, c)
	}
	paste(l, "BROWSER=lab-browser "+c.Try)
	if all, r = doctor(t, l); r.Exit != 0 || len(notFine(all)) != 0 {
		t.Errorf("after its repair: %+v", notFine(all))
	}
}

// A line that is down is told of, and the way is tried beside it.
func TestDoctor_TellsOfALineThatIsDown(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	open(t, l, "gpu1")
	l.Laptop.Cut()
	lab.Wait(t, time.Minute, "the line to be down", func() bool { return strings.Contains(l.Must("ls").Stdout, "down") })
	all, r := doctor(t, l, "--connect-timeout", "2s")
	if c := find(all, "line", "gpu1"); r.Exit != 5 || c.State != "warning" || !strings.Contains(c.What, "the line to gpu1 is down since") || find(all, "tcp", "gpu1").State != "failed" {
		t.Errorf("exit %d: %+v", r.Exit, all)
	}
	l.Laptop.Mend()
}

// A gateway of which no command ever asked anything stays without a relay.
func TestDoctor_StartsNoRelay(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	open(t, l, "gpu1")
	gw1 := l.Host("gw1")
	before, n := everything(gw1), signIns(gw1)
	r := l.Run("doctor", "gw1")
	if !strings.Contains(r.Stdout, "gw1 is signed in to already") || !strings.Contains(r.Stdout, "a relay can run there") || signIns(gw1) != n {
		t.Errorf("exit %d, %d sign-ins\n%s%s", r.Exit, signIns(gw1)-n, r.Stdout, r.Stderr)
	}
	sameAs(t, gw1, before)
	if relays := gw1.Running("relay"); len(relays) != 0 {
		t.Errorf("%+v", relays)
	}
}
