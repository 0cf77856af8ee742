package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signIn connects to s with a key that it takes.
func signIn(t *testing.T, s *sshd) *Conn {
	t.Helper()
	target := s.target(t)
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	target.IdentityFiles = []string{file}
	c, err := Connect(t.Context(), target, Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.said(t))
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func hostKey(t *testing.T, kind string) string {
	file, _ := newKeyFile(t, "host", kind, 100)
	return file
}

func TestConnect(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	c := signIn(t, s)
	if got := c.Signed(); got.Method != "id_ed25519" || !got.HostKeySaved || got.Person || !strings.HasPrefix(got.HostKey, "SHA256:") || !strings.HasPrefix(got.KeyFingerprint, "SHA256:") {
		t.Errorf("Signed: %+v", got)
	}
	if err := c.Err(); err != nil {
		t.Errorf("Err while it is up: %v", err)
	}
	c.Close()
	if err := c.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
	if _, err := c.Exec(t.Context(), "true"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Exec after Close: %v", err)
	}
}

func TestExec(t *testing.T) {
	c := signIn(t, startSSHD(t, 0, []string{hostKey(t, "ed25519")}))
	p, err := c.Exec(t.Context(), "cat; echo to stderr >&2; exit 7")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(p.Stdin, "some text")
	p.Stdin.Close()
	out, err := io.ReadAll(p.Stdout)
	if err != nil || string(out) != "some text" {
		t.Errorf("stdout %q, %v", out, err)
	}
	if out, err := io.ReadAll(p.Stderr); err != nil || string(out) != "to stderr\n" {
		t.Errorf("stderr %q, %v", out, err)
	}
	var exit *ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("Wait: %v", err)
	}
	for command, want := range map[string]string{"true": "<nil>", "kill -9 $$": "ended by signal KILL"} {
		p, err := c.Exec(t.Context(), command)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.Wait()); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

func TestExecClose(t *testing.T) {
	c := signIn(t, startSSHD(t, 0, []string{hostKey(t, "ed25519")}))
	p, err := c.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { _, err := p.Stdout.Read(make([]byte, 1)); ended <- err }()
	go func() { ended <- p.Wait() }()
	p.Close()
	for range 2 {
		if err := within(t, ended); err == nil {
			t.Error("no error after Close")
		}
	}
}

// TestUnreadOutput: output that nobody reads keeps nothing alive once the
// connection has ended, and can still be read.
func TestUnreadOutput(t *testing.T) {
	noLeak(t)
	c := signIn(t, startSSHD(t, 0, []string{hostKey(t, "ed25519")}))
	p, err := c.Exec(t.Context(), "head -c 500000 /dev/zero; exec sleep 1000")
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the output comes", func() bool { return c.net.received.Load() > 500_000 })
	c.Close()
	poll(t, "nothing is left", func() bool { return ours() == "" })
	out, err := io.ReadAll(p.Stdout)
	if len(out) < 400_000 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	p.Close()
	if _, err := p.Stdout.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// within receives from ch, ten seconds at most.
func within[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}

// echo is a server on the host that sends back what it gets, once it has all.
func echo(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b, _ := io.ReadAll(conn)
				conn.Write(b)
			}()
		}
	}()
}

func TestDial(t *testing.T) {
	c := signIn(t, startSSHD(t, 0, []string{hostKey(t, "ed25519")}))
	for _, network := range []string{"tcp", "unix"} {
		at := "127.0.0.1:0"
		if network == "unix" {
			at = filepath.Join(t.TempDir(), "sock")
		}
		l, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, l)
		conn, err := c.Dial(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("0123456789abcdef", 1<<16) // half a window
		go func() {
			io.WriteString(conn, want)
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %d bytes, %v", network, len(got), err)
		}
		conn.Close()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: Read after Close: %v", network, err)
		}
	}
}

func TestN12_OpenErrors(t *testing.T) {
	key := hostKey(t, "ed25519")
	c := signIn(t, startSSHD(t, 0, []string{key}))
	var open *OpenError
	_, err := c.Dial(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", freePort(t)))
	if !errors.As(err, &open) || open.Prohibited() || open.Class() != "refused" {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err = c.Dial(t.Context(), "unix", "/nowhere"); !errors.As(err, &open) || open.Prohibited() {
		t.Errorf("no socket: %v", err)
	}
	c = signIn(t, startSSHD(t, 0, []string{key}, "AllowTcpForwarding no"))
	if _, err = c.Dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.As(err, &open) || !open.Prohibited() || open.Class() != "connect" {
		t.Errorf("forwarding is forbidden: %v", err)
	}
}

func TestN17_MaxSessions(t *testing.T) {
	c := signIn(t, startSSHD(t, 0, []string{hostKey(t, "ed25519")}, "MaxSessions 1"))
	p, err := c.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	var open *OpenError
	if _, err := c.Exec(t.Context(), "true"); !errors.As(err, &open) {
		t.Errorf("second session: %v", err)
	}
	p.Stdin.Close()
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// TestThroughGateway walks two hops as a holder does.
func TestThroughGateway(t *testing.T) {
	key := hostKey(t, "ed25519")
	gateway := signIn(t, startSSHD(t, 0, []string{key}))
	s := startSSHD(t, 0, []string{key})
	file, pub := newKeyFile(t, "id", "ed25519", 1)
	s.authorize(t, pub)
	target := s.target(t)
	target.IdentityFiles, target.Via = []string{file}, &Target{Name: "bastion"}
	c, err := Connect(t.Context(), target, Options{Dial: gateway.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.Exec(t.Context(), "echo $SSH_CONNECTION")
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := io.ReadAll(p.Stdout); !strings.Contains(string(out), "127.0.0.1") {
		t.Errorf("%q", out)
	}
	s.stop()
	target.Port = freePort(t)
	_, err = Connect(t.Context(), target, Options{Dial: gateway.Dial})
	if want := "connect to gpu1: bastion is fine; from there " + target.Address() + " is refused"; err == nil || err.Error() != want {
		t.Errorf("N12: %v, want %s", err, want)
	}
}

// TestGatewayErrors: who is to blame must be said right, and an error of the
// dialer that has crossed a socket is known by its text and class.
func TestGatewayErrors(t *testing.T) {
	target := &Target{Name: "gpu1", User: "me", Host: "10.0.3.7", Port: 22, IdentityAgent: "none", Via: &Target{Name: "bastion"}}
	for text, c := range map[string]struct {
		err   error
		class string
	}{
		"connect to gpu1: bastion is fine; from there 10.0.3.7:22 is refused":                      {&OpenError{Reason: 2, Text: "Connection refused"}, "connect"},
		"connect to gpu1: bastion is fine; from there 10.0.3.7:22: No route to host":               {&OpenError{Reason: 2, Text: "No route to host"}, "connect"},
		"connect to gpu1: bastion is fine; from there 10.0.3.7:22: did not open a channel in 15 s": {&DialError{Address: "10.0.3.7:22", Phase: PhaseChannel, After: 15 * time.Second}, "connect"},
		"connect to gpu1: bastion forbids connections to 10.0.3.7:22":                              {&plainError{text: "open 10.0.3.7:22: administratively prohibited (open failed)", class: "connect"}, "connect"},
		"connect to gpu1 through bastion: line to bastion lost: cut":                               {&LostError{Name: "bastion", Err: errors.New("cut")}, "line"},
	} {
		_, err := Connect(t.Context(), target, Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, c.err }})
		var classed interface{ Class() string }
		if err == nil || err.Error() != text || !errors.As(err, &classed) || classed.Class() != c.class {
			t.Errorf("%v\nwant %s", err, text)
		}
	}
}

func TestConnectCancelled(t *testing.T) {
	l := silent(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Connect(ctx, targetAt(t, l.Addr()), Options{})
		ended <- err
	}()
	cancel()
	if err := within(t, ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// silent accepts and never speaks.
func silent(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func targetAt(t *testing.T, addr net.Addr) *Target {
	return &Target{
		Name: "gpu1", User: "me", Host: "127.0.0.1", Port: addr.(*net.TCPAddr).Port, IdentityAgent: "none",
		UserKnownHosts: []string{filepath.Join(t.TempDir(), "known_hosts")}, StrictHostKeyChecking: "accept-new",
		PubkeyAuth: true, PasswordAuth: true, KbdAuth: true,
	}
}
