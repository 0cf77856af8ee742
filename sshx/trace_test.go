package sshx

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestTrace(t *testing.T) {
	key, pub := newKeyFile(t, "id_ed25519", "ed25519", 1)
	s := startServer(t, func(s *server) { s.takePassword("secret"); s.takeKeys(pub) })
	var seen Trace
	if _, err := try(t.Context(), s.target(t, key), Options{Trace: &seen}); err != nil {
		t.Fatal(err)
	}
	methods := slices.Sorted(slices.Values(seen.Methods))
	if seen.Reached != PhaseSignIn || seen.Dialled <= 0 || seen.Took < seen.Dialled || !slices.Equal(methods, []string{"password", "publickey"}) {
		t.Errorf("%+v", seen)
	}
	other, _ := newKeyFile(t, "id_ed25519", "ed25519", 2)
	if _, err := try(t.Context(), s.target(t, other), Options{Trace: &seen}); err == nil || seen.Reached != PhaseSignIn || len(seen.Methods) != 2 {
		t.Errorf("refused: %v %+v", err, seen)
	}
	mute := targetAt(t, silent(t).Addr())
	if _, err := try(t.Context(), mute, Options{Trace: &seen, Timeout: 50 * time.Millisecond}); err == nil || seen.Reached != PhaseGreeting || seen.Dialled <= 0 || seen.Methods != nil {
		t.Errorf("no greeting: %v %+v", err, seen)
	}
	l := silent(t)
	away := targetAt(t, l.Addr())
	l.Close()
	if _, err := try(t.Context(), away, Options{Trace: &seen}); err == nil || seen.Reached != PhaseDial || seen.Dialled != 0 {
		t.Errorf("no listener: %v %+v", err, seen)
	}
}

func TestKeys(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", t.TempDir()+"/gone")
	key, pub := newKeyFile(t, "id_ed25519", "ed25519", 1)
	held := Keys(t.Context(), &Target{IdentityFiles: []string{key, t.TempDir() + "/missing"}})
	if len(held.Keys) != 1 || held.Keys[0].Name != "id_ed25519" || held.Keys[0].Fingerprint != ssh.FingerprintSHA256(pub) || held.Keys[0].Agent || held.Keys[0].Locked {
		t.Errorf("%+v", held.Keys)
	}
	if held.AgentKeys != -1 || !strings.HasSuffix(held.Agent, "/gone") || len(held.Unused) != 2 {
		t.Errorf("%+v", held)
	}
	if held = Keys(t.Context(), &Target{IdentityAgent: "none"}); held.Agent != "" || held.AgentKeys != 0 || len(held.Keys) != 0 {
		t.Errorf("%+v", held)
	}
}
