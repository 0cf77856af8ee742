//go:build unix

package link

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/internal/sshd"
)

// channel is a session on a connection of its own.
type channel struct {
	io.WriteCloser
	io.Reader
	client *ssh.Client
}

func (c channel) Close() error { return c.client.Close() }

// overSSH opens carriers through an SSH server.
func overSSH(s *sshd.Server, h Host) func(context.Context) (io.ReadWriteCloser, error) {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address())
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		sc, chans, reqs, err := ssh.NewClientConn(conn, s.Address(), &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err != nil {
			conn.Close()
			return nil, err
		}
		client := ssh.NewClient(sc, chans, reqs)
		session, err := client.NewSession()
		if err != nil {
			client.Close()
			return nil, err
		}
		in, _ := session.StdinPipe()
		out, _ := session.StdoutPipe()
		if err := session.Start(Shell); err != nil {
			client.Close()
			return nil, err
		}
		return h.Open(channel{in, out, client}), nil
	}
}

func startServer(t testing.TB) *sshd.Server {
	t.Helper()
	s := &sshd.Server{NoAuth: true}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A line that is cut as by a firewall, 20 times: only silence is seen.
func TestN4_SilentCutsOverSSH(t *testing.T) {
	server := startServer(t)
	server.SetFaults(sshd.Faults{MaxSessions: 1}) // N17
	l := newLink(t, Config{Carrier: overSSH(server, host(t)), Clock: faster(20)})
	far := make(chan string, 1)
	const size = 24 << 20
	s := dial(t, l, "unix", serve(t, func(c *net.UnixConn) {
		go func() { io.Copy(c, noise(21, size)); c.CloseWrite() }()
		far <- sum(t, c)
	}))
	down := make(chan string, 1)
	go func() { down <- sum(t, slowly{s}) }()
	go func() { io.Copy(s, slowly{noise(22, size)}); s.CloseWrite() }()
	for i := range 20 {
		time.Sleep(15 * time.Millisecond)
		if i%2 == 0 {
			server.CutAll()
			continue
		}
		server.Freeze()
		time.Sleep(time.Duration(50+10*i) * time.Millisecond)
		server.CutAll() // what is under way is lost
		server.Thaw()
	}
	if got, want := <-down, sum(t, noise(21, size)); got != want {
		t.Errorf("down: %s, want %s", got, want)
	}
	if got, want := <-far, sum(t, noise(22, size)); got != want {
		t.Errorf("up: %s, want %s", got, want)
	}
	t.Logf("%d connections", server.Accepted())
}

// slowly gives 16 KiB at a time, with a pause.
type slowly struct{ r io.Reader }

func (s slowly) Read(b []byte) (int, error) {
	time.Sleep(200 * time.Microsecond)
	return s.r.Read(b[:min(len(b), 16<<10)])
}

// N13: everything stands still for long and goes on; nothing is closed.
func TestN13_FrozenOverSSH(t *testing.T) {
	server := startServer(t)
	l := newLink(t, Config{Carrier: overSSH(server, host(t)), Clock: faster(20)})
	s := dial(t, l, "unix", serve(t, echo))
	ping(t, s)
	for range 3 {
		server.Freeze()
		s.Write([]byte("y"))
		eventually(t, "the line is down", func() bool { return l.Status().State == Down })
		server.Thaw()
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the line is up", func() bool { return l.Status().State == Up })
	}
	if n := len(l.Status().Cuts); n != 3 {
		t.Errorf("%d cuts are remembered", n)
	}
}
