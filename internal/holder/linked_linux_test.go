package holder

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/sshd"
)

// newHost is a rig whose host has a home of its own, and so a relay of its own,
// with programs before those of the system.
func newHost(t *testing.T, r *rig, programs map[string]string) string {
	t.Helper()
	home := filepath.Join(r.place.State, "home")
	for _, dir := range []string{home, filepath.Join(home, "bin")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(home, "bin", name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.server.Env = []string{"HOME=" + home, "PATH=" + filepath.Join(home, "bin") + ":" + os.Getenv("PATH")}
	hostHomes = append(hostHomes, home)
	t.Cleanup(func() { leaveHost(home) })
	return home
}

func init() {
	leaveHost = func(home string) {
		killRelay(home)
		records, _ := filepath.Glob(filepath.Join(home, ".local/share/nbremote/run/*"))
		for _, record := range records {
			if dir, _ := os.ReadFile(record); strings.HasPrefix(filepath.Base(string(dir)), "nbr.") {
				os.RemoveAll(string(dir))
			}
		}
	}
}

// killRelay kills the relay of a home, if it runs.
func killRelay(home string) (killed bool) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		line, _ := os.ReadFile(name)
		if !strings.Contains(string(line), "\x00serve\x00") || !strings.Contains(string(line), home+"/") {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		killed = syscall.Kill(pid, syscall.SIGKILL) == nil || killed
	}
	return killed
}

// linkOf runs the first script and waits for the decision.
func linkOf(t *testing.T, c *Client) *Link {
	t.Helper()
	if out, err := c.Run(limit(t), "echo hi"); err != nil || string(out) != "hi\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	l, err := c.Link(limit(t))
	if err != nil || l == nil {
		t.Fatalf("got %+v, %v", l, err)
	}
	return l
}

// signInByPerson attaches, answers the question and waits until the line is up.
func signInByPerson(t *testing.T, c *Client) *Attachment {
	t.Helper()
	a, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	e := waitEvent(t, limit(t), a, "question")
	c.Answer(limit(t), Answer{ID: e.ID, Text: "secret"})
	waitEvent(t, limit(t), a, "up")
	return a
}

// questions counts what is asked until the attachment is closed.
func questions(a *Attachment) <-chan int {
	count := make(chan int, 1)
	go func() {
		n := 0
		for {
			e, err := a.Next(context.Background())
			if err != nil {
				count <- n
				return
			}
			if e.Kind == "question" {
				n++
			}
		}
	}()
	return count
}

const slowPython = "sleep 2; exec /usr/bin/python3 \"$@\""

// A relay that is slow to start costs no second question, and no second
// connection.
func TestLink_SlowRelayAsksNobody(t *testing.T) {
	r := withPassword(t)
	newHost(t, r, map[string]string{"python3": slowPython})
	c := r.serve()
	a := signInByPerson(t, c)
	asked := questions(a)
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
	if _, err := c.Run(limit(t), "sleep 0.3"); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if n := <-asked; n != 0 {
		t.Errorf("%d more questions", n)
	}
	if n := r.server.Accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// Even one slower than dials are given up is waited for.
func TestLink_VerySlowRelay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	newHost(t, r, map[string]string{"python3": strings.Replace(slowPython, "2", "8", 1)})
	c := r.serve()
	up(t, c)
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
	if n := r.server.Accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// After a sign-in that needed a person the link is not dialled by itself; a
// command at a terminal is asked once, and its streams go on.
func TestN17_OneQuestionAndStreamsGoOn(t *testing.T) {
	r := withPassword(t)
	newHost(t, r, map[string]string{"python3": slowPython})
	c := r.serve()
	a := signInByPerson(t, c)
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
	conn, far := echoed(t, c)
	a.Close()
	until(t, "the command has left", func() bool {
		s, _ := c.Status(limit(t))
		if s.State == Up {
			r.server.CutAll()
		}
		return s.State == NeedsSignIn
	})
	before := r.server.Accepted()
	quiet := time.NewTimer(2500 * time.Millisecond) // two dials would fit in
	<-quiet.C
	if n := r.server.Accepted(); n != before {
		t.Fatalf("%d dials that nobody asked for", n-before)
	}
	if _, err := c.Run(limit(t), "true"); err == nil || !strings.Contains(err.Error(), "person") {
		t.Errorf("a script without a person: %v", err)
	}
	b, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	e := waitEvent(t, limit(t), b, "question")
	<-time.After(6 * time.Second) // longer than a dial of the link is waited for
	c.Answer(limit(t), Answer{ID: e.ID, Text: "secret"})
	for {
		next, err := b.Next(limit(t))
		if err != nil {
			t.Fatal(err)
		}
		if next.Kind == "question" || next.Kind == "error" {
			t.Fatalf("after the answer: %+v", next)
		}
		if next.Kind == "up" {
			break
		}
	}
	says(t, conn, far, "still here")
	until(t, "one connection is left", func() bool { return r.server.Connections() == 1 })
}

// A wrong answer is told once, in its own words.
func TestLink_WrongAnswerIsToldOnce(t *testing.T) {
	r := withPassword(t)
	newHost(t, r, nil)
	c := r.serve()
	a := signInByPerson(t, c)
	linkOf(t, c)
	a.Close()
	until(t, "the command has left", func() bool {
		s, _ := c.Status(limit(t))
		if s.State == Up {
			r.server.CutAll()
		}
		return s.State == NeedsSignIn
	})
	b, err := c.Attach(context.Background(), AttachOptions{Ask: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	told := 0
	end := time.After(4 * time.Second)
	events := make(chan Event, 64)
	go func() {
		for {
			e, err := b.Next(context.Background())
			if err != nil {
				close(events)
				return
			}
			events <- e
		}
	}()
	for going := true; going; {
		select {
		case e := <-events:
			switch e.Kind {
			case "question":
				go func() {
					<-time.After(2500 * time.Millisecond / 3)
					c.Answer(limit(t), Answer{ID: e.ID, Refused: true})
				}()
			case "error":
				if told++; e.Error.Class() != "sign-in" {
					t.Errorf("told %q, %s", e.Error.Text, e.Error.Class())
				}
			}
		case <-end:
			going = false
		}
	}
	s, err := c.Status(limit(t))
	if told != 1 || err != nil || s.State != NeedsSignIn {
		t.Errorf("told %d times, state %s (%s), %v", told, s.State, s.Reason, err)
	}
}

// echoed is a stream on the link to a listener here, and its far end.
func echoed(t *testing.T, c *Client) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := c.Dial(limit(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return conn, far
}

func says(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(text))
	for n := 0; n < len(got); {
		m, err := to.Read(got[n:])
		if err != nil {
			t.Fatalf("got %q, %v", got[:n], err)
		}
		n += m
	}
	if string(got) != text {
		t.Fatalf("got %q", got)
	}
}

// A stream outlives its connections; none of them, nor what served them, is
// left.
func TestLink_ManyDeathsLeaveNothing(t *testing.T) {
	r := newRig(t)
	newHost(t, r, nil)
	c := r.serve()
	up(t, c)
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
	conn, far := echoed(t, c)
	descriptors := func() int { all, _ := os.ReadDir("/proc/self/fd"); return len(all) }
	base := 0
	for n := range 6 {
		seen := r.server.Accepted()
		r.server.CutAll()
		until(t, "another connection", func() bool {
			s, _ := c.Status(limit(t))
			return r.server.Accepted() > seen && s.State == Up
		})
		says(t, conn, far, "after cut "+strconv.Itoa(n))
		until(t, "one connection is left", func() bool { return r.server.Connections() == 1 })
		if n == 1 {
			base = descriptors()
		}
	}
	until(t, "as many descriptors as after the second", func() bool { return descriptors() <= base+4 })
}

// A relay that was killed is started again; what went by it has ended.
func TestLink_KilledRelay(t *testing.T) {
	r := newRig(t)
	home := newHost(t, r, nil)
	c := r.serve()
	up(t, c)
	linkOf(t, c)
	conn, _ := echoed(t, c)
	if !killRelay(home) {
		t.Fatal("no relay was found")
	}
	ended := make(chan error, 1)
	go func() { _, err := conn.Read(make([]byte, 1)); ended <- err }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the stream hangs")
	}
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
}

// A relay that cannot be started any more is done without.
func TestLink_RelayThatDoesNotComeBack(t *testing.T) {
	r := newRig(t)
	home := newHost(t, r, nil)
	c := r.serve()
	up(t, c)
	linkOf(t, c)
	conn, _ := echoed(t, c)
	if err := os.WriteFile(filepath.Join(home, "bin/python3"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	killRelay(home)
	until(t, "the link is given up", func() bool {
		s, err := c.Status(limit(t))
		return err == nil && s.Link != nil && !s.Link.On && s.Link.Why != "" && s.State == Up
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Read(make([]byte, 1)); err == nil || ctx.Err() != nil {
		t.Errorf("its stream: %v", err)
	}
	linkOf(t, c)
	says2, far := echoed(t, c)
	says(t, says2, far, "directly")
	r.server.CutAll()
	until(t, "the line is back", func() bool {
		_, err := c.Run(limit(t), "true")
		return err == nil
	})
	until(t, "one connection is left", func() bool { return r.server.Connections() == 1 })
}

// A host without the relay's Python, and one session: all goes by that one.
func TestLink_OneSessionAndNoPython(t *testing.T) {
	r := newRig(t)
	newHost(t, r, map[string]string{"python3": "exit 3"})
	r.server.SetFaults(sshd.Faults{MaxSessions: 1})
	c := r.serve()
	up(t, c)
	if l := linkOf(t, c); l.On || l.Why == "" {
		t.Fatalf("got %+v", l)
	}
	for range 3 {
		if out, err := c.Run(limit(t), "echo one"); err != nil || string(out) != "one\n" {
			t.Fatalf("got %q, %v", out, err)
		}
	}
	s, err := c.Stream(limit(t), "echo two")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	buf := make([]byte, 4)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "two\n" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
}

// A cut while the relay is being started is no reason to do without it.
func TestLink_CutWhileItBegins(t *testing.T) {
	r := newRig(t)
	newHost(t, r, map[string]string{"python3": slowPython})
	c := r.serve()
	up(t, c)
	if _, err := c.Run(limit(t), "true"); err != nil {
		t.Fatal(err)
	}
	<-time.After(500 * time.Millisecond) // the relay is under way
	r.server.CutAll()
	until(t, "the line is back", func() bool { return r.server.Accepted() > 1 })
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
}

// A holder that is closed while its line is down ends at once.
func TestLink_CloseWhileDown(t *testing.T) {
	r := newRig(t)
	newHost(t, r, nil)
	c := r.serve()
	up(t, c)
	linkOf(t, c)
	r.server.SetFaults(sshd.Faults{Silent: true})
	r.server.CutAll()
	until(t, "the line is down", func() bool { s, _ := c.Status(limit(t)); return s.State == Down })
	began := time.Now()
	if err := c.Close(limit(t)); err != nil {
		t.Fatal(err)
	}
	until(t, "the holder has ended", func() bool { _, err := c.Status(limit(t)); return errors.Is(err, ErrNone) })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Who wants a gateway to be fresh is not kept waiting by one that is silent,
// and is told when it is back: with its link on as without.
func TestAttach_FreshWhileSilent(t *testing.T) {
	for _, linked := range []bool{false, true} {
		t.Run(strconv.FormatBool(linked), func(t *testing.T) {
			r := newRig(t)
			newHost(t, r, nil)
			c := r.serve()
			up(t, c)
			if linked {
				linkOf(t, c)
			}
			r.server.Freeze()
			defer r.server.Thaw()
			for range 2 { // two hosts behind it
				began := time.Now()
				a, err := c.Attach(limit(t), AttachOptions{Fresh: true})
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				if took := time.Since(began); took > 3*signOfLife {
					t.Errorf("it took %v", took)
				}
				defer waitEvent(t, limit(t), a, "up")
			}
			if s, err := c.Status(limit(t)); err != nil || s.State == Up {
				t.Errorf("state %s, %v", s.State, err)
			}
			r.server.Thaw()
		})
	}
}
