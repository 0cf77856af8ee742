package test

import (
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// ann may sign in by her password only, as who has no key that we can use.
const ann = "Match User ann\n  AuthenticationMethods password\n  PasswordAuthentication yes\nMatch all\n"

// byPassword makes a machine's account ann, and ann the user there.
func byPassword(l *lab.Lab, name string) *lab.Machine {
	m := l.Host(name)
	m.AddAccount(lab.Account{Name: "ann", Password: "deep water"})
	config := l.Laptop.ReadFile("/home/me/.ssh/config")
	at := "Host " + name + "\n  HostName " + m.Addr + "\n  User "
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", strings.Replace(config, at+"me", at+"ann", 1))
	return m
}

func engine(l *lab.Lab, name string, hosts ...string) {
	var b strings.Builder
	for _, h := range hosts {
		b.WriteString("[hosts." + h + "]\nengine = \"" + name + "\"\n")
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", b.String())
}

// connections is how often a machine's sshd was connected to.
func connections(m *lab.Machine) int { return strings.Count(m.SSHDLog(), "Connection from ") }

// A hop that needed a person is not dialled again by itself, whichever hop it
// is and whichever engine signs in; a command at a terminal brings it back.
func TestEngine_NoRedialOfWhatNeededAPerson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ engine, hop string }{{"openssh", "gpu1"}, {"openssh", "gw1"}, {"native", "gpu1"}, {"native", "gw1"}} {
		t.Run(c.engine+"_"+c.hop, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Gateways: 1, Sshd: ann})
			asks := byPassword(l, c.hop)
			engine(l, c.engine, "gw1", "gpu1")
			x := l.Pty("open", "--no-browser", "gpu1")
			x.Expect("password", 30*time.Second)
			x.Type("deep water\r")
			if r := x.Wait(); r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
			}
			if strings.Contains(x.Screen(), "deep water") {
				t.Errorf("the password is on the screen:\n%s", x.Screen())
			}
			o := open(t, l, "gpu1")
			works(t, l, o)
			asks.HangUp()
			lab.Wait(t, 30*time.Second, "the holder to want a person", func() bool {
				return strings.Contains(l.Run("ls").Stdout, "needs sign-in")
			})
			before := connections(asks)
			time.Sleep(4 * time.Second) // else it dials each second
			if n := connections(asks) - before; n > 0 {
				t.Errorf("it dialled %d times unasked", n)
			}
			x = l.Pty("open", "--no-browser", "gpu1")
			x.Expect("password", 30*time.Second)
			x.Type("deep water\r")
			if r := x.Wait(); r.Exit != 0 {
				t.Fatalf("again: exit %d\n%s", r.Exit, x.Screen())
			}
			if again := open(t, l, "gpu1"); again.Port != o.Port || again.HolderPID != o.HolderPID {
				t.Errorf("another holder or port: %+v, was %+v", again, o)
			}
			works(t, l, o)
		})
	}
}

// The engine openssh comes back by itself where no person is needed, through a
// gateway that signs in by the other engine, and ends with the holder.
func TestEngine_OpenSSHRedials(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	engine(l, "openssh", "gpu1")
	o := open(t, l, "gpu1")
	works(t, l, o)
	if !o.Link.On {
		t.Errorf("no link: %s", o.Link.Why)
	}
	if n := len(l.Laptop.Running("ssh -M")); n == 0 {
		t.Error("no ssh -M runs: it was the other engine")
	}
	l.Host("gpu1").HangUp()
	l.Host("gw1").HangUp()
	works(t, l, o) // held until the line is back
	l.Must("close", "gpu1")
	lab.Wait(t, 10*time.Second, "ssh to end with the holder", func() bool { return len(l.Laptop.Running("ssh -M")) == 0 })
}
