package sshx

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd is a real OpenSSH server on a loopback port, with a configuration, keys
// and log of its own.
type sshd struct {
	dir  string
	port int
	cmd  *exec.Cmd
	end  func()
	log  *os.File
}

// needs skips the test where a program is missing, and fails it in CI.
func needs(t *testing.T, what string, there bool) {
	t.Helper()
	if there {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name
		_, err = os.Stat(path)
	}
	needs(t, name, err == nil)
	return path
}

// startSSHD starts a server with the given host keys, on its own port or, if
// it is not 0, on port. lines are added to its configuration.
func startSSHD(t *testing.T, port int, hostKeys []string, lines ...string) *sshd {
	t.Helper()
	path := program(t, "sshd")
	needs(t, "root", os.Getuid() == 0)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	if port == 0 {
		port = freePort(t)
	}
	s := &sshd{dir: t.TempDir(), port: port}
	conf := []string{
		"ListenAddress 127.0.0.1:" + strconv.Itoa(port), "PidFile none", "StrictModes no", "UsePAM no", "LogLevel VERBOSE",
		"AuthorizedKeysFile " + filepath.Join(s.dir, "authorized_keys"), "PermitRootLogin yes", "MaxStartups 100",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"SetEnv HOME=" + s.dir, // what the shell's own files do is not tested here
	}
	for _, key := range hostKeys {
		conf = append(conf, "HostKey "+key)
	}
	var err error
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.log.Close() })
	file := filepath.Join(s.dir, "sshd_config")
	write(t, file, strings.Join(append(lines, conf...), "\n")+"\n")
	// It ends with the tests, even if they are killed.
	s.cmd = exec.Command("/bin/sh", "-c", `"$0" -D -e -f "$1" & read x; kill $!; wait`, path, file)
	var stdin io.WriteCloser
	if stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	s.end = sync.OnceFunc(func() { stdin.Close(); s.cmd.Wait() })
	s.cmd.Stderr = s.log // a file: a pipe would be held open by the sessions
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	poll(t, "sshd listens", func() bool {
		conn, err := net.Dial("tcp", s.address())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

func (s *sshd) address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

func (s *sshd) said(t *testing.T) string { return read(t, s.log.Name()) }

func (s *sshd) stop() { s.end() }

func (s *sshd) authorize(t *testing.T, keys ...ssh.PublicKey) {
	t.Helper()
	var b []byte
	for _, key := range keys {
		b = append(b, ssh.MarshalAuthorizedKey(key)...)
	}
	write(t, filepath.Join(s.dir, "authorized_keys"), string(b))
}

// target is how to reach the server, knowing no key and no host.
func (s *sshd) target(t *testing.T) *Target {
	return &Target{
		Name: "gpu1", User: "root", Host: "127.0.0.1", Port: s.port, IdentityAgent: "none",
		UserKnownHosts: []string{filepath.Join(t.TempDir(), "known_hosts")}, StrictHostKeyChecking: "accept-new",
		PubkeyAuth: true, PasswordAuth: true, KbdAuth: true,
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// poll waits for a condition, ten seconds at most.
func poll(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

var madeKeys sync.Map // kind/number → key: RSA keys take long to make

// makeKey makes the nth private key of a kind: ed25519, ecdsa or rsa.
func makeKey(t *testing.T, kind string, n int) any {
	t.Helper()
	name := fmt.Sprint(kind, n)
	if key, ok := madeKeys.Load(name); ok {
		return key
	}
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	key, _ = madeKeys.LoadOrStore(name, key)
	return key
}

func signerOf(t *testing.T, key any) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// saveKey writes a private key in OpenSSH's format; a passphrase locks it, with
// as little work as can be.
func saveKey(t *testing.T, file string, key any, passphrase string) (string, ssh.PublicKey) {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(pem.EncodeToMemory(block)))
	if passphrase != "" {
		lock := exec.Command(program(t, "ssh-keygen"), "-q", "-p", "-a", "1", "-P", "", "-N", passphrase, "-f", file)
		if out, err := lock.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	return file, signerOf(t, key).PublicKey()
}

// newKeyFile makes a key file in a directory of the test's own.
func newKeyFile(t *testing.T, name, kind string, n int) (string, ssh.PublicKey) {
	t.Helper()
	return saveKey(t, filepath.Join(t.TempDir(), name), makeKey(t, kind, n), "")
}
