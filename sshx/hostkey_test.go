package sshx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// withKey gives target a key that s takes.
func withKey(t *testing.T, s *sshd, target *Target) *Target {
	t.Helper()
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	target.IdentityFiles = []string{file}
	return target
}

// try connects and closes.
func try(ctx context.Context, target *Target, opts Options) (Signed, error) {
	c, err := Connect(ctx, target, opts)
	if err != nil {
		return Signed{}, err
	}
	defer c.Close()
	return c.Signed(), nil
}

func wantHostKeyError(t *testing.T, err error, reason HostKeyReason) *HostKeyError {
	t.Helper()
	var e *HostKeyError
	if !errors.As(err, &e) || e.Reason != reason || e.Class() != "host-key" {
		t.Fatalf("%v, want a host key that is %s", err, reason)
	}
	return e
}

func TestE1_ChangedHostKey(t *testing.T) {
	old := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	target := withKey(t, old, old.target(t))
	before, err := try(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	old.stop()
	file, newKey := newKeyFile(t, "host", "ed25519", 101)
	s := startSSHD(t, old.port, []string{file}, "LogLevel DEBUG3")
	file, pub := newKeyFile(t, "id_ed25519", "ed25519", 0)
	s.authorize(t, pub)
	for _, strict := range []string{"ask", "no", "accept-new", "yes"} {
		target.StrictHostKeyChecking = strict
		_, err = try(t.Context(), target, Options{Ask: answers(t, "yes")})
		e := wantHostKeyError(t, err, HostKeyChanged)
		if e.Error() != "host key of gpu1 changed; stopped before signing in" {
			t.Error(e)
		}
		want := fmt.Sprintf("was %s (%s:1), is %s: new installation or impostor", before.HostKey, target.UserKnownHosts[0], ssh.FingerprintSHA256(newKey))
		if e.Cause() != want {
			t.Errorf("%s\nwant %s", e.Cause(), want)
		}
		if !strings.HasSuffix(e.Hint(), "only if the new one is right: "+e.Remove) {
			t.Error(e.Hint())
		}
	}
	if strings.Contains(s.said(t), "userauth-request") {
		t.Error("it tried to sign in")
	}
	e := wantHostKeyError(t, err, HostKeyChanged)
	if out, err := exec.Command("sh", "-c", e.Remove).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", e.Remove, err, out)
	}
	target.IdentityFiles, target.StrictHostKeyChecking = []string{file}, "accept-new"
	if _, err := try(t.Context(), target, Options{}); err != nil {
		t.Errorf("after %s: %v", e.Remove, err)
	}
}

// TestE1_Pinned: with StrictHostKeyChecking no, nothing is written down, and
// the holder's own memory notices a change.
func TestE1_Pinned(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	target := withKey(t, s, s.target(t))
	target.StrictHostKeyChecking = "no"
	var notices []string
	signed, err := try(t.Context(), target, Options{Notice: func(s string) { notices = append(notices, s) }})
	if err != nil || signed.HostKeySaved || len(notices) != 1 || !strings.Contains(notices[0], signed.HostKey) {
		t.Fatalf("%+v %v %q", signed, err, notices)
	}
	if _, err := os.Stat(target.UserKnownHosts[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	if _, err := try(t.Context(), target, Options{PinnedHostKey: signed.HostKey}); err != nil {
		t.Error(err)
	}
	_, err = try(t.Context(), target, Options{PinnedHostKey: "SHA256:other"})
	if e := wantHostKeyError(t, err, HostKeyChanged); e.Known != "SHA256:other" {
		t.Error(e.Cause())
	}
}

// answers gives the answers in turn; a question more fails the test.
func answers(t *testing.T, list ...string) func(context.Context, Question) (string, error) {
	var mu sync.Mutex
	return func(_ context.Context, q Question) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if q.Hop == "" || q.Text == "" {
			t.Errorf("a question that does not say who asks what: %+v", q)
		}
		if len(list) == 0 {
			t.Errorf("asked once more: %+v", q)
			return "", errors.New("no answer")
		}
		answer := list[0]
		list = list[1:]
		return answer, nil
	}
}

func TestE2_UnknownHost(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	shown := ssh.FingerprintSHA256(signerOf(t, makeKey(t, "ed25519", 100)).PublicKey())
	cases := []struct {
		strict  string
		answers []string
		reason  HostKeyReason
	}{
		{"ask", []string{"yes"}, ""},
		{"ask", []string{" YES "}, ""},
		{"ask", []string{shown}, ""},
		{"ask", []string{shown + "="}, ""},
		{"ask", []string{"y", "what?", "yes"}, ""},
		{"ask", []string{"y", "what?", ""}, HostKeyRefused},
		{"ask", []string{"no"}, HostKeyRefused},
		{"ask", []string{"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, HostKeyRefused},
		{"ask", nil, HostKeyUnknown},
		{"yes", []string{}, HostKeyUnknown},
		{"accept-new", []string{}, ""},
	}
	for _, c := range cases {
		target := withKey(t, s, s.target(t))
		target.StrictHostKeyChecking = c.strict
		opts := Options{}
		if c.answers != nil {
			opts.Ask = answers(t, c.answers...)
		}
		signed, err := try(t.Context(), target, opts)
		if c.reason != "" {
			wantHostKeyError(t, err, c.reason)
			if _, err := os.Stat(target.UserKnownHosts[0]); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%+v: something was written", c)
			}
			continue
		}
		if err != nil || !signed.HostKeySaved || signed.Person || signed.HostKey != shown {
			t.Errorf("%+v: %+v %v", c, signed, err)
		}
		target.StrictHostKeyChecking = "yes"
		if _, err := try(t.Context(), target, Options{}); err != nil {
			t.Errorf("%+v: the second time: %v", c, err)
		}
	}
}

func TestE2_QuestionIsComplete(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "rsa")})
	target := withKey(t, s, s.target(t))
	target.StrictHostKeyChecking = "ask"
	var got Question
	try(t.Context(), target, Options{Ask: func(_ context.Context, q Question) (string, error) { got = q; return "no", nil }})
	key := signerOf(t, makeKey(t, "rsa", 100)).PublicKey()
	want := Question{Kind: "hostkey", Hop: "gpu1", Text: "gpu1 (" + target.Address() + ") is new here", Echo: true, KeyType: "RSA", Fingerprint: ssh.FingerprintSHA256(key)}
	if got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// TestE2_Append covers the cases of OpenSSH's regress/knownhosts.sh.
func TestE2_Append(t *testing.T) {
	key := signerOf(t, makeKey(t, "ed25519", 1)).PublicKey()
	line := "gpu1 " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	other := "other " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for before, after := range map[string]string{
		"":                    line + "\n",
		other + "\n":          other + "\n" + line + "\n",
		other:                 other + "\n" + line + "\n",
		"# a comment":         "# a comment\n" + line + "\n",
		other + "\n\n":        other + "\n\n" + line + "\n",
		line + "\n":           line + "\n",
		"gpu1,x " + line[5:]:  "gpu1,x " + line[5:],
		other + "\r\n# more ": other + "\r\n# more \n" + line + "\n",
	} {
		file := filepath.Join(t.TempDir(), "known_hosts")
		write(t, file, before)
		if err := appendKnownHost(t.Context(), file, "gpu1", false, key); err != nil {
			t.Fatal(err)
		}
		if got := read(t, file); got != after {
			t.Errorf("%q became %q, want %q", before, got, after)
		}
	}
	file := filepath.Join(t.TempDir(), "new", "known_hosts")
	if err := appendKnownHost(t.Context(), file, "[gpu1]:2222", true, key); err != nil {
		t.Fatal(err)
	}
	if text := read(t, file); strings.Contains(text, "gpu1") || !strings.HasPrefix(text, "|1|") {
		t.Errorf("not hashed: %s", text)
	}
	known, err := readKnownHosts([]string{file}, "[gpu1]:2222")
	if err != nil || !known.find("", key) {
		t.Errorf("not found again: %v", err)
	}
	info, _ := os.Stat(file)
	dir, _ := os.Stat(filepath.Dir(file))
	if info.Mode().Perm() != 0o600 || dir.Mode().Perm() != 0o700 {
		t.Errorf("modes %v, %v", info.Mode(), dir.Mode())
	}
}

// TestE2_AtOnce has twenty writers at one file: each line is there once, whole.
func TestE2_AtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	var wg sync.WaitGroup
	for n := range 20 {
		key := signerOf(t, makeKey(t, "ed25519", n/2)).PublicKey()
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := appendKnownHost(t.Context(), file, fmt.Sprint("host", n/2), n%4 < 2, key); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	for n := range 10 {
		known, err := readKnownHosts([]string{file}, fmt.Sprint("host", n))
		if err != nil || len(known.lines) != 1 {
			t.Errorf("host%d: %d lines, %v", n, len(known.lines), err)
		}
	}
}

func TestE3_BadKnownHosts(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signerOf(t, makeKey(t, "ed25519", 1)).PublicKey())))
	good, lines := "other "+key+"\n", 10_000
	if os.Getenv("NBREMOTE_TEST_LONG") != "" {
		lines = 120_000 // 10 MB
	}
	for text, wantLine := range map[string]int{
		good + "garbage\n":                             2,
		good + "# fine\n\ngpu1 ssh-ed25519 AAAA!\n":    4,
		"gpu1 ssh-rsa " + strings.Fields(key)[1]:       1,
		"@maybe gpu1 " + key:                           1,
		"|1|AAAA " + key:                               1,
		"|1|!|AAAA= " + key:                            1,
		"gpu1 " + key[:40]:                             1,
		"gpu1 " + strings.Repeat("x", 70<<10):          1,
		good + "\x00\xff\n":                            2,
		good + "<<<<<<< HEAD\n" + good + "=======\n":   2,
		strings.Repeat(good, lines) + "torn ssh-ed2\n": lines + 1,
	} {
		target := withKey(t, s, s.target(t))
		write(t, target.UserKnownHosts[0], text)
		target.StrictHostKeyChecking = "no"
		_, err := try(t.Context(), target, Options{Ask: answers(t)})
		e := wantHostKeyError(t, err, HostKeyUnread)
		if want := fmt.Sprintf("%s:%d", target.UserKnownHosts[0], wantLine); e.Place != want || !strings.Contains(e.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, e, want)
		}
		if read(t, target.UserKnownHosts[0]) != text {
			t.Error("it was changed")
		}
	}
	target := withKey(t, s, s.target(t))
	os.Mkdir(target.UserKnownHosts[0], 0o700)
	_, err := try(t.Context(), target, Options{})
	if e := wantHostKeyError(t, err, HostKeyUnread); !strings.Contains(e.Place, target.UserKnownHosts[0]) || !strings.Contains(e.Cause(), "directory") {
		t.Error(e, e.Cause())
	}
	os.Remove(target.UserKnownHosts[0])
	os.Symlink(target.UserKnownHosts[0], target.UserKnownHosts[0])
	_, err = try(t.Context(), target, Options{})
	wantHostKeyError(t, err, HostKeyUnread)
}

// TestE3_Unwritable: what cannot be written down is said; the person has
// answered, so the connection is made.
func TestE3_Unwritable(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	target := withKey(t, s, s.target(t))
	target.UserKnownHosts = []string{"/proc/nowhere/known_hosts"}
	var notices []string
	signed, err := try(t.Context(), target, Options{Notice: func(s string) { notices = append(notices, s) }})
	if err != nil || signed.HostKeySaved || !strings.Contains(strings.Join(notices, "\n"), "could not be saved") {
		t.Errorf("%+v %v %q", signed, err, notices)
	}
}

// TestUnknownKeyTypes: a type of key that we do not know is no garbage, nor are
// lines of protocol 1.
func TestUnknownKeyTypes(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	target := withKey(t, s, s.target(t))
	write(t, target.UserKnownHosts[0], "[127.0.0.1]:* ssh-xmss@openssh.com AAAAFHNzaC14bXNzQG9wZW5zc2guY29tAAAAAA==\ngpu1 1024 35 1234567\n")
	if _, err := try(t.Context(), target, Options{}); err != nil {
		t.Error(err)
	}
}

func TestE5_Revoked(t *testing.T) {
	s := startSSHD(t, 0, []string{hostKey(t, "ed25519")})
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signerOf(t, makeKey(t, "ed25519", 100)).PublicKey())))
	target := withKey(t, s, s.target(t))
	name := target.knownName()
	write(t, target.UserKnownHosts[0], name+" "+key+"\n@revoked * "+key+"\n")
	_, err := try(t.Context(), target, Options{Ask: answers(t)})
	if e := wantHostKeyError(t, err, HostKeyRevoked); e.Place != target.UserKnownHosts[0]+":2" {
		t.Error(e.Place)
	}
	write(t, target.UserKnownHosts[0], name+" "+key+"\n@revoked elsewhere "+key+"\n")
	if _, err := try(t.Context(), target, Options{}); err != nil {
		t.Errorf("revoked for another host: %v", err)
	}
}

// TestE4_BadCertificate: a certificate for another host is as good as none, and
// what is known for the port is not outdone by what is known for the bare name.
func TestE4_BadCertificate(t *testing.T) {
	dir := t.TempDir()
	file, pub := saveKey(t, filepath.Join(dir, "host"), makeKey(t, "ecdsa", 100), "")
	write(t, filepath.Join(dir, "host-cert.pub"), string(ssh.MarshalAuthorizedKey(hostCertificate(t, makeKey(t, "ecdsa", 100), "elsewhere"))))
	s := startSSHD(t, 0, []string{file}, "HostCertificate "+dir+"/host-cert.pub")
	line := func(marker, name string, key ssh.PublicKey) string {
		return marker + name + " " + string(ssh.MarshalAuthorizedKey(key))
	}
	target := withKey(t, s, s.target(t))
	target.StrictHostKeyChecking = "yes"
	authority := line("@cert-authority ", target.knownName(), signerOf(t, makeKey(t, "ed25519", 200)).PublicKey())
	other := line("", target.knownName(), signerOf(t, makeKey(t, "ed25519", 101)).PublicKey())
	for text, reason := range map[string]HostKeyReason{
		authority: HostKeyInvalid,
		authority + other + line("", "127.0.0.*", pub): HostKeyInvalid,
		authority + line("", "127.0.0.*", pub):         "",
		authority + line("", target.knownName(), pub):  "",
	} {
		write(t, target.UserKnownHosts[0], text)
		_, err := try(t.Context(), target, Options{})
		if reason != "" {
			wantHostKeyError(t, err, reason)
		} else if err != nil {
			t.Errorf("%v with\n%s", err, text)
		}
	}
}
