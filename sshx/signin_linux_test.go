package sshx

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// keygen runs ssh-keygen.
func keygen(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(program(t, "ssh-keygen"), append([]string{"-q"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %q: %v %s", args, err, out)
	}
}

// realAgent starts ssh-agent; confirm is what its SSH_ASKPASS does.
func realAgent(t *testing.T, confirm string) (sock string, add func(args ...string)) {
	t.Helper()
	dir := t.TempDir()
	sock = filepath.Join(dir, "s")
	ask := filepath.Join(dir, "ask")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\n"+confirm+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(program(t, "ssh-agent"), "-D", "-a", sock)
	agent.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "DISPLAY=none", "SSH_ASKPASS_REQUIRE=force")
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Process.Kill(); agent.Wait() })
	poll(t, "ssh-agent listens", func() bool {
		c, err := net.Dial("unix", sock)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return sock, func(args ...string) {
		t.Helper()
		cmd := exec.Command(program(t, "ssh-add"), append([]string{"-q"}, args...)...)
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+sock)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add %q: %v %s", args, err, out)
		}
	}
}

// A certificate signs in wherever ssh finds one, and only a certificate does
// here; the host shows one too, and only its authority is known.
func TestSSHD_Certificates(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	ca, host, id := filepath.Join(dir, "ca"), filepath.Join(dir, "host"), filepath.Join(dir, "id")
	for _, f := range []string{ca, host, id} {
		keygen(t, "-t", "ed25519", "-N", "", "-f", f)
	}
	keygen(t, "-s", ca, "-I", "host", "-h", "-n", "127.0.0.1", host+".pub")
	keygen(t, "-s", ca, "-I", "me", "-n", "root", id+".pub")
	s := startSSHD(t, 0, []string{host}, "HostCertificate "+host+"-cert.pub", "TrustedUserCAKeys "+ca+".pub")
	s.authorize(t)
	known := filepath.Join(dir, "known_hosts")
	write(t, known, "@cert-authority 127.0.0.1,[127.0.0.1]:* "+read(t, ca+".pub"))

	elsewhere, bare := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "id")
	for to, from := range map[string]string{elsewhere: id + "-cert.pub", bare: id, bare + ".pub": id + ".pub"} {
		write(t, to, read(t, from))
	}
	both, addBoth := realAgent(t, "exit 1")
	addBoth(id) // ssh-add takes the certificate beside it
	plain, addPlain := realAgent(t, "exit 1")
	addPlain(bare)
	for name, c := range map[string]struct {
		identity, certificate, agent string
		works                        bool
	}{
		"beside the key":             {id, "", "none", true},
		"CertificateFile":            {bare, elsewhere, "none", true},
		"in the agent":               {"", "", both, true},
		"file, key in the agent":     {"", elsewhere, plain, true},
		"public half, key in agent":  {bare + ".pub", elsewhere, plain, true},
		"the key alone":              {bare, "", "none", false},
		"the key alone in the agent": {"", "", plain, false},
	} {
		target := s.target(t)
		target.UserKnownHosts, target.StrictHostKeyChecking, target.IdentityAgent = []string{known}, "yes", c.agent
		if c.identity != "" {
			target.IdentityFiles = []string{c.identity}
		}
		if c.certificate != "" {
			target.CertificateFiles = []string{c.certificate}
		}
		_, err := try(t.Context(), target, Options{})
		if (err == nil) != c.works {
			t.Errorf("%s: %v", name, err)
		}
	}
	write(t, known, "")
	target := s.target(t)
	target.IdentityFiles, target.UserKnownHosts, target.StrictHostKeyChecking = []string{id}, []string{known}, "yes"
	var unknown *HostKeyError
	if _, err := try(t.Context(), target, Options{}); !errors.As(err, &unknown) || unknown.Reason != HostKeyUnknown {
		t.Errorf("without the authority: %v", err)
	}
}

// MaxAuthTries 3 and ten keys in the agent: the one that ssh_config names comes
// first; unnamed it is not reached, by ssh neither, and the hint says what to
// do; the one that worked last is remembered.
func TestSSHD_MaxAuthTries(t *testing.T) {
	noLeak(t)
	hostKey, _ := newKeyFile(t, "host", "ed25519", 90)
	s := startSSHD(t, 0, []string{hostKey}, "MaxAuthTries 3")
	sock, add := realAgent(t, "exit 1")
	var right string
	var pub ssh.PublicKey
	for n := range 10 {
		file, key := newKeyFile(t, fmt.Sprint("key", n), "ed25519", n)
		add(file)
		if n == 7 {
			right, pub = file, key
		}
	}
	write(t, right+".pub", string(ssh.MarshalAuthorizedKey(pub)))
	s.authorize(t, pub)
	target := s.target(t)
	target.IdentityAgent = sock
	_, err := try(t.Context(), target, Options{})
	var refused *AuthError
	if !errors.As(err, &refused) || !strings.Contains(refused.Cause(), "Too many authentication failures") || !strings.Contains(refused.Hint(), "IdentitiesOnly") {
		t.Errorf("unnamed: %v; %s; %s", err, refused.Cause(), refused.Hint())
	}
	if _, err := try(t.Context(), target, Options{LastKey: ssh.FingerprintSHA256(pub)}); err != nil {
		t.Errorf("remembered: %v", err)
	}
	target.IdentityFiles = []string{right + ".pub"}
	for _, only := range []bool{false, true} {
		target.IdentitiesOnly = only
		before := strings.Count(s.said(t), "Failed publickey")
		if signed, err := try(t.Context(), target, Options{}); err != nil || signed.Method != "agent" {
			t.Errorf("named, IdentitiesOnly %v: %+v %v", only, signed, err)
		}
		if n := strings.Count(s.said(t), "Failed publickey") - before; n > 0 {
			t.Errorf("named: %d other keys were offered before", n)
		}
	}
}

// ssh-add -c: the agent asks a person before it signs. Who says no is not asked
// again and again; who says yes, after a while, counts as a person.
func TestSSHD_AgentConfirms(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t)
	for name, c := range map[string]struct {
		confirm       string
		works, person bool
	}{
		"yes": {"sleep 1.5; exit 0", true, true},
		"no":  {"exit 1", false, false},
	} {
		sock, add := realAgent(t, c.confirm)
		add("-c", key)
		target := s.target(t)
		target.IdentityAgent = sock
		signed, err := try(t.Context(), target, Options{Ask: answers(t)})
		if (err == nil) != c.works || signed.Person != c.person {
			t.Errorf("%s: %+v %v", name, signed, err)
		}
		var refused *AuthError
		if !c.works && (!errors.As(err, &refused) || !strings.Contains(refused.Cause(), "not used")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// AddKeysToAgent in all its values: the key that was used is in the agent
// afterwards, on those terms, and the passphrase is asked once.
func TestSSHD_AddKeysToAgent(t *testing.T) {
	noLeak(t)
	hostKey, _ := newKeyFile(t, "host", "ed25519", 90)
	s := startSSHD(t, 0, []string{hostKey})
	file, pub := saveKey(t, filepath.Join(t.TempDir(), "id"), makeKey(t, "ed25519", 91), "secret words")
	s.authorize(t, pub)
	list := func(sock string) string {
		cmd := exec.Command(program(t, "ssh-add"), "-L")
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+sock)
		out, _ := cmd.Output()
		return string(out)
	}
	for terms, c := range map[string]struct {
		answers []string
		added   bool
	}{
		"":          {[]string{"secret words"}, false},
		"true":      {[]string{"secret words"}, true},
		"ask":       {[]string{"secret words", "yes"}, true},
		"confirm 5": {[]string{"secret words"}, true},
		"1":         {[]string{"secret words"}, true},
	} {
		sock, _ := realAgent(t, "exit 1")
		target := s.target(t)
		target.IdentityAgent, target.IdentityFiles, target.AddKeysToAgent = sock, []string{file}, terms
		if _, err := try(t.Context(), target, Options{Ask: answers(t, c.answers...)}); err != nil {
			t.Fatalf("%q: %v", terms, err)
		}
		if terms != "1" && (list(sock) != "The agent has no identities.\n") != c.added {
			t.Errorf("%q: the agent has %s", terms, list(sock))
		}
		switch terms {
		case "true", "ask": // nobody is asked again
			if signed, err := try(t.Context(), target, Options{}); err != nil || signed.Method != "agent" {
				t.Errorf("%q: again: %+v %v", terms, signed, err)
			}
		case "confirm 5": // whoever says no
			if _, err := try(t.Context(), target, Options{}); err == nil {
				t.Errorf("%q: it signed unasked", terms)
			}
		case "1":
			poll(t, "the key to expire", func() bool { return list(sock) == "The agent has no identities.\n" })
		}
	}
	// An answer that is no, and an agent that does not take it, change nothing.
	sock, _ := realAgent(t, "exit 1")
	target := s.target(t)
	target.IdentityAgent, target.IdentityFiles, target.AddKeysToAgent = sock, []string{file}, "ask"
	if _, err := try(t.Context(), target, Options{Ask: answers(t, "secret words", "no")}); err != nil || list(sock) != "The agent has no identities.\n" {
		t.Errorf("no: %v, the agent has %s", err, list(sock))
	}
}
