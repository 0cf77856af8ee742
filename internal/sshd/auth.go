package sshd

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// NewKey makes an Ed25519 key: for signing, and as an OpenSSH private key file.
func NewKey() (ssh.Signer, []byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	return signer, pem.EncodeToMemory(block), nil
}

// SetHostKeys shows other host keys to those who connect from now on.
func (s *Server) SetHostKeys(keys ...ssh.Signer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.HostKeys = keys
}

var errDenied = errors.New("permission denied")

// config is made anew for each connection: host keys and faults may change.
func (s *Server) config(w *wire) *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		ServerVersion:     s.ServerVersion,
		MaxAuthTries:      s.MaxAuthTries,
		NoClientAuth:      s.NoAuth,
		PublicKeyCallback: s.publicKey,
	}
	if s.Banner != "" {
		c.BannerCallback = func(ssh.ConnMetadata) string { return s.Banner }
	}
	if s.Password != nil {
		c.PasswordCallback = s.password
	}
	if s.Keyboard != nil && !s.SecondFactor {
		c.KeyboardInteractiveCallback = s.keyboard
	}
	if s.faults().Hang == HangAtAuth {
		c.BannerCallback = func(ssh.ConnMetadata) string { <-w.done; return "" }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.HostKeys {
		c.AddHostKey(key)
	}
	return c
}

func (s *Server) publicKey(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if !s.mayBe(meta.User()) {
		return nil, errDenied
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		checker := ssh.CertChecker{IsUserAuthority: func(ca ssh.PublicKey) bool { return among(s.UserCAs, ca) }}
		if _, err := checker.Authenticate(meta, cert); err != nil {
			return nil, err
		}
		return s.first()
	}
	if !among(s.AuthorizedKeys, key) {
		return nil, errDenied
	}
	return s.first()
}

func (s *Server) password(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if !s.mayBe(meta.User()) || !s.Password(meta.User(), string(password)) {
		return nil, errDenied
	}
	return s.first()
}

func (s *Server) keyboard(meta ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	if err := s.Keyboard(meta.User(), ask); err != nil {
		return nil, err
	}
	if !s.mayBe(meta.User()) {
		return nil, errDenied
	}
	return nil, nil
}

// first is the answer to a good key or password.
func (s *Server) first() (*ssh.Permissions, error) {
	if !s.SecondFactor {
		return nil, nil
	}
	return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: s.keyboard}}
}

func (s *Server) mayBe(user string) bool { return s.User == "" || s.User == user }

func among(keys []ssh.PublicKey, key ssh.PublicKey) bool {
	for _, k := range keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}
