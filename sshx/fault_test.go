package sshx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// noLeak fails the test when goroutines of this package or of x/crypto/ssh are
// left after it.
func noLeak(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var left string
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if left = ours(); left == "" {
				return
			}
		}
		t.Errorf("goroutines are left:\n%s", left)
	})
}

// ours are the goroutines that run code of this package, its tests not
// counted, or of x/crypto/ssh.
func ours() string {
	buf := make([]byte, 4<<20)
	var left []string
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "testing.tRunner") {
			continue
		}
		if strings.Contains(g, "golang.org/x/crypto/ssh") || strings.Contains(g, "nbremote/sshx.(*") && !strings.Contains(g, "_test.go") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

func TestN1_SilentServer(t *testing.T) {
	noLeak(t)
	l := silent(t)
	target := targetAt(t, l.Addr())
	start := time.Now()
	_, err := Connect(t.Context(), target, Options{Timeout: 300 * time.Millisecond})
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	want := "connect to gpu1: no SSH greeting from " + target.Address() + " after 300 ms"
	var dial *DialError
	if err == nil || err.Error() != want || !errors.As(err, &dial) || dial.Class() != "connect" || dial.Phase != PhaseGreeting {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestN1_DialHangs dials an address that swallows: a listener whose queue is full.
func TestN1_DialHangs(t *testing.T) {
	noLeak(t)
	target := targetAt(t, silent(t).Addr())
	never := func(ctx context.Context, _, _ string) (net.Conn, error) { select {} }
	late := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	for _, dial := range []func(context.Context, string, string) (net.Conn, error){never, late} {
		for _, opts := range []Options{{Timeout: 100 * time.Millisecond}, {Answer: 100 * time.Millisecond}} {
			opts.Dial = dial
			_, err := Connect(t.Context(), target, opts)
			if want := "connect to gpu1: " + target.Address() + " gave no answer in 100 ms"; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
}

func TestN1_NotSSH(t *testing.T) {
	noLeak(t)
	for said, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": `it said "HTTP/1.1 400 Bad Request"`,
		"":                                 "too many connections at once (MaxStartups), or this address is not allowed",
	} {
		l := silent(t)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				io.WriteString(conn, said)
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		}()
		_, err := Connect(t.Context(), targetAt(t, l.Addr()), Options{})
		var dial *DialError
		if !errors.As(err, &dial) || dial.Phase != PhaseGreeting || dial.Cause() != want {
			t.Errorf("%v (%q), want cause %q", err, dial.Cause(), want)
		}
	}
}

// TestN2_StopAfter has the line stop after N bytes of the server, for every N
// of a sign-in and a command. On a busy machine a second sweep with more time
// may be needed to come to each phase.
func TestN2_StopAfter(t *testing.T) {
	noLeak(t)
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	var phases map[Phase]int
	for _, timeout := range []time.Duration{time.Second, 5 * time.Second} {
		phases = sweep(t, s, file, timeout)
		t.Log(phases)
		if len(phases) >= 5 {
			break
		}
	}
	for _, phase := range []Phase{PhaseGreeting, PhaseKex, PhaseSignIn, PhaseChannel, "output"} {
		if phases[phase] == 0 {
			t.Errorf("the line never stopped in phase %q", phase)
		}
	}
}

// sweep counts in which phases lines stop.
func sweep(t *testing.T, s *sshd, file string, timeout time.Duration) map[Phase]int {
	const at = 20 // at once
	type result struct {
		n     int64
		phase Phase
		err   error
	}
	results, slots := make(chan result, 100), make(chan struct{}, at)
	count, phases := 0, map[Phase]int{}
	for n := int64(1); n < 4000; n += 50 {
		count++
		target := s.target(t)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			phase, err := stopAfter(t, s, target, file, n, timeout)
			results <- result{n, phase, err}
		}()
	}
	for range count {
		r := <-results // each has a limit
		if r.err != nil {
			t.Errorf("stopped after %d bytes: %v", r.n, r.err)
		}
		phases[r.phase]++
	}
	return phases
}

// stopAfter says in which phase a connection stuck whose line stops after n
// bytes, and what was wrong with how it ended.
func stopAfter(t *testing.T, s *sshd, target *Target, key string, n int64, timeout time.Duration) (Phase, error) {
	line := newProxy(t, s.address())
	line.stopAt = n
	line.serve()
	defer line.Close()
	target.Port, target.IdentityFiles = line.port(), []string{key}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	opts := Options{Timeout: timeout}
	c, err := Connect(ctx, target, opts)
	var dial *DialError
	if err != nil {
		if !errors.As(err, &dial) || dial.After == 0 {
			return "", err
		}
		return dial.Phase, nil
	}
	defer c.Close()
	p, err := c.Exec(ctx, "echo here; exec sleep 1000")
	if err != nil {
		if !errors.As(err, &dial) || dial.Phase != PhaseChannel {
			return "", err
		}
		return dial.Phase, nil
	}
	got := make(chan error, 1)
	go func() {
		b := make([]byte, 5)
		_, err := io.ReadFull(p.Stdout, b)
		if err == nil && !bytes.Equal(b, []byte("here\n")) {
			err = fmt.Errorf("got %q", b)
		}
		got <- err
	}()
	select {
	case err := <-got:
		return "whole", err
	case <-time.After(timeout / 2):
	}
	p.Close()
	if err := within(t, got); err == nil {
		return "", errors.New("Read after Close gave no error")
	}
	return "output", nil
}

func TestKeepalive(t *testing.T) {
	noLeak(t)
	testOnlyKeepalive = 300 * time.Millisecond
	t.Cleanup(func() { testOnlyKeepalive = 15 * time.Second })
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	line := newProxy(t, s.address())
	line.serve()
	target := s.target(t)
	target.Port, target.IdentityFiles = line.port(), []string{file}
	c, err := Connect(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := c.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
		t.Fatalf("a line that answers was given up: %v", c.Err())
	case <-time.After(1500 * time.Millisecond): // longer than a silence may last
	}
	line.frozen.Store(true)
	read := make(chan error, 1)
	go func() { _, err := conn.Stdout.Read(make([]byte, 1)); read <- err }()
	within(t, c.Done())
	var lost *LostError
	if err := c.Err(); !errors.As(err, &lost) || lost.Class() != "line" || !strings.Contains(err.Error(), "nothing came in 1.26 s, though it was asked for") {
		t.Errorf("%v", err)
	}
	if err := within(t, read); !errors.As(err, &lost) {
		t.Errorf("Read on a lost line: %v", err)
	}
	if err := conn.Wait(); !errors.As(err, &lost) {
		t.Errorf("Wait on a lost line: %v", err)
	}
}

// Somebody else decides about a silent line: it is not ended.
func TestKeepalive_Patient(t *testing.T) {
	noLeak(t)
	testOnlyKeepalive = 100 * time.Millisecond
	t.Cleanup(func() { testOnlyKeepalive = 15 * time.Second })
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	line := newProxy(t, s.address())
	line.serve()
	target := s.target(t)
	target.Port, target.IdentityFiles = line.port(), []string{file}
	c, err := Connect(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Patient()
	line.frozen.Store(true)
	select {
	case <-c.Done():
		t.Fatalf("a silent line was ended: %v", c.Err())
	case <-time.After(1500 * time.Millisecond): // far longer than a silence may last
	}
}

// TestN4_CutIsNoEnd cuts the line in the middle of a stream: that must not look
// like its end.
func TestN4_CutIsNoEnd(t *testing.T) {
	noLeak(t)
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	go func() {
		conn, err := web.Accept()
		if err == nil {
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	line := newProxy(t, s.address())
	line.serve()
	target := s.target(t)
	target.Port, target.IdentityFiles = line.port(), []string{file}
	c, err := Connect(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := c.Dial(t.Context(), "tcp", web.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	(<-line.conns).Close()
	var lost *LostError
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &lost) {
		t.Errorf("Read: %v", err)
	}
	within(t, c.Done())
	conn.Close()
}
