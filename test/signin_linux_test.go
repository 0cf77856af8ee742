package test

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// A changed key stops everything, whichever hop has it, and says what a person
// needs to find out whether that is right.
func TestE1_ChangedHostKeyOnEachHop(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gw1", "gw2", "gpu1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Gateways: 2})
			m := l.Host(name)
			old := lab.Fingerprint(t, m.HostKeys()[0])
			m.StopSSHD()
			m.NewHostKeys()
			m.StartSSHD()
			fresh := lab.Fingerprint(t, m.HostKeys()[0])
			fails(t, l.Run("open", "-y", "--no-browser", "gpu1"), 6,
				"host key of "+name+" changed", old, fresh, "known_hosts", "ssh-keygen -R")
			if strings.Contains(m.SSHDLog(), "Accepted publickey") {
				t.Error("it signed in all the same")
			}
		})
	}
}

// A key that changes while the line is up stops the way back: nobody is
// asked, nothing is tried again with it.
func TestE1_ChangedHostKeyOnTheWayBack(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	open(t, l, "gpu1")
	host.StopSSHD()
	host.NewHostKeys()
	host.StartSSHD()
	signedIn := strings.Count(host.SSHDLog(), "Accepted publickey")
	host.HangUp()
	lab.Wait(t, 30*time.Second, "the holder to dial again", func() bool {
		return strings.Contains(host.SSHDLog()[strings.LastIndex(host.SSHDLog(), "Server listening"):], "Connection ")
	})
	fails(t, l.Run("open", "--no-browser", "-y", "gpu1:~/x"), 6, "host key of gpu1 changed")
	if n := strings.Count(host.SSHDLog(), "Accepted publickey"); n != signedIn {
		t.Errorf("it signed in to the changed one, %d times", n-signedIn)
	}
}

func TestE2_AnswersToTheQuestion(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Unknown: true})
	fingerprint := lab.Fingerprint(t, l.Host("gpu1").HostKeys()[0])
	const known = "/home/me/.ssh/known_hosts"

	no := l.Pty("open", "gpu1")
	no.Expect(fingerprint, 20*time.Second)
	no.Expect("Trust it?", 5*time.Second)
	no.Type("no\r")
	if r := no.Wait(); r.Exit != 6 || l.Laptop.ReadFile(known) != "" {
		t.Errorf("answered no: exit %d, saved %q\n%s", r.Exit, l.Laptop.ReadFile(known), no.Screen())
	}

	other := l.Pty("open", "gpu1")
	other.Expect("Trust it?", 20*time.Second)
	other.Type(strings.Replace(fingerprint, "SHA256:", "SHA256:x", 1) + "\r")
	time.Sleep(200 * time.Millisecond) // it may ask again or give up
	other.Type("\x03")
	if r := other.Wait(); r.Exit == 0 || l.Laptop.ReadFile(known) != "" {
		t.Errorf("pasted another fingerprint: exit %d\n%s", r.Exit, other.Screen())
	}

	// A last line without its end, as an editor may leave it.
	l.Laptop.WriteFile(lab.Me, known, strings.TrimSpace(l.Host("gpu1").KnownHosts("elsewhere")))
	yes := l.Pty("open", "gpu1")
	yes.Expect("Trust it?", 20*time.Second)
	yes.Type(fingerprint + "\r")
	if r := yes.Wait(); r.Exit != 0 || !strings.Contains(yes.Screen(), "host key saved") {
		t.Errorf("pasted the fingerprint: exit %d\n%s", r.Exit, yes.Screen())
	}
	if r := l.SSH("gpu1", "true"); r.Exit != 0 {
		t.Errorf("ssh does not know it now: %s", r.Stderr)
	}
	if n := strings.Count(l.Laptop.ReadFile(known), "elsewhere "); n != 2 {
		t.Errorf("what stood there before is spoilt:\n%s", l.Laptop.ReadFile(known))
	}
}

// A passphrase is asked at the terminal, unseen, and not for the second open.
func TestL9_Passphrase(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Passphrase: "secret words"})
	fails(t, l.Run("open", "--no-browser", "gpu1"), 4, "sign in to gpu1")
	// Trying a passphrase takes seconds with the race detector on.
	x := l.Pty("open", "--connect-timeout", "80s", "gpu1")
	before := x.Modes()
	x.Expect("asks: passphrase", 20*time.Second)
	x.Type("mistyped\r")
	x.Expect("gpu1: wrong passphrase", 40*time.Second)
	x.Expect("asks: passphrase", 40*time.Second)
	x.Type("secret words\r")
	x.Expect("opened in your browser", 90*time.Second)
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	if strings.Contains(x.Screen(), "secret words") || strings.Contains(x.Screen(), "mistyped") {
		t.Errorf("what was typed is on the screen:\n%s", x.Screen())
	}
	if after := x.Modes(); after != before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
	works(t, l, open(t, l, "gpu1"))
}

// Ctrl-C at a question gives the terminal back as it was.
func TestL4_TerminalRestored(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct {
		chain    lab.Chain
		question string
	}{
		"passphrase": {lab.Chain{Passphrase: "secret words"}, "passphrase"},
		"host_key":   {lab.Chain{Unknown: true}, "Trust it?"},
		"install":    {lab.Chain{Jupyter: "none"}, "Install JupyterLab"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, at.chain)
			x := l.Pty("open", "gpu1")
			before := x.Modes()
			x.Expect(at.question, 20*time.Second)
			x.Type("sec")
			x.Type("\x03")
			if r := x.Wait(); r.Exit != 130 {
				t.Errorf("exit %d\n%s", r.Exit, x.Screen())
			}
			if after := x.Modes(); after != before {
				t.Errorf("the terminal was %+v and is %+v", before, after)
			}
		})
	}
}

// A signal at any moment ends the command at once with its code, and the next
// open works.
func TestL4_SignalsAtEachPhase(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1, Delay: 40 * time.Millisecond})
	for _, signal := range []struct {
		sig  syscall.Signal
		exit int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGHUP, 129}} {
		for _, phase := range []string{"starting", "gw1: signed in", "gpu1: signed in", "found", "started"} {
			j := l.Start("open", "--no-browser", "--foreground", "gpu1")
			j.Expect(phase, 30*time.Second)
			began := time.Now()
			j.Signal(signal.sig)
			r := j.Wait()
			if r.Exit != signal.exit || time.Since(began) > 2*time.Second {
				t.Errorf("%v at %q: exit %d after %v\n%s", signal.sig, phase, r.Exit, time.Since(began), r.Stderr)
			}
			// The line may have come up all the same, and Jupyter too.
			if phase == "started" || phase == "found" {
				l.Run("stop", "gpu1", "-y")
			}
			l.Run("close", "gpu1")
			l.Run("close", "gw1")
		}
	}
	works(t, l, open(t, l, "gpu1"))
}

func TestN12_TargetDownBehindGateway(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	l.Host("gpu1").StopSSHD()
	fails(t, l.Run("open", "--no-browser", "gpu1"), 5, "connect to gpu1", "gw1", "refused")
	l.Host("gpu1").StartSSHD()
	works(t, l, open(t, l, "gpu1"))
}

func TestN1_SilentServer(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	silent, err := l.Host("gpu1").Listen("tcp", "0.0.0.0:2222")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
		}
	}()
	r := l.Run("open", "--no-browser", "--connect-timeout", "3s", "gpu1:2222")
	fails(t, r, 5, "gpu1:2222", "3 s")
	if r.Took > 10*time.Second {
		t.Errorf("it took %v", r.Took)
	}
}

// TCP goes on and nobody speaks, at each hop in turn.
func TestN1_FrozenHops(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	for _, name := range []string{"gpu1", "gw1"} {
		l.Host(name).Freeze()
		r := l.Run("open", "--no-browser", "--connect-timeout", "3s", "gpu1")
		fails(t, r, 5, name, "3 s")
		if r.Took > 15*time.Second {
			t.Errorf("%s: it took %v", name, r.Took)
		}
	}
}

// The whole network is gone, silently.
func TestN1_NoNetwork(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Laptop.Cut()
	r := l.Run("open", "--no-browser", "--connect-timeout", "2s", "gpu1")
	fails(t, r, 5, "gpu1", "2 s")
	l.Laptop.Mend()
	works(t, l, open(t, l, "gpu1"))
}

// The line is cut and comes back: the address stays and the page works.
func TestLine_BackAfterRestartOfSSHD(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	o := open(t, l, "gpu1")
	l.Gateways[0].StopSSHD()
	l.Gateways[0].HangUp()
	lab.Wait(t, 20*time.Second, "the loss to be noticed", func() bool { return !strings.Contains(l.Must("ls").Stdout, "idle") })
	l.Gateways[0].StartSSHD()
	lab.Wait(t, 30*time.Second, "the line to be back", func() bool { return strings.Contains(l.Must("ls").Stdout, "idle") })
	works(t, l, o)
}
