package sshx

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestL9_Passphrase(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	file, pub := saveKey(t, filepath.Join(dir, "id_ed25519"), makeKey(t, "ed25519", 1), "open sesame")
	other, _ := saveKey(t, filepath.Join(dir, "id_other"), makeKey(t, "ed25519", 2), "never asked")
	s := startServer(t, func(s *server) { s.takeKeys(pub) })
	person := &asked{answers: []string{"wrong", "open sesame"}}
	signed, err := try(t.Context(), s.target(t, other, file), Options{Ask: person.ask})
	if err != nil || signed.Method != "id_ed25519" || !signed.Person {
		t.Errorf("%+v %v", signed, err)
	}
	want := []Question{
		{Kind: "passphrase", Hop: "gpu1", Text: "passphrase of id_ed25519:"},
		{Kind: "passphrase", Hop: "gpu1", Text: "passphrase of id_ed25519:", Cause: "wrong passphrase"},
	}
	if !slices.Equal(person.questions, want) {
		t.Errorf("%+v", person.questions)
	}
	_, err = try(t.Context(), s.target(t, file), Options{Ask: answers(t, "1", "2", "3")})
	wantAuthError(t, err, "sign in to gpu1 as me: refused", "offered id_ed25519; not used: id_ed25519 (wrong passphrase)")
	_, err = try(t.Context(), s.target(t, file), Options{Ask: answers(t, "")})
	wantAuthError(t, err, "sign in to gpu1 as me: refused", "offered id_ed25519; not used: id_ed25519 (no passphrase given)")
	_, err = try(t.Context(), s.target(t, file), Options{})
	wantAuthError(t, err, "sign in to gpu1: it asks for the passphrase of id_ed25519 and nobody can be asked", "offered id_ed25519; not used: id_ed25519 (nobody can be asked)")
}

// TestL9_LockedThenOpen: a key that cannot be unlocked does not keep the next
// one from its turn.
func TestL9_LockedThenOpen(t *testing.T) {
	locked, a := saveKey(t, filepath.Join(t.TempDir(), "locked"), makeKey(t, "ed25519", 1), "x")
	open, b := newKeyFile(t, "open", "ed25519", 2)
	s := startServer(t, func(s *server) { s.takeKeys(a, b) })
	for _, ask := range []func(context.Context, Question) (string, error){nil, answers(t, "1", "2", "3")} {
		signed, err := try(t.Context(), s.target(t, locked, open), Options{Ask: ask})
		if err != nil || signed.Method != "open" {
			t.Errorf("%+v %v", signed, err)
		}
	}
}

// TestL9_Formats has ssh-keygen write keys in each format.
func TestL9_Formats(t *testing.T) {
	keygen := program(t, "ssh-keygen")
	for _, c := range []struct{ kind, format, passphrase string }{
		{"ed25519", "RFC4716", ""}, {"ed25519", "RFC4716", "open sesame"}, {"ecdsa", "RFC4716", "open sesame"},
		{"rsa", "PEM", ""}, {"rsa", "PEM", "open sesame"}, {"ecdsa", "PEM", "open sesame"},
		{"rsa", "PKCS8", ""}, {"rsa", "PKCS8", "open sesame"}, {"ecdsa", "PKCS8", "open sesame"},
	} {
		file, pub := newKeyFile(t, "id", c.kind, 1)
		convert := exec.Command(keygen, "-q", "-p", "-a", "1", "-m", c.format, "-P", "", "-N", c.passphrase, "-f", file)
		if out, err := convert.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", c, out)
		}
		s := startServer(t, func(s *server) { s.takeKeys(pub) })
		for _, withPub := range []bool{false, true} {
			opts, wantAsked := Options{}, 0
			person := &asked{answers: []string{"wrong", c.passphrase}}
			if c.passphrase != "" {
				opts.Ask, wantAsked = person.ask, 2
			}
			if withPub {
				write(t, file+".pub", string(ssh.MarshalAuthorizedKey(pub)))
			}
			signed, err := try(t.Context(), s.target(t, file), opts)
			if err != nil || signed.KeyFingerprint != ssh.FingerprintSHA256(pub) || len(person.questions) != wantAsked {
				t.Errorf("%v, .pub there: %v: %+v %v, asked %d", c, withPub, signed, err, len(person.questions))
			}
		}
	}
}

func TestL9_UnusableFiles(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(s *server) { s.takeKeys() })
	readable, _ := saveKey(t, filepath.Join(dir, "readable"), makeKey(t, "ed25519", 1), "")
	os.Chmod(readable, 0o644)
	putty := filepath.Join(dir, "putty.ppk")
	write(t, putty, "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n")
	fifo := filepath.Join(dir, "fifo")
	makeFIFO(t, fifo)
	garbage := filepath.Join(dir, "garbage")
	write(t, garbage, "not a key")
	damaged := filepath.Join(dir, "damaged")
	write(t, damaged, string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("openssh-key-v1\x00junk")})))
	large := filepath.Join(dir, "large")
	write(t, large, strings.Repeat("x", 2<<20))
	half := filepath.Join(dir, "half")
	write(t, half+".pub", string(ssh.MarshalAuthorizedKey(signerOf(t, makeKey(t, "ed25519", 2)).PublicKey())))
	sk := filepath.Join(dir, "id_sk")
	write(t, sk+".pub", skKey)
	for file, why := range map[string]string{
		readable: "readable (others can read it (0644): chmod 600 it)",
		putty:    "putty.ppk (PuTTY's format: puttygen KEY -O private-openssh -o NEW)",
		fifo:     "fifo (not a file)", garbage: "garbage (not a key we can read: no key found)",
		damaged: "damaged (not a key we can read: ", large: "large (larger than 1 MiB)",
		half: "half (no such file or directory)", half + ".pub": "half (only its public half is here)",
		filepath.Join(dir, "absent"): "absent (no such file or directory)", dir: filepath.Base(dir) + " (not a file)",
		sk: "id_sk (a FIDO key works through an agent only: ssh-add it)",
	} {
		_, err := try(t.Context(), s.target(t, file), Options{Ask: answers(t)})
		var e *AuthError
		if !errors.As(err, &e) || !strings.HasPrefix(e.Cause(), "no key to offer; not used: "+why) {
			t.Errorf("%v (%s), want %s", err, e.Cause(), why)
		}
	}
}

const skKey = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIHn1Ht9OFQW8uBXzEsN9bQYwKhYoT36RbG6IohqZHIGRAAAABHNzaDo= me\n"

// startAgent serves an agent on a socket.
func startAgent(t *testing.T, keyring agent.Agent) string {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				agent.ServeAgent(keyring, conn)
			}()
		}
	}()
	return sock
}

func keyring(t *testing.T, keys ...any) agent.Agent {
	t.Helper()
	ring := agent.NewKeyring()
	for i, key := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: key, Comment: fmt.Sprint("agent", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func TestL9_Agent(t *testing.T) {
	noLeak(t)
	for _, kind := range kinds {
		key := makeKey(t, kind, 1)
		s := startServer(t, func(s *server) { s.takeKeys(signerOf(t, key).PublicKey()) })
		target := s.target(t)
		target.IdentityAgent = startAgent(t, keyring(t, makeKey(t, "ed25519", 5), key))
		signed, err := try(t.Context(), target, Options{})
		if err != nil || signed.Method != "agent" || signed.Person || len(s.shown()) != 2 {
			t.Errorf("%s: %+v %v", kind, signed, err)
		}
		t.Setenv("SSH_AUTH_SOCK", target.IdentityAgent)
		target.IdentityAgent = ""
		if _, err := try(t.Context(), target, Options{}); err != nil {
			t.Errorf("%s by SSH_AUTH_SOCK: %v", kind, err)
		}
	}
}

// TestL9_Order: named keys that the agent has, its others, files; with
// IdentitiesOnly only what is named, also by a .pub.
func TestL9_Order(t *testing.T) {
	dir := t.TempDir()
	fingerprint := func(n int) string {
		return ssh.FingerprintSHA256(signerOf(t, makeKey(t, "ed25519", n)).PublicKey())
	}
	onlyFile, _ := saveKey(t, filepath.Join(dir, "file"), makeKey(t, "ed25519", 1), "")
	both, _ := saveKey(t, filepath.Join(dir, "both"), makeKey(t, "ed25519", 2), "locked, but the agent has it")
	named := filepath.Join(dir, "named.pub")
	write(t, named, string(ssh.MarshalAuthorizedKey(signerOf(t, makeKey(t, "ed25519", 3)).PublicKey())))
	s := startServer(t, func(s *server) { s.takeKeys() })
	target := s.target(t, onlyFile, both, named)
	target.IdentityAgent = startAgent(t, keyring(t, makeKey(t, "ed25519", 4), makeKey(t, "ed25519", 3), makeKey(t, "ed25519", 2)))
	for only, want := range map[bool][]int{false: {3, 2, 4, 1}, true: {3, 2, 1}} {
		target.IdentitiesOnly = only
		_, err := try(t.Context(), target, Options{Ask: answers(t)})
		var e *AuthError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		var prints []string
		for _, n := range want {
			prints = append(prints, fingerprint(n))
		}
		if got := s.shown(); !slices.Equal(got, prints) {
			t.Errorf("IdentitiesOnly %v: offered %v, want %v (%s)", only, got, prints, e.Cause())
		}
	}
	_, err := try(t.Context(), target, Options{LastKey: fingerprint(1)})
	if got := s.shown(); err == nil || got[0] != fingerprint(1) {
		t.Errorf("the last key first: %v", got)
	}
}

func TestL9_AgentOf20(t *testing.T) {
	var keys []any
	for n := range 20 {
		keys = append(keys, makeKey(t, "ed25519", n))
	}
	file, pub := newKeyFile(t, "id_lab", "ed25519", 50)
	s := startServer(t, func(s *server) { s.takeKeys(pub); s.config.MaxAuthTries = 6 })
	target := s.target(t, file)
	target.IdentityAgent = startAgent(t, keyring(t, keys...))
	_, err := try(t.Context(), target, Options{})
	var e *AuthError
	if !errors.As(err, &e) || !strings.Contains(e.Hint(), "IdentitiesOnly") {
		t.Errorf("%v; %v", err, e)
	}
	target.IdentitiesOnly = true
	if _, err := try(t.Context(), target, Options{}); err != nil {
		t.Errorf("with IdentitiesOnly: %v", err)
	}
}

// silentAgent takes connections and never answers.
func silentAgent(t *testing.T) string {
	sock := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return sock
}

func TestL9_DeadAgents(t *testing.T) {
	noLeak(t)
	testOnlyAgentLimit(t, 200*time.Millisecond)
	file, pub := newKeyFile(t, "id", "ed25519", 1)
	dead := filepath.Join(t.TempDir(), "dead")
	l, _ := net.Listen("unix", dead)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for sock, why := range map[string]string{
		dead: "the agent: connection refused", filepath.Join(t.TempDir(), "gone"): "the agent: no such file or directory",
		silentAgent(t): "the agent: no answer in 200 ms",
	} {
		s := startServer(t, func(s *server) { s.takeKeys(pub) })
		target := s.target(t, file)
		target.IdentityAgent = sock
		if signed, err := try(t.Context(), target, Options{}); err != nil || signed.Method != "id" {
			t.Errorf("%s: %+v %v", why, signed, err)
		}
		target.IdentityFiles = nil
		_, err := try(t.Context(), target, Options{})
		wantAuthError(t, err, "sign in to gpu1 as me: refused", "no key to offer; not used: "+why)
	}
}

// stuckAgent lists keys and never signs: somebody would have to touch a key.
type stuckAgent struct {
	agent.ExtendedAgent
	stuck chan struct{}
}

func (a stuckAgent) SignWithFlags(ssh.PublicKey, []byte, agent.SignatureFlags) (*ssh.Signature, error) {
	<-a.stuck
	return nil, errRefused
}

func TestL9_AgentNeverSigns(t *testing.T) {
	noLeak(t)
	testOnlyAgentLimit(t, 200*time.Millisecond)
	stuck := stuckAgent{keyring(t, makeKey(t, "ed25519", 1)).(agent.ExtendedAgent), make(chan struct{})}
	t.Cleanup(func() { close(stuck.stuck) })
	file, pub := newKeyFile(t, "id", "ed25519", 2)
	s := startServer(t, func(s *server) { s.takeKeys(pub, signerOf(t, makeKey(t, "ed25519", 1)).PublicKey()) })
	target := s.target(t, file)
	target.IdentityAgent = startAgent(t, stuck)
	signed, err := try(t.Context(), target, Options{})
	if err != nil || signed.Method != "id" {
		t.Errorf("%+v %v", signed, err)
	}
}

func TestL9_Certificates(t *testing.T) {
	authority := signerOf(t, makeKey(t, "ed25519", 200))
	s := startServer(t, func(s *server) {
		checker := ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return sameKey(key, authority.PublicKey()) }}
		s.config.PublicKeyCallback = checker.Authenticate
	})
	for _, kind := range kinds {
		dir := t.TempDir()
		file, pub := saveKey(t, filepath.Join(dir, "id"), makeKey(t, kind, 1), "secret")
		c := &ssh.Certificate{Key: pub, CertType: ssh.UserCert, ValidPrincipals: []string{"me"}, ValidBefore: ssh.CertTimeInfinity}
		if err := c.SignCert(rand.Reader, authority); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "id-cert.pub"), string(ssh.MarshalAuthorizedKey(c)))
		signed, err := try(t.Context(), s.target(t, file), Options{Ask: answers(t, "secret")})
		if err != nil || signed.Method != "id (certificate)" {
			t.Errorf("%s beside its key: %+v %v", kind, signed, err)
		}
		moved := filepath.Join(t.TempDir(), "cert")
		os.Rename(filepath.Join(dir, "id-cert.pub"), moved)
		target := s.target(t, file)
		target.CertificateFiles = []string{moved}
		if _, err := try(t.Context(), target, Options{Ask: answers(t, "secret")}); err != nil {
			t.Errorf("%s by CertificateFile: %v", kind, err)
		}
		target.IdentityFiles = nil
		target.IdentityAgent = startAgent(t, keyring(t, makeKey(t, kind, 1)))
		if signed, err := try(t.Context(), target, Options{}); err != nil || signed.Method != "agent" {
			t.Errorf("%s, its key in the agent: %+v %v", kind, signed, err)
		}
	}
}

func testOnlyAgentLimit(t *testing.T, limit time.Duration) {
	before := agentLimit
	agentLimit = limit
	t.Cleanup(func() { agentLimit = before })
}
