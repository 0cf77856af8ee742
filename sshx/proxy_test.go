package sshx

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is a TCP line to a server with the faults of a line.
type proxy struct {
	net.Listener
	to     string
	delay  time.Duration // each way
	stopAt int64         // bytes from the server after which nothing passes; 0: never
	frozen atomic.Bool   // nothing passes
	conns  chan net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to, conns: make(chan net.Conn, 100)}
	t.Cleanup(func() { l.Close() })
	return p
}

func (p *proxy) port() int { return p.Addr().(*net.TCPAddr).Port }

func (p *proxy) serve() {
	go func() {
		for {
			near, err := p.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", p.to)
			if err != nil {
				near.Close()
				continue
			}
			select {
			case p.conns <- near:
			default:
			}
			go p.carry(far, near, 0)
			go p.carry(near, far, p.stopAt)
		}
	}()
}

// carry moves bytes from one side to the other, each after the delay.
func (p *proxy) carry(to, from net.Conn, stopAt int64) {
	type parcel struct {
		b   []byte
		due time.Time
	}
	parcels := make(chan parcel, 1000)
	go func() {
		defer to.Close()
		for parcel := range parcels {
			time.Sleep(time.Until(parcel.due))
			if !p.frozen.Load() {
				to.Write(parcel.b)
			}
		}
	}()
	defer close(parcels)
	var passed int64
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if stopAt > 0 && passed+int64(n) > stopAt {
			n = int(max(0, stopAt-passed))
		}
		if passed += int64(n); n > 0 {
			parcels <- parcel{b[:n], time.Now().Add(p.delay)}
		}
		if err != nil {
			return
		}
	}
}

// TestRoundTrips holds what a sign-in and a first command cost on a slow line,
// beyond what they cost on a fast one. The proxy hides the round trip of TCP's
// own handshake. OpenSSH lets a session send nothing before it has the command,
// so the first answer to something typed is the third round trip; a slow login
// shell would hide that.
func TestRoundTrips(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	const delay = 100 * time.Millisecond
	most := map[string]float64{"sign in": 6, "open session": 1, "first answer": 3, "next answer": 1}
	best := map[string]float64{}
	for range 6 { // the machine has moods
		fast, slow := timeSteps(t, s, file, 0), timeSteps(t, s, file, delay)
		over := false
		for step, took := range slow {
			trips := (took - fast[step]).Seconds() / (2 * delay).Seconds()
			if before, ok := best[step]; !ok || trips < before {
				best[step] = trips
			}
			over = over || best[step] > most[step]+0.4
		}
		if !over {
			break
		}
	}
	for step, trips := range best {
		t.Logf("%s: %.2f round trips", step, trips)
		if trips > most[step]+0.4 {
			t.Errorf("%s: %.2f round trips, want %.0f", step, trips, most[step])
		}
	}
}

// timeSteps signs in through a delay each way and takes the times.
func timeSteps(t *testing.T, s *sshd, key string, delay time.Duration) map[string]time.Duration {
	t.Helper()
	line := newProxy(t, s.address())
	line.delay = delay
	line.serve()
	target := s.target(t)
	target.Port, target.IdentityFiles = line.port(), []string{key}
	took, start := map[string]time.Duration{}, time.Now()
	c, err := Connect(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	took["sign in"], start = time.Since(start), time.Now()
	p, err := c.Exec(t.Context(), "exec /bin/sh -s")
	if err != nil {
		t.Fatal(err)
	}
	took["open session"] = time.Since(start)
	for _, step := range []string{"first answer", "next answer"} {
		io.WriteString(p.Stdin, "echo here\n")
		if _, err := io.ReadFull(p.Stdout, make([]byte, len("here\n"))); err != nil {
			t.Fatal(err)
		}
		took[step], start = time.Since(start), time.Now()
	}
	return took
}
