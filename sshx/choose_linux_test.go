package sshx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// fakeFIDO is a security key's pair of files. No device is here: the ssh of the
// test signs in by another key instead.
func fakeFIDO(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "id_ed25519_sk")
	write(t, file, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
	var plain struct {
		Type string
		Key  []byte
	}
	if err := ssh.Unmarshal(signerOf(t, makeKey(t, "ed25519", 95)).PublicKey().Marshal(), &plain); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, plain.Key, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file+".pub", string(ssh.MarshalAuthorizedKey(key)))
	return file
}

// The engine is chosen by itself where ssh -G and the keys tell that only ssh
// can sign in, and not where the native one can. Security key, smartcard and
// ticket are stand-ins: the ssh that is started has a key of its own.
func TestEngine_Chosen(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t, "PasswordAuthentication yes", "KbdInteractiveAuthentication yes", "GSSAPIAuthentication yes")
	other, _ := newKeyFile(t, "other", "ed25519", 92)
	bin := t.TempDir()
	started := filepath.Join(bin, "started")
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script("klist", "exit 0")
	script("ssh-with-device", `case "$*" in *-G*) exec ssh "$@" ;; esac
echo "$@" >>`+started+`
exec ssh -o PKCS11Provider=none -o GSSAPIAuthentication=no -o IdentitiesOnly=yes -i `+key+` "$@"`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	fido := fakeFIDO(t)
	for name, c := range map[string]struct {
		lines   []string
		engine  string
		openssh bool
		fails   bool
	}{
		"a key":                      {lines: []string{"IdentityFile " + key, "GSSAPIAuthentication no"}},
		"a key and a ticket":         {lines: []string{"IdentityFile " + key, "GSSAPIAuthentication yes"}},
		"a ticket":                   {lines: []string{"IdentityFile none", "GSSAPIAuthentication yes"}, openssh: true},
		"a refused key and a ticket": {lines: []string{"IdentityFile " + other, "GSSAPIAuthentication yes"}, openssh: true},
		"a security key":             {lines: []string{"IdentityFile " + fido}, openssh: true},
		"a refused key before it":    {lines: []string{"IdentityFile " + other, "IdentityFile " + fido}, openssh: true},
		"a taken key before it":      {lines: []string{"IdentityFile " + key, "IdentityFile " + fido}},
		"a smartcard":                {lines: []string{"IdentityFile " + key, "PKCS11Provider /usr/lib/none.so"}, openssh: true},
		"by config.toml":             {lines: []string{"IdentityFile " + key}, engine: EngineOpenSSH, openssh: true},
		"forbidden by config.toml":   {lines: []string{"IdentityFile " + fido}, engine: EngineNative, fails: true},
	} {
		os.Remove(started)
		target := s.sshTarget(t, c.lines...)
		target.Engine, target.SSH = c.engine, filepath.Join(bin, "ssh-with-device")
		asked := false
		signed, err := try(t.Context(), target, Options{Ask: func(context.Context, Question) (string, error) { asked = true; return "", ErrNobodyToAsk }})
		raw, _ := os.ReadFile(started)
		if (err != nil) != c.fails || strings.HasPrefix(signed.Method, "ssh") != c.openssh || (len(raw) > 0) != c.openssh {
			t.Errorf("%s: %+v %v; ssh was started with %q", name, signed, err, raw)
		}
		if asked && !c.fails {
			t.Errorf("%s: a person was asked for what ssh had", name)
		}
	}
}

// The keychain of macOS, by a stand-in: an ssh that knows UseKeychain as Apple's
// does, and signs in with a key that is not locked where the keychain would
// have the passphrase. It is chosen for a locked key that no agent has. Any
// other ssh ignores the option where IgnoreUnknown says so, and stops where not,
// with what to write.
func TestEngine_Keychain(t *testing.T) {
	noLeak(t)
	s, open := openSSHServer(t)
	locked, _ := saveKey(t, filepath.Join(t.TempDir(), "id_locked"), makeKey(t, "ed25519", 91), "secret words")
	sock := startAgent(t, keyring(t, makeKey(t, "ed25519", 91)))
	apple := filepath.Join(t.TempDir(), "ssh")
	if err := os.WriteFile(apple, []byte(`#!/bin/sh
case "$*" in *-G*) ssh -o IgnoreUnknown=UseKeychain "$@" && echo usekeychain yes; exit ;; esac
exec ssh -o IgnoreUnknown=UseKeychain -o IdentitiesOnly=yes -i `+open+` "$@"
`), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		program string
		lines   []string
		method  string
		asked   bool
	}{
		"a locked key":                    {apple, []string{"IdentityFile " + locked, "UseKeychain yes"}, "ssh: publickey", false},
		"one for the agent":               {apple, []string{"IdentityFile " + locked, "UseKeychain yes", "AddKeysToAgent yes"}, "ssh: publickey", false},
		"one that the agent has":          {apple, []string{"IdentityFile " + locked, "UseKeychain yes", "AddKeysToAgent yes", "IdentityAgent " + sock}, "agent", false},
		"a key that is not locked":        {apple, []string{"IdentityFile " + open, "UseKeychain yes"}, filepath.Base(open), false},
		"another system, and it is asked": {"", []string{"IgnoreUnknown UseKeychain", "IdentityFile " + locked, "UseKeychain yes", "AddKeysToAgent yes"}, "id_locked", true},
	} {
		target, err := s.resolve(t, c.program, c.lines...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		asked := false
		signed, err := try(t.Context(), target, Options{Ask: func(_ context.Context, q Question) (string, error) {
			asked = q.Kind == "passphrase"
			return "secret words", nil
		}})
		if err != nil || signed.Method != c.method || asked != c.asked {
			t.Errorf("%s: by %q, asked %v, %v", name, signed.Method, asked, err)
		}
	}
	_, err := s.resolve(t, "", "IdentityFile "+locked, "UseKeychain yes")
	var bad *plainError
	if !errors.As(err, &bad) || !strings.Contains(bad.Cause(), "line 3: Bad configuration option: usekeychain") ||
		bad.Hint() != "IgnoreUnknown usekeychain, in the line before it: ssh itself stops there too" {
		t.Errorf("without IgnoreUnknown: %v %+v", err, bad)
	}
}

// A klist that waits for a service which does not answer holds nobody up.
func TestEngine_TicketsThatNobodyTellsOf(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "klist"), []byte("#!/bin/sh\nsleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ends(t, "klist", ticketTime, func() {
		if hasTicket() {
			t.Error("a ticket that nobody told of")
		}
	})
}
