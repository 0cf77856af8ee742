//go:build unix

package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbremote/test/lab"
)

// line is a holder's way to a relay, with the carriers that were opened.
type line struct {
	r    *relay
	mu   sync.Mutex
	all  []*cable
	down bool
}

func (n *line) open(context.Context) (io.ReadWriteCloser, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.New("no line")
	}
	c, err := n.r.cable()
	if err == nil {
		n.all = append(n.all, c)
	}
	return c, err
}

func (n *line) last() *cable {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all[len(n.all)-1]
}

func (n *line) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.all)
}

func ping(t *testing.T, s *Stream) {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// A carrier that stalls and comes back: no stream is closed, and what the old
// one still delivers after the next has taken over is of no consequence.
func TestN3_StalledCarrierComesBack(t *testing.T) {
	n := &line{r: startRelay(t)}
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20)})
	s := dial(t, l, "unix", serve(t, echo))
	ping(t, s)
	for range 5 {
		old := n.last()
		old.stall()
		before := n.count()
		ping(t, s) // over the next
		if n.count() == before {
			t.Fatal("no second carrier was dialled")
		}
		old.unstall()
		ping(t, s)
	}
	if st := l.Status(); st.State != Up || st.Streams != 1 {
		t.Errorf("%+v", st)
	}
}

// A carrier that is only slow: the dial beside it is given up, and it stays.
func TestFalseAlarm(t *testing.T) {
	n := &line{r: startRelay(t)}
	var hold atomic.Bool
	given := make(chan struct{}, 10)
	l := newLink(t, Config{Clock: faster(20), Carrier: func(ctx context.Context) (io.ReadWriteCloser, error) {
		if hold.Load() {
			<-ctx.Done()
			given <- struct{}{}
			return nil, ctx.Err()
		}
		return n.open(ctx)
	}})
	s := dial(t, l, "unix", serve(t, echo))
	ping(t, s)
	hold.Store(true)
	n.last().stall()
	s.Write([]byte("y"))
	eventually(t, "it is suspect", func() bool { return l.Status().State == Suspect })
	n.last().unstall()
	<-given
	eventually(t, "it is up", func() bool { return l.Status().State == Up })
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if n.count() != 1 {
		t.Errorf("%d carriers", n.count())
	}
}

func TestRelayKilled(t *testing.T) {
	r := startRelay(t)
	n := &line{r: r}
	events := make(chan Event, 100)
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20), Notify: func(e Event) { events <- e }})
	s := dial(t, l, "unix", serve(t, echo))
	p := run(t, l, sh("sleep 100"))
	ping(t, s)
	r.kill()
	os.Remove(r.dir + "/r.sock")
	eventually(t, "that is noticed", func() bool { return l.Status().State != Up })
	s.Write([]byte("x"))
	r.start()
	var reset *ResetError
	if _, err := io.ReadAll(s); !errors.As(err, &reset) || reset.Code != ResetGone || !strings.Contains(err.Error(), "relay") {
		t.Errorf("Read: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.As(err, &reset) {
		t.Errorf("Write: %v", err)
	}
	if err := p.Wait(); !errors.As(err, &reset) {
		t.Errorf("Wait: %v", err)
	}
	ping(t, dial(t, l, "unix", serve(t, echo)))
	if n := l.Status().Lost; n < 2 { // of the process: its stderr too
		t.Errorf("%d streams lost", n)
	}
	for told := 0; told < 2; {
		switch e := <-events; {
		case e.Kind == StreamsLost && strings.Contains(e.Err.Error(), "relay"), e.Kind == StateChanged && e.State == Down:
			told++
		}
	}
}

func TestSpoolFull(t *testing.T) {
	n := &line{r: startRelay(t, "quota=3000000")}
	half, lost := make(chan Event, 1), make(chan Event, 1)
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20), Notify: func(e Event) {
		if e.Kind == StreamsLost {
			lost <- e
		}
		if e.Kind == SpoolHalfFull {
			select {
			case half <- e:
			default:
			}
		}
	}})
	other := dial(t, l, "unix", serve(t, echo))
	const size = 64 << 20
	begin, ended := make(chan struct{}), make(chan struct{})
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		<-begin
		io.Copy(c, noise(4, size))
		close(ended)
	}))
	ping(t, s2(t, l))
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	n.last().Close()
	eventually(t, "it is down", func() bool { return l.Status().State == Down })
	close(begin)
	<-ended // its stream was reset
	n.mu.Lock()
	n.down = false
	n.mu.Unlock()
	ping(t, other)
	b, err := io.ReadAll(s)
	var reset *ResetError
	if !errors.As(err, &reset) || reset.Code != ResetSpoolFull || !strings.Contains(err.Error(), fmt.Sprint(len(b))) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	want, _ := io.ReadAll(noise(4, len(b)))
	if len(b) < 2_900_000 || string(want) != string(b) {
		t.Errorf("%d bytes that differ", len(b))
	}
	if n := l.Status().Lost; n != 1 {
		t.Errorf("%d streams lost", n)
	}
	if e := <-lost; e.Err == nil || err == nil || e.Err.Error() != err.Error() {
		t.Errorf("told of %v", e.Err)
	}
	// A process is held back instead: nothing of its output is lost.
	begun := t.TempDir() + "/begun"
	p := run(t, l, sh("read x; echo >"+begun+"; head -c 20000000 /dev/zero; echo end"))
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	io.WriteString(p.Stdin, "\n")
	eventually(t, "it prints", func() bool { _, err := os.Stat(begun); return err == nil })
	n.last().Close()
	time.Sleep(300 * time.Millisecond) // so long is the cut
	n.mu.Lock()
	n.down = false
	n.mu.Unlock()
	if out, err := io.ReadAll(p.Stdout); err != nil || len(out) != 20_000_004 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	<-half
}

func s2(t *testing.T, l *Link) *Stream { return dial(t, l, "unix", serve(t, echo)) }

// Two laptops share a relay; a new holder of one ends only its own dead link.
func TestTwoLaptops(t *testing.T) {
	r := startRelay(t)
	one, two := NewID(), NewID()
	address := serve(t, echo)
	dead := &line{r: r}
	a := newLink(t, Config{Carrier: dead.open, Laptop: one, Clock: faster(20)})
	b := newLink(t, Config{Carrier: r.open, Laptop: two})
	sa, sb := dial(t, a, "unix", address), dial(t, b, "unix", address)
	ping(t, sa)
	ping(t, sb)
	hup := t.TempDir() + "/hup"
	p := run(t, a, sh("exec 2>/dev/null; trap 'echo >"+hup+"; exit' HUP; echo r; while :; do sleep 0.05; done"))
	until(t, p.Stdout, "r\n")
	// The holder of a is killed: its carrier just ends. And comes anew.
	dead.mu.Lock()
	dead.down = true
	dead.mu.Unlock()
	dead.last().Close()
	c := newLink(t, Config{Carrier: r.open, Laptop: one})
	sc := dial(t, c, "unix", address)
	ping(t, sc)
	eventually(t, "what the dead link held is hung up", func() bool { _, err := os.Stat(hup); return err == nil })
	ping(t, sb)
	// A holder that was not dead after all hears it, and leaves.
	dead.mu.Lock()
	dead.down = false
	dead.mu.Unlock()
	a.Kick()
	if _, err := io.ReadAll(sa); err == nil || !strings.Contains(err.Error(), "newer link") {
		t.Errorf("%v", err)
	}
	if err := a.Wait(context10(t)); !errors.Is(err, ErrReplaced) {
		t.Errorf("%v", err)
	}
	ping(t, sc)
	ping(t, sb)
}

// The same while the first still has a carrier, and across two versions.
func TestL11_OldAndNewRelay(t *testing.T) {
	old, fresh := startRelay(t), startRelay(t)
	laptop := NewID()
	a := newLink(t, Config{Carrier: old.open, Laptop: laptop})
	sa := dial(t, a, "unix", serve(t, echo))
	ping(t, sa)
	// Both relays' sockets lie in one directory.
	if err := os.Symlink(old.dir+"/r.sock", fresh.dir+"/old.sock"); err != nil {
		t.Fatal(err)
	}
	b := newLink(t, Config{Carrier: fresh.open, Laptop: laptop})
	ping(t, s2(t, b))
	if _, err := io.ReadAll(sa); err == nil || !strings.Contains(err.Error(), "newer link") {
		t.Errorf("%v", err)
	}
}

// What a link holds lives on without a carrier, for a time.
func TestRelay_Keeps(t *testing.T) {
	r := startRelay(t, "keep=0.6", "idle=0.2")
	n := &line{r: r}
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20)})
	ended := make(chan struct{})
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) { echo(c); close(ended) }))
	ping(t, s)
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	n.last().Close()
	time.Sleep(400 * time.Millisecond) // longer than idle
	select {
	case <-ended:
		t.Fatal("a stream was not kept")
	default:
	}
	<-ended
	gone := make(chan struct{})
	go func() { r.cmd.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("a relay that serves nothing stays")
	}
	if _, err := os.Stat(r.dir + "/r.sock"); err == nil {
		t.Error("its socket is left")
	}
}

// Descriptors and streams do not pile up.
func TestRelay_LeavesNothing(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	address := serve(t, echo)
	fds := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.cmd.Process.Pid))
		if err != nil {
			lab.Missing(t, err.Error())
		}
		return len(list)
	}
	ping(t, dial(t, l, "unix", address))
	before := fds()
	for i := range 50 {
		c, err := l.Dial(context10(t), "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		switch i % 3 {
		case 0:
			c.Close()
		case 1:
			c.(*Stream).Abort()
		case 2:
			c.(*Stream).CloseWrite()
			io.ReadAll(c)
		}
		p, err := l.Exec(context10(t), Command{Argv: []string{"/bin/cat"}, Pty: i%2 == 0, Rows: 10, Cols: 10})
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	eventually(t, "the descriptors are closed", func() bool { return fds() <= before })
	eventually(t, "the windows are given back", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.streams) == 1 && l.windows <= maxWindow
	})
}

func TestWait_ContextEnds(t *testing.T) {
	l := newLink(t, Config{Carrier: func(context.Context) (io.ReadWriteCloser, error) { return nil, errors.New("no route") }})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := l.Dial(ctx, "tcp", "127.0.0.1:1")
	var down *DownError
	if !errors.As(err, &down) || !strings.Contains(err.Error(), "no route") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	l.Close()
	if err := l.Wait(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}

// A port that another user has taken is not spoken to.
func TestA6_PortOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		lab.Missing(t, "root")
	}
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		lab.Missing(t, err.Error())
	}
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("ours"))
			c.Close()
		}
	}()
	if b, err := io.ReadAll(dial(t, l, "tcp", ln.Addr().String(), Own)); err != nil || string(b) != "ours" {
		t.Errorf("%q, %v", b, err)
	}
	script := `import os,socket,sys
s=socket.socket(); os.setuid(65534); t=socket.socket(); t.bind(("127.0.0.1",0)); t.listen()
print(t.getsockname()[1], flush=True); t.settimeout(20); c,_=t.accept(); print(repr(c.recv(9)), flush=True)`
	cmd := exec.Command(python(t), "-c", script)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	var port int
	if _, err := fmt.Fscanln(out, &port); err != nil {
		lab.Missing(t, "a program that becomes another user: "+err.Error())
	}
	_, err = l.Dial(context10(t), "tcp", fmt.Sprintf("127.0.0.1:%d", port), Own)
	if err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("%v", err)
	}
	if said, _ := io.ReadAll(out); strings.TrimSpace(string(said)) != "b''" {
		t.Errorf("it heard %q", said)
	}
}

// The socket's file is taken away by a cleaner: the relay makes it anew.
func TestR11_SocketDeleted(t *testing.T) {
	r := startRelay(t, "idle=0.3")
	n := &line{r: r}
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20)})
	s := dial(t, l, "unix", serve(t, echo))
	ping(t, s)
	os.Remove(r.dir + "/r.sock")
	eventually(t, "the socket is there again", func() bool { _, err := os.Stat(r.dir + "/r.sock"); return err == nil })
	n.last().Close()
	ping(t, s)
}

// With few descriptors what is too much is refused, and the rest goes on.
func TestN27_FewDescriptors(t *testing.T) {
	r := startRelay(t, "files=40", "idle=0.3")
	n := &line{r: r}
	l := newLink(t, Config{Carrier: n.open, Clock: faster(20)})
	address := serve(t, echo)
	s := dial(t, l, "unix", address)
	ping(t, s)
	var all []net.Conn
	var err error
	for range 60 {
		var c net.Conn
		if c, err = l.Dial(context10(t), "unix", address); err != nil {
			break
		}
		all = append(all, c)
	}
	if err == nil || !strings.Contains(err.Error(), "Too many open files") {
		t.Errorf("%v after %d", err, len(all))
	}
	ping(t, s)
	// No room even for a carrier; it comes once there is some.
	n.last().Close()
	eventually(t, "it is gone", func() bool { return l.Status().State != Up })
	for _, c := range all {
		c.Close()
	}
	ping(t, s)
	if p, err := l.Exec(context10(t), sh("exit 0")); err != nil || p.Wait() != nil {
		t.Errorf("%v", err)
	}
}

// A sign-in that needs a person is asked for by a person only.
func TestSignIn_NeedsPerson(t *testing.T) {
	n := &line{r: startRelay(t)}
	var dials atomic.Int64
	var refuse atomic.Bool
	l := newLink(t, Config{Clock: faster(100), Carrier: func(ctx context.Context) (io.ReadWriteCloser, error) {
		dials.Add(1)
		if refuse.Load() {
			return nil, classed("sign-in")
		}
		return n.open(ctx)
	}})
	s := dial(t, l, "unix", serve(t, echo))
	ping(t, s)
	refuse.Store(true)
	eventually(t, "it needs a sign-in", func() bool {
		n.last().Close() // a busy machine may just have dialled another
		return l.Status().State == NeedsSignIn
	})
	before := dials.Load()
	l.Kick()
	l.Wake()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := l.Dial(ctx, "unix", "/x")
	var down *DownError
	if !errors.As(err, &down) || down.State != NeedsSignIn {
		t.Errorf("%v", err)
	}
	if dials.Load() != before {
		t.Error("it was dialled without a person")
	}
	refuse.Store(false)
	l.SignIn()
	ping(t, s)
}

func TestClose_LeavesNothing(t *testing.T) {
	r := startRelay(t)
	address := serve(t, echo)
	before := runtime.NumGoroutine()
	for range 5 {
		l := New(Config{Carrier: r.open, Notify: func(Event) {}, Laptop: NewID()})
		c, err := l.Dial(context10(t), "unix", address)
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(time.Hour))
		p, err := l.Exec(context10(t), sh("sleep 100"))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("Read after Close of the link")
		}
		if err := p.Wait(); err == nil {
			t.Error("Wait after Close of the link")
		}
	}
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+5 })
}
