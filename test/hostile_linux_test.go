package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/test/lab"
)

// hostile is an SSH server on gpu1, made from a library, that the laptop
// reaches as gpu1. What it is asked to run it runs there; it can do more than
// it was asked for.
type hostile struct {
	l      *lab.Lab
	ctx    context.Context // of what it runs
	config ssh.ServerConfig
	flood  func(conn *ssh.ServerConn) // begins with each connection
	stderr func(ch ssh.Channel)       // begins with each session

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

// newHostile starts it. Its host key is the machine's own.
func newHostile(t *testing.T, l *lab.Lab, h *hostile) {
	t.Helper()
	gpu1 := l.Host("gpu1")
	key, err := ssh.ParsePrivateKey([]byte(gpu1.ReadFile("/etc/ssh/lab_0")))
	if err != nil {
		t.Fatal(err)
	}
	h.l = l
	h.config.AddHostKey(key)
	if h.config.PublicKeyCallback == nil {
		h.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	}
	var cancel context.CancelFunc
	h.ctx, cancel = context.WithCancel(context.Background())
	listener, err := gpu1.Listen("tcp", gpu1.Addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Reach("gpu1", listener.Addr(), gpu1)
	h.wg.Go(func() {
		for {
			c, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				h.mu.Lock()
				h.conns = append(h.conns, c)
				h.mu.Unlock()
				h.wg.Go(func() { h.serve(c) })
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		cancel()
		h.mu.Lock()
		for _, c := range h.conns {
			c.Close()
		}
		h.mu.Unlock()
		h.wg.Wait()
	})
}

func (h *hostile) serve(c net.Conn) {
	defer c.Close()
	conn, chans, reqs, err := ssh.NewServerConn(c, &h.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs) // a no is an answer
	if h.flood != nil {
		h.wg.Go(func() { h.flood(conn) })
	}
	for ch := range chans {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "no")
			continue
		}
		if session, reqs, err := ch.Accept(); err == nil {
			h.wg.Go(func() { h.session(session, reqs) })
		}
	}
}

func (h *hostile) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	for req := range reqs {
		var asked struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &asked) != nil {
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		go ssh.DiscardRequests(reqs)
		if h.stderr != nil {
			h.wg.Go(func() { h.stderr(ch) })
		}
		cmd := h.l.Host("gpu1").As(h.ctx, lab.Me, "/bin/sh", "-c", asked.Command)
		in, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		cmd.Stdout = ch
		if cmd.Start() != nil {
			return
		}
		go func() { _, _ = io.Copy(in, ch); in.Close() }()
		_ = cmd.Wait()
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
		return
	}
}

// peakOfAll is the most memory that the laptop's nbremote processes have had, each,
// in MiB.
func peakOfAll(l *lab.Lab) (most int) {
	for _, p := range l.Laptop.Running("/nbremote") {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		for line := range strings.Lines(string(status)) {
			var kB int
			if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kB); err == nil {
				most = max(most, kB>>10)
			}
		}
	}
	return most
}

// watchPeak follows peak until the test says stop.
func watchPeak(l *lab.Lab) (stop func() int) {
	end, most := make(chan struct{}), make(chan int)
	go func() {
		highest := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, peakOfAll(l))
			case <-end:
				most <- highest
				return
			}
		}
	}()
	return func() int { close(end); return <-most }
}

// The most memory that a hostile host may cost, in MiB, and with the race
// detector on.
const hostilePeak, racedPeak = 64, 4 * 64

// plainly has the laptop run the program as it is installed, without the race
// detector, for tests of memory.
func plainly(t *testing.T, l *lab.Lab) {
	t.Helper()
	if out, err := exec.Command("cp", "--remove-destination", asInstalled(t), l.Laptop.Path("/usr/local/bin/nbremote")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A host that says yes without end, whatever it is asked to run.
func TestD2_EndlessOutput(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "ForceCommand /usr/bin/yes\n"})
	for _, limit := range []int{racedPeak, hostilePeak} {
		if limit == hostilePeak {
			l.Must("close", "--all")
			plainly(t, l)
		}
		stop := watchPeak(l)
		r := l.Run("open", "--no-browser", "gpu1")
		most := stop()
		t.Logf("exit %d after %v, %d MiB at most\n%.300s", r.Exit, r.Took, most, r.Stderr)
		if r.Exit == 0 || r.Took > 15*time.Second || len(r.Stderr) > 4096 || most > limit || most == 0 {
			t.Errorf("exit %d after %v, %d MiB at most, %d bytes said", r.Exit, r.Took, most, len(r.Stderr))
		}
	}
}

// One that sends banners without end before anybody has signed in.
func TestD2_EndlessBanners(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	h := &hostile{}
	banner := strings.Repeat("buy now ", 4096)
	h.config.PreAuthConnCallback = func(conn ssh.ServerPreAuthConn) {
		go func() {
			for conn.SendAuthBanner(banner) == nil {
			}
		}()
	}
	h.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		time.Sleep(20 * time.Second) // the answer that never comes
		return nil, errors.New("no")
	}
	newHostile(t, l, h)
	stop := watchPeak(l)
	r := l.Run("open", "--no-browser", "gpu1")
	most := stop()
	t.Logf("exit %d after %v, %d MiB at most, %d bytes said\n%.300s", r.Exit, r.Took, most, len(r.Stderr), r.Stderr)
	if r.Exit == 0 || r.Took > 17*time.Second || len(r.Stderr) > 200<<10 || most > racedPeak || most == 0 {
		t.Errorf("exit %d after %v, %d MiB at most, %d bytes said", r.Exit, r.Took, most, len(r.Stderr))
	}
}

// One that opens channels towards us, and asks for all sorts of things, a
// hundred thousand times: nothing is opened, and the page works meanwhile.
func TestD6_FloodOfRequests(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	var mu sync.Mutex
	sent, accepted, over := 0, 0, make(chan struct{})
	var once sync.Once
	h := &hostile{flood: func(conn *ssh.ServerConn) {
		kinds := []string{"forwarded-tcpip", "auth-agent@openssh.com", "x11", "session", "direct-tcpip", "tun@openssh.com"}
		var flood sync.WaitGroup
		for i := range 8 {
			flood.Go(func() {
				for n := range 50000 / 8 {
					ch, _, err := conn.OpenChannel(kinds[(i+n)%len(kinds)], nil)
					mu.Lock()
					if sent++; err == nil {
						accepted++
						ch.Close()
					}
					mu.Unlock()
				}
			})
			flood.Go(func() {
				for n := range 50000 / 8 {
					_, _, err := conn.SendRequest(fmt.Sprintf("hostkeys-00@openssh.com-%d", n), n%2 == 0, []byte("x"))
					mu.Lock()
					if sent++; err != nil {
						mu.Unlock()
						return
					}
					mu.Unlock()
				}
			})
		}
		flood.Wait()
		once.Do(func() { close(over) })
	}}
	newHostile(t, l, h)
	stop := watchPeak(l)
	o := open(t, l, "gpu1")
	works(t, l, o)
	select {
	case <-over:
	case <-time.After(90 * time.Second):
		t.Error("the flood does not end")
	}
	works(t, l, o)
	mu.Lock()
	defer mu.Unlock()
	most := stop()
	t.Logf("%d sent, %d accepted, %d MiB at most", sent, accepted, most)
	if sent < 100000-16 || accepted != 0 || most > racedPeak || most == 0 {
		t.Errorf("%d sent, %d accepted, %d MiB at most", sent, accepted, most)
	}
	if s := statusOf(t, l); len(s.Link.Cuts) != 0 {
		t.Errorf("%+v", s.Link)
	}
}

// One that sends 64 MiB of stderr that nobody asked for on the carrier's own
// channel: what matters flows on.
func TestD10_ExtendedData(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	const noise = 64 << 20
	var sent sync.WaitGroup
	var mu sync.Mutex
	total := 0
	h := &hostile{stderr: func(ch ssh.Channel) {
		sent.Add(1)
		defer sent.Done()
		block := make([]byte, 32<<10)
		for n := 0; n < noise; n += len(block) {
			if _, err := ch.Stderr().Write(block); err != nil {
				return
			}
			mu.Lock()
			total += len(block)
			mu.Unlock()
		}
	}}
	newHostile(t, l, h)
	stop := watchPeak(l)
	o := open(t, l, "gpu1")
	want := bigFile(t, l, "big.bin", 8<<20)
	got, err := fetch(l, o, "big.bin")
	if err != nil {
		t.Error(err)
	}
	same(t, "big.bin", got, want)
	lab.Wait(t, 60*time.Second, "the noise to be through", func() bool { mu.Lock(); defer mu.Unlock(); return total >= noise })
	works(t, l, o)
	most := stop()
	t.Logf("%d MiB of noise, %d MiB at most", total>>20, most)
	if most > racedPeak || most == 0 {
		t.Errorf("%d MiB at most", most)
	}
}
