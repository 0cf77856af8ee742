package sshx

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// server is a small SSH server that takes what sshd without PAM cannot be made
// to take: passwords, codes, several steps. It opens nothing.
type server struct {
	net.Listener
	config ssh.ServerConfig

	mu      sync.Mutex
	offered []string // fingerprints of the keys that it was shown
	signed  int      // sign-ins that succeeded
}

// startServer starts a server after prepare has set what it takes.
func startServer(t *testing.T, prepare func(*server)) *server {
	t.Helper()
	s := &server{Listener: silent(t)}
	s.config.AddHostKey(signerOf(t, makeKey(t, "ed25519", 100)))
	prepare(s)
	go func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	sc, chans, reqs, err := ssh.NewServerConn(conn, &s.config)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.signed++
	s.mu.Unlock()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		ch.Reject(ssh.Prohibited, "not here")
	}
	sc.Wait()
}

var errRefused = errors.New("refused")

// takeKeys has the server take these keys.
func (s *server) takeKeys(keys ...ssh.PublicKey) {
	s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if f := ssh.FingerprintSHA256(key); len(s.offered) == 0 || s.offered[len(s.offered)-1] != f { // query and signature
			s.offered = append(s.offered, f)
		}
		if slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return sameKey(k, key) }) {
			return nil, nil
		}
		return nil, errRefused
	}
}

func (s *server) takePassword(want string) {
	s.config.PasswordCallback = func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		if string(got) == want {
			return nil, nil
		}
		return nil, errRefused
	}
}

// codeCallback asks as a server with two factors does.
func codeCallback(want string) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		got, err := ask("Two factors", "1. push\n2. code", []string{"Passcode or option (1 = push): "}, []bool{true})
		if err != nil || got[0] != want {
			return nil, errRefused
		}
		if _, err := ask("", "Welcome back", nil, nil); err != nil {
			return nil, err
		}
		return nil, nil
	}
}

// shown are the keys that the server was offered, and forgets them.
func (s *server) shown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := s.offered
	s.offered = nil
	return shown
}

func (s *server) target(t *testing.T, keys ...string) *Target {
	target := targetAt(t, s.Addr())
	target.IdentityFiles = keys
	return target
}
