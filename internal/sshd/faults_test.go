//go:build unix

package sshd

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestAuth(t *testing.T) {
	code := func(user string, ask ssh.KeyboardInteractiveChallenge) error {
		a, err := ask("", "", []string{"Code: "}, []bool{false})
		if err != nil || len(a) != 1 || a[0] != "42" {
			return errors.New("wrong code")
		}
		return nil
	}
	answer := func(text string) ssh.AuthMethod {
		return ssh.KeyboardInteractive(func(_, _ string, q []string, _ []bool) ([]string, error) {
			return []string{text}[:len(q)], nil
		})
	}
	password := func(_, p string) bool { return p == "secret" }
	plain, key := start(t, &Server{Password: password, Keyboard: code})
	second, key2 := start(t, &Server{Keyboard: code, SecondFactor: true})
	other, _, _ := NewKey()
	for _, c := range []struct {
		name string
		s    *Server
		auth []ssh.AuthMethod
		ok   bool
	}{
		{"key", plain, []ssh.AuthMethod{ssh.PublicKeys(key)}, true},
		{"second key", plain, []ssh.AuthMethod{ssh.PublicKeys(other, key)}, true},
		{"wrong key", plain, []ssh.AuthMethod{ssh.PublicKeys(other)}, false},
		{"password", plain, []ssh.AuthMethod{ssh.Password("secret")}, true},
		{"wrong password", plain, []ssh.AuthMethod{ssh.Password("x")}, false},
		{"code", plain, []ssh.AuthMethod{answer("42")}, true},
		{"wrong code", plain, []ssh.AuthMethod{answer("43")}, false},
		{"nothing", plain, nil, false},
		{"key and code", second, []ssh.AuthMethod{ssh.PublicKeys(key2), answer("42")}, true},
		{"key alone", second, []ssh.AuthMethod{ssh.PublicKeys(key2)}, false},
		{"code alone", second, []ssh.AuthMethod{answer("42")}, false},
	} {
		if _, err := dial(t, c.s, c.auth...); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHostKeySwap(t *testing.T) {
	s, key := start(t, &Server{Banner: "be nice\n"})
	seen := func() (fingerprint, banner string) {
		c, err := ssh.Dial("tcp", s.Address(), &ssh.ClientConfig{
			User: "ann", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
			HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
				fingerprint = ssh.FingerprintSHA256(k)
				return nil
			},
			BannerCallback: func(m string) error { banner = m; return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		return fingerprint, banner
	}
	first, banner := seen()
	if banner != "be nice\n" {
		t.Errorf("banner %q", banner)
	}
	swapped, _, _ := NewKey()
	s.SetHostKeys(swapped)
	if got, _ := seen(); got == first || got != ssh.FingerprintSHA256(swapped.PublicKey()) {
		t.Errorf("fingerprint %s", got)
	}
}

func TestRefusals(t *testing.T) {
	s, c := connected(t, &Server{Faults: Faults{MaxSessions: 1}})
	one := newSession(t, c)
	var refused *ssh.OpenChannelError
	if _, err := c.NewSession(); !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed || refused.Message != "open failed" {
		t.Errorf("second session: %v", err)
	}
	one.Close()
	eventually(t, "the place is free", func() bool {
		next, err := c.NewSession()
		if err == nil {
			next.Close()
		}
		return err == nil
	})
	s.SetFaults(Faults{MaxSessions: -1, Refuse: map[string]Refusal{TCP: {}, Unix: {Reason: ssh.ResourceShortage, Text: "full"}}})
	if _, err := c.NewSession(); err == nil {
		t.Error("a session with MaxSessions -1")
	}
	if _, err := c.Dial("tcp", s.Address()); !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
		t.Errorf("tcp: %v", err)
	}
	if _, err := c.Dial("unix", "/x"); !errors.As(err, &refused) || refused.Reason != ssh.ResourceShortage || refused.Message != "full" {
		t.Errorf("unix: %v", err)
	}
	s.SetFaults(Faults{ErrorOnExec: true})
	if err := newSession(t, c).Run("true"); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("exec: %v", err)
	}
}

// waits tells that f has not returned although the server had all the time
// that it needs when it does answer.
func waits(t *testing.T, s *Server, f func() error) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		t.Errorf("returned %v", err)
		done <- err
	case <-time.After(50 * time.Millisecond):
	}
	return done
}

func TestN2_Hang(t *testing.T) {
	s, key := start(t, &Server{Faults: Faults{Hang: HangAtAuth}})
	done := waits(t, s, func() error { _, err := dial(t, s, ssh.PublicKeys(key)); return err })
	s.CutAll()
	if <-done == nil {
		t.Error("signed in")
	}
	s.SetFaults(Faults{})
	c, err := dial(t, s, ssh.PublicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	one := newSession(t, c)
	s.SetFaults(Faults{Hang: HangAtOpen})
	waits(t, s, func() error { _, err := c.NewSession(); return err })
	s.SetFaults(Faults{Hang: HangAtExec})
	waits(t, s, func() error { return one.Run("true") })
}

func TestN1_Silent(t *testing.T) {
	s, _ := start(t, &Server{Faults: Faults{Silent: true}})
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	waits(t, s, func() error { _, err := c.Read(make([]byte, 1)); return err })
	c.Close()
	eventually(t, "the connection is gone", func() bool { return s.Accepted() == 1 && s.Connections() == 0 })
}

func TestN2_StopAfter(t *testing.T) {
	for _, n := range []int64{1, 21, 22, 1000, 1500} {
		s, _ := start(t, &Server{Faults: Faults{StopAfter: n}})
		raw, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		counted := &counter{Conn: raw}
		done := waits(t, s, func() error {
			_, _, _, err := ssh.NewClientConn(counted, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			return err
		})
		s.CutAll()
		if <-done == nil || counted.n > n {
			t.Errorf("stop after %d: %d came", n, counted.n)
		}
	}
}

type counter struct {
	net.Conn
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n += int64(n)
	return n, err
}

func TestFreezeLosesNothing(t *testing.T) {
	s, c := connected(t, &Server{})
	session := newSession(t, c)
	s.Freeze()
	var got []byte
	done := waits(t, s, func() (err error) { got, err = session.Output("echo hi"); return err })
	s.Thaw()
	if err := <-done; err != nil || string(got) != "hi\n" {
		t.Errorf("%q, %v", got, err)
	}
	s.Freeze()
	s.CutAll()
	if c.Wait() == nil {
		t.Error("no error after a cut")
	}
}

func TestKeepalives(t *testing.T) {
	s, c := connected(t, &Server{})
	keepalive := func() error { _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); return err }
	if err := keepalive(); err != nil {
		t.Error(err)
	}
	s.SetFaults(Faults{SwallowKeepalives: true})
	waits(t, s, keepalive)
}
