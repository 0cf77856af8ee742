package test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"nbremote/test/lab"
)

// fromElsewhere is how often a machine's sshd was connected to over a network.
func fromElsewhere(m *lab.Machine) int { return strings.Count(m.SSHDLog(), "Connection from 10.77.") }

// occupy takes the only place that a machine's sshd has for who has not signed
// in yet.
func occupy(t *testing.T, m *lab.Machine) net.Conn {
	t.Helper()
	m.Configure("MaxStartups 1\n")
	var c net.Conn
	lab.Wait(t, 10*time.Second, "a place", func() bool { // the test of a fresh sshd has it for a moment
		var err error
		if c, err = m.Dial(context.Background(), 0, "tcp", "127.0.0.1:22"); err != nil {
			return false
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if line, _ := bufio.NewReader(c).ReadString('\n'); strings.HasPrefix(line, "SSH-") {
			return true
		}
		c.Close()
		return false
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// A server that has too many at the door is tried again, which is told, on each
// hop and by either engine.
func TestN15_MaxStartups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ engine, hop string }{{"native", "gw1"}, {"native", "gpu1"}, {"openssh", "gpu1"}} {
		t.Run(c.engine+"_"+c.hop, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Gateways: 1})
			engine(l, c.engine, "gw1", "gpu1")
			place := occupy(t, l.Host(c.hop))
			j := l.Start("open", "--json", "--no-browser", "gpu1")
			j.Expect(c.hop+": it ended the connection before the sign-in; try 2 of 4 in ", 20*time.Second)
			place.Close()
			r := j.Wait()
			if r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
			}
			works(t, l, parseOpened(t, r))
		})
	}
}

// One that goes on so is given up, which says why and what to try; and that works.
func TestN15_MaxStartupsForLong(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	place := occupy(t, gpu1)
	dropped := func() int { return strings.Count(gpu1.SSHDLog(), "from [10.77.") }
	before := dropped()
	r := l.Run("open", "--no-browser", "gpu1")
	fails(t, r, 5, "connect to gpu1", "before its SSH greeting", "MaxStartups", "try:   nbremote open gpu1 --wait", "try 4 of 4")
	if n := dropped() - before; n != 4 {
		t.Errorf("tried %d times, not 4\n%s", n, gpu1.SSHDLog())
	}
	j := l.Start("open", "--json", "--no-browser", "--wait", "gpu1")
	j.Expect("waiting for gpu1", 30*time.Second)
	place.Close()
	if r = j.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	works(t, l, parseOpened(t, r))
}

// Where a person has answered, nothing is tried again by itself.
func TestN15_NotWhereAPersonWasAsked(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Unknown: true})
	gpu1 := l.Host("gpu1")
	x := l.Pty("open", "--no-browser", "gpu1")
	x.Expect("Trust it?", 20*time.Second)
	gpu1.HangUp()
	x.Type("yes\r")
	if r := x.Wait(); r.Exit != 5 || strings.Contains(x.Screen(), "try 2 of") {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	if n := fromElsewhere(gpu1); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// penalized stands before gpu1's sshd and does what one of OpenSSH 9.8 and later
// does while it holds failed sign-ins against an address: a stand-in, for there
// is none on this system.
type penalized struct {
	mu   sync.Mutex
	left int // connections that are refused yet
	came int
}

func penalize(t *testing.T, l *lab.Lab, left int) *penalized {
	t.Helper()
	p := &penalized{left: left}
	gpu1 := l.Host("gpu1")
	listener, err := gpu1.Listen("tcp", gpu1.Addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Reach("gpu1", listener.Addr(), gpu1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(gpu1, c) })
		}
	})
	t.Cleanup(func() { listener.Close(); gpu1.HangUp(); wg.Wait() })
	return p
}

func (p *penalized) serve(m *lab.Machine, c net.Conn) {
	defer c.Close()
	p.mu.Lock()
	p.came++
	refuse := p.left > 0
	p.left--
	p.mu.Unlock()
	if refuse {
		_, _ = io.WriteString(c, "Not allowed at this time\r\n")
		return
	}
	far, err := m.Dial(context.Background(), 0, "tcp", "127.0.0.1:22")
	if err != nil {
		return
	}
	defer far.Close()
	go func() { _, _ = io.Copy(far, c); _ = far.(*net.TCPConn).CloseWrite() }()
	_, _ = io.Copy(c, far)
}

// refuse has it refuse so many more, and gives how many had come.
func (p *penalized) refuse(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
	return p.came
}

// A server that refuses this address for a while: the first sign-in is tried
// again, a line that was up comes back, and who goes on refusing is named.
func TestN16_RefusedForAWhile(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	p := penalize(t, l, 1000)
	fails(t, l.Run("open", "--no-browser", "gpu1"), 5, "connect to gpu1", "before its SSH greeting",
		`it said "Not allowed at this time": too many connections at once (MaxStartups), or sign-ins that failed (PerSourcePenalties)`, "nbremote open gpu1 --wait")
	if n := p.refuse(1); n != 4 {
		t.Errorf("tried %d times", n)
	}
	r := l.Must("open", "--json", "--no-browser", "gpu1")
	if !strings.Contains(r.Stderr, "try 2 of 4") || strings.Contains(r.Stderr, "try 3 of 4") {
		t.Errorf("it does not say so:\n%s", r.Stderr)
	}
	o := parseOpened(t, r)
	p.refuse(3)
	l.Host("gpu1").HangUp()
	works(t, l, o) // held until the line is back
	if left := p.refuse(0); left < 9 {
		t.Errorf("only %d connections came", left)
	}
}

// A sign-in that is refused is final: it is not tried again, neither the first
// nor that of a line that was lost, or a server would shut out this address.
func TestN16_RefusedSignInIsFinal(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	hide := func() { gpu1.Sh("mv /home/me/.ssh/authorized_keys /home/me/.ssh/off") }
	show := func() { gpu1.Sh("mv /home/me/.ssh/off /home/me/.ssh/authorized_keys") }
	hide()
	fails(t, l.Run("open", "--no-browser", "gpu1"), 4, "sign in to gpu1 as me: refused")
	if n := fromElsewhere(gpu1); n != 1 {
		t.Errorf("%d connections for one sign-in", n)
	}
	show()
	o := open(t, l, "gpu1")
	hide()
	before := fromElsewhere(gpu1)
	gpu1.HangUp()
	lab.Wait(t, 30*time.Second, "the holder to want a person", func() bool { return strings.Contains(l.Run("ls").Stdout, "needs sign-in") })
	n := fromElsewhere(gpu1)
	if n-before > 2 {
		t.Errorf("it tried %d times", n-before)
	}
	time.Sleep(3 * time.Second) // else it dials each second
	if more := fromElsewhere(gpu1); more != n {
		t.Errorf("it tried %d times more", more-n)
	}
	show()
	works(t, l, open(t, l, "gpu1"))
	works(t, l, o)
}

// No connection is made that does not sign in: a server counts those too.
func TestN16_NoProbes(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	l.Must("doctor", "gpu1")
	o := open(t, l, "gpu1")
	l.Must("doctor", "gpu1")
	l.Must("status", "gpu1")
	l.Host("gpu1").HangUp()
	works(t, l, o)
	l.Must("ls")
	l.Must("close", "gpu1")
	for _, m := range []*lab.Machine{l.Host("gw1"), l.Host("gpu1")} {
		if came, signed := fromElsewhere(m), signIns(m); came != signed || signed < 2 {
			t.Errorf("%s: %d connections, %d sign-ins", m.Name, came, signed)
		}
	}
}
