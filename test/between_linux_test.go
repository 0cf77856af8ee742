package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// The second of three gateways dies, stops or restarts: it is named, and those
// before it are not signed in to again.
func TestN11_GatewayInTheMiddle(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 3})
	gw1, gw2 := l.Host("gw1"), l.Host("gw2")

	gw2.StopSSHD()
	fails(t, l.Run("open", "--no-browser", "gpu1"), 5, "connect to gw2: gw1 is fine; from there", "is refused")
	gw2.StartSSHD()
	gw2.Freeze()
	fails(t, l.Run("open", "--no-browser", "--connect-timeout", "3s", "gpu1"), 5, "connect to gw2: gw1 is fine; from there no SSH greeting")
	gw2.Thaw()

	o := open(t, l, "gpu1")
	before := signIns(gw1)
	for _, way := range []struct {
		name       string
		break_, up func()
	}{
		{"dead", func() { gw2.StopSSHD(); gw2.HangUp() }, gw2.StartSSHD},
		{"stopped", gw2.Freeze, gw2.Thaw},
		{"restarted", func() { gw2.HangUp(); gw2.StopSSHD(); gw2.StartSSHD() }, nil},
	} {
		way.break_()
		if way.up != nil {
			lab.Wait(t, 70*time.Second, way.name+": gw2 to be named", func() bool {
				s := statusOf(t, l)
				return s.State != "up" && (s.Hop == "gw2" || strings.Contains(s.Reason, "gw2"))
			})
			way.up()
		}
		works(t, l, o)
		if n := signIns(gw1); n != before {
			t.Errorf("%s: gw1 was signed in to %d times more", way.name, n-before)
		}
	}
}

// An SSH server that gives no terminal: all works.
func TestN19_NoTerminals(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "PermitTTY no\n"})
	o := open(t, l, "gpu1")
	works(t, l, o)
	for _, command := range [][]string{
		{"doctor", "gpu1"}, {"status", "gpu1"}, {"logs", "gpu1"}, {"kernel", "list"}, {"restart", "gpu1", "-y"}, {"clean", "gpu1", "--json"},
	} {
		l.Must(command...)
	}
	works(t, l, open(t, l, "gpu1"))
	x := shell(t, l, "gpu1") // its terminal is the relay's
	x.Type("echo $((6*7))'!'; tty\r")
	x.Expect("42!\r\n/dev/pts/", 10*time.Second)
	x.Type("exit\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Errorf("exit %d", r.Exit)
	}
	l.Must("stop", "gpu1", "-y")
	if log := l.Host("gpu1").SSHDLog(); strings.Contains(log, " on pts/") {
		t.Error("a terminal was asked for")
	}
}

// withPAM asks what Debian's own sshd asks of an account.
const withPAM = `auth required pam_unix.so
account required pam_nologin.so
account required pam_unix.so
password required pam_unix.so
session required pam_permit.so
`

// Accounts that are let in and then told something, or let in no further: that
// is shown, harmless, in five lines at most.
func TestN20_LetInAndSentAway(t *testing.T) {
	t.Parallel()
	forced := func(name, command string) string { return "Match User " + name + "\n  ForceCommand " + command + "\n" }
	talks := `printf 'line %s of the \033[31mhouse\007 rules\n' 1 2 3 4 5 6 7; exit 1`
	l := lab.New(t, lab.Chain{
		Accounts: []lab.Account{{Name: "forced"}, {Name: "sftp"}, {Name: "talks"}, {Name: "quiet"}, {Name: "expired"}, {Name: "nologin", Shell: "/usr/sbin/nologin"}},
		Hosts:    2,
		Sshd: forced("forced", "echo this account is for backups only") + forced("sftp", "internal-sftp") +
			forced("talks", talks) + forced("quiet", "true") + "Match all\n",
	})
	gpu1, gpu2 := l.Host("gpu1"), l.Host("gpu2")
	gpu2.WriteMode("root", "/etc/pam.d/sshd", withPAM, 0o644)
	gpu2.Configure("UsePAM yes\n")
	gpu2.Sh("sed -i 's/^\\(expired:[^:]*\\):[^:]*:[^:]*:[^:]*:/\\1:10000:0:30:/' /etc/shadow")
	for _, c := range []struct{ at, says string }{
		{"forced@gpu1", "this account is for backups only"}, {"sftp@gpu1", "the login shell"}, {"quiet@gpu1", "without a word"},
		{"nologin@gpu1", "not available"}, {"talks@gpu1", "line 5 of the"}, {"expired@gpu2", "password has expired"},
	} {
		r := l.Run("open", "--no-browser", c.at)
		fails(t, r, 7, c.says, c.at)
		if r.Took > 15*time.Second || strings.ContainsAny(r.Stderr, "\x1b\a") || strings.Contains(r.Stderr, "line 6") {
			t.Errorf("%s: after %v\n%q", c.at, r.Took, r.Stderr)
		}
	}
	for _, m := range []*lab.Machine{gpu1, gpu2} {
		m.WriteMode("root", "/etc/nologin", "the machine goes down at noon\n", 0o644)
		r := l.Run("open", "--no-browser", m.Name)
		if r.Exit != 5 && r.Exit != 7 || !strings.Contains(r.Stderr, "the machine goes down at noon") {
			t.Errorf("%s: exit %d\n%s", m.Name, r.Exit, r.Stderr)
		}
	}
	if all, r := doctor(t, l); r.Exit != 7 || !strings.Contains(fmt.Sprint(notFine(all)), "the machine goes down at noon") {
		t.Errorf("doctor: exit %d, %+v", r.Exit, notFine(all))
	}
	gpu1.Sh("rm /etc/nologin")
	works(t, l, open(t, l, "gpu1"))
}

// A name server that is slow, does not know, or knows too much.
func TestN22_NameServers(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1, laptop := l.Host("gpu1"), l.Laptop
	here := gpu1.Addr
	// What is sent to these is lost, and nobody says so.
	const nobody = "02:00:00:00:ff:ff"
	laptop.Sh("ip -6 address add 2001:db8::2/64 dev eth0 nodad; ip -6 neighbour replace 2001:db8::1 lladdr " + nobody + " dev eth0 nud permanent")
	many := []string{}
	for i := range 9 {
		many = append(many, fmt.Sprintf("10.77.0.%d", 200+i))
		laptop.Sh("ip neighbour replace " + many[i] + " lladdr " + nobody + " dev eth0 nud permanent")
	}
	laptop.WriteMode("root", "/etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644)
	laptopConfig(l, "HostName "+here, "HostName gpu1.example")
	laptop.WriteFile(lab.Me, knownHosts, gpu1.KnownHosts("gpu1.example"))
	said := func(a lab.Answer) func(string, uint16) lab.Answer {
		return func(string, uint16) lab.Answer { return a }
	}
	are := func(addrs ...string) func(string, uint16) lab.Answer {
		return func(_ string, kind uint16) lab.Answer { return lab.Addresses(kind, addrs...) }
	}
	dns := laptop.DNS(said(lab.Answer{Code: lab.NXDomain}))
	fails(t, l.Run("open", "--no-browser", "gpu1"), 3, "find gpu1: DNS does not know gpu1.example")
	dns.Set(said(lab.Answer{Code: lab.ServFail}))
	fails(t, l.Run("open", "--no-browser", "gpu1"), 5, "connect to gpu1: no address of gpu1.example: DNS: server misbehaving")
	dns.Set(said(lab.Answer{Silent: true}))
	r := l.Run("open", "--no-browser", "--connect-timeout", "3s", "gpu1")
	if fails(t, r, 5, "connect to gpu1: gpu1.example:22 gave no answer in 3 s"); r.Took > 8*time.Second {
		t.Errorf("it took %v", r.Took)
	}

	for _, c := range []struct {
		name   string
		answer func(string, uint16) lab.Answer
		most   time.Duration // for the sign-in
	}{
		{"after 4 s", func(_ string, kind uint16) lab.Answer {
			a := lab.Addresses(kind, here)
			a.After = 4 * time.Second
			return a
		}, 9 * time.Second},
		{"a dead IPv6 address first", are("2001:db8::1", here), 5 * time.Second},
		{"one of ten lives", are(append(many, here)...), 10 * time.Second},
	} {
		dns.Set(c.answer)
		o := open(t, l, "gpu1")
		if took := o.step("gpu1"); took > c.most {
			t.Errorf("%s: signed in after %v", c.name, took)
		} else {
			t.Logf("%s: signed in after %v", c.name, took)
		}
		works(t, l, o)
		if c.name != "one of ten lives" {
			l.Must("close", "gpu1")
			continue
		}
		// Each dial asks anew: the host has moved meanwhile.
		dns.Set(are("10.77.0.60"))
		gpu1.Sh("ip address del " + here + "/24 dev eth0; ip address add 10.77.0.60/24 dev eth0")
		gpu1.HangUp()
		works(t, l, o)
	}
}
