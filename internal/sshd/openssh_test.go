//go:build unix

package sshd

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"nbremote/test/lab"
)

// OpenSSH's own client is the judge of whether this is a server.
func TestOpenSSHClient(t *testing.T) {
	lab.Needs(t, "ssh")
	key, file, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(identity, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, &Server{AuthorizedKeys: []ssh.PublicKey{key.PublicKey()}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echoAfterEnd(t, l)
	host, port, _ := net.SplitHostPort(s.Address())
	for _, c := range []struct {
		name, in, out string
		args          []string
	}{
		{"exec", "in", "in\nok\n", []string{host, "cat; echo; echo ok"}},
		{"shell", "echo $0\n", "-sh\n", []string{"-T", host}},
		{"terminal", "", "/dev/", []string{"-tt", host, "tty"}},
		{"forward", "x", "xend", []string{"-W", l.Addr().String(), host}},
	} {
		args := append([]string{"-F", "none", "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no",
			"-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "IdentityAgent=none", "-i", identity, "-p", port}, c.args...)
		cmd := exec.CommandContext(t.Context(), "ssh", args...)
		cmd.Stdin = strings.NewReader(c.in)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), c.out) {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
	}
}
