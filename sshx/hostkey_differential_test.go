package sshx

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// TestE4_Differential has ssh itself and us look at the same servers with the
// same known_hosts: a few (40 if NBREMOTE_TEST_LONG is set), drawn anew each
// time, against servers with six sets of keys. The verdicts must be equal, except
// that we may take a revocation more seriously.
func TestE4_Differential(t *testing.T) {
	client := program(t, "ssh")
	files, count := 4, 0
	if os.Getenv("NBREMOTE_TEST_LONG") != "" {
		files = 40
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	servers := startServers(t)
	type check struct {
		server *sshd
		alias  string
		text   string
	}
	checks := make(chan check)
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			dir := t.TempDir()
			for c := range checks {
				file := filepath.Join(dir, "known_hosts")
				write(t, file, c.text)
				theirs, said := verdictOfSSH(client, c.server, file, c.alias)
				ours, err := verdictOfOurs(t, c.server, file, c.alias)
				var e *HostKeyError
				stricter := theirs && errors.As(err, &e) && e.Reason == HostKeyRevoked
				if ours != theirs && !stricter {
					t.Errorf("we say %v (%v), ssh says %v\nalias %q, server's keys %s\n%s\n%s", ours, err, theirs, c.alias, c.server.dir, c.text, said)
				}
				mu.Lock()
				if count++; ours {
					accepted++
				}
				mu.Unlock()
			}
		}()
	}
	for range files {
		for _, server := range servers {
			alias := []string{"", "", "", "lab"}[random.IntN(4)]
			checks <- check{server, alias, drawKnownHosts(t, random, server, alias)}
		}
	}
	close(checks)
	wg.Wait()
	t.Logf("%d of %d accepted", accepted, count)
	if files == 40 && (accepted < count/10 || accepted > count*9/10) {
		t.Errorf("%d of %d accepted: that tells little", accepted, count)
	}
}

var kinds = []string{"ed25519", "ecdsa", "rsa"}

func startServers(t *testing.T) []*sshd {
	dir := t.TempDir()
	files := map[string]string{}
	for _, kind := range kinds {
		files[kind], _ = saveKey(t, filepath.Join(dir, kind), makeKey(t, kind, 100), "")
	}
	certificate, elsewhere := filepath.Join(dir, "certificate.pub"), filepath.Join(dir, "elsewhere.pub")
	write(t, certificate, string(ssh.MarshalAuthorizedKey(hostCertificate(t, makeKey(t, "ed25519", 100), "127.0.0.1", "lab"))))
	write(t, elsewhere, string(ssh.MarshalAuthorizedKey(hostCertificate(t, makeKey(t, "ecdsa", 100), "elsewhere"))))
	return []*sshd{
		startSSHD(t, 0, []string{files["ed25519"]}),
		startSSHD(t, 0, []string{files["ecdsa"]}, "HostCertificate "+elsewhere),
		startSSHD(t, 0, []string{files["rsa"]}),
		startSSHD(t, 0, []string{files["rsa"], files["ecdsa"], files["ed25519"]}),
		startSSHD(t, 0, []string{files["rsa"], files["ecdsa"]}),
		startSSHD(t, 0, []string{files["rsa"], files["ed25519"]}, "HostCertificate "+certificate),
	}
}

// hostCertificate is signed by the authority of these tests.
func hostCertificate(t *testing.T, key any, names ...string) *ssh.Certificate {
	c := &ssh.Certificate{
		Key: signerOf(t, key).PublicKey(), CertType: ssh.HostCert, KeyId: "host",
		ValidPrincipals: names, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := c.SignCert(rand.Reader, signerOf(t, makeKey(t, "ed25519", 200))); err != nil {
		t.Fatal(err)
	}
	return c
}

// drawKnownHosts draws one to four lines: names and patterns of all sorts, the
// server's keys, others, and the authority's.
func drawKnownHosts(t *testing.T, random *mathrand.Rand, s *sshd, alias string) string {
	port := fmt.Sprint(s.port)
	own := "[127.0.0.1]:" + port
	if alias != "" {
		own = alias
	}
	names := []string{
		own, own, own, knownhosts.HashHostname(own), "127.0.0.1", knownhosts.HashHostname("127.0.0.1"),
		"*", "[127.0.0.1]:*", "[127.0.0.?]:" + port, "[127.0.*]:" + port, "127.0.0.*", "elsewhere", "other," + own,
		"*,!" + own, "!elsewhere," + own, "!elsewhere", "[127.0.0.1]:22", "[127.0.0.1]:1", "LAB", "l?b",
	}
	var b strings.Builder
	for range 1 + random.IntN(4) {
		marker := []string{"", "", "", "", "", "", "@cert-authority ", "@cert-authority ", "@revoked "}[random.IntN(9)]
		n := []int{100, 100, 100, 101, 200}[random.IntN(5)]
		kind := kinds[random.IntN(3)]
		if n == 200 || strings.HasPrefix(marker, "@cert") && random.IntN(3) > 0 {
			kind, n = "ed25519", 200
		}
		key := signerOf(t, makeKey(t, kind, n)).PublicKey()
		fmt.Fprintf(&b, "%s%s %s %s\n", marker, names[random.IntN(len(names))], key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
	}
	return b.String()
}

// verdictOfSSH is whether ssh accepts the host key; it then goes on to a sign-in
// that fails.
func verdictOfSSH(client string, s *sshd, file, alias string) (bool, string) {
	args := []string{
		"-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + file,
		"-o", "GlobalKnownHostsFile=none", "-o", "PubkeyAuthentication=no", "-o", "UpdateHostKeys=no", "-p", fmt.Sprint(s.port),
	}
	if alias != "" {
		args = append(args, "-o", "HostKeyAlias="+alias)
	}
	cmd := exec.Command(client, append(args, "root@127.0.0.1", "true")...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	out, _ := cmd.CombinedOutput()
	return strings.Contains(string(out), "Permission denied"), string(out)
}

func verdictOfOurs(t *testing.T, s *sshd, file, alias string) (bool, error) {
	target := &Target{
		Name: "gpu1", User: "root", Host: "127.0.0.1", Port: s.port, HostKeyAlias: alias, IdentityAgent: "none",
		UserKnownHosts: []string{file}, StrictHostKeyChecking: "yes",
	}
	_, err := try(t.Context(), target, Options{})
	var signIn *AuthError
	var key *HostKeyError
	if !errors.As(err, &signIn) && !errors.As(err, &key) {
		t.Errorf("neither accepted nor refused: %v", err)
	}
	return errors.As(err, &signIn), err
}
