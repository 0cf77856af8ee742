package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Key is a private key in OpenSSH's format and the line of its public half.
type Key struct {
	PEM    string
	Public string // "ssh-ed25519 AAAA…\n"
}

// NewKey makes an ed25519 key; a passphrase of "" leaves it open.
func NewKey(t testing.TB, passphrase string) Key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err, "make a key")
	return marshal(t, private, passphrase)
}

func newECDSA(t testing.TB) Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err, "make a key")
	return marshal(t, private, "")
}

func marshal(t testing.TB, private crypto.Signer, passphrase string) Key {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	must(t, err, "write a key")
	public, err := ssh.NewPublicKey(private.Public())
	must(t, err, "write a key")
	return Key{PEM: string(pem.EncodeToMemory(block)), Public: string(ssh.MarshalAuthorizedKey(public))}
}

// Fingerprint is the SHA256:… form of a public key's line.
func Fingerprint(t testing.TB, public string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	must(t, err, "read a key")
	return ssh.FingerprintSHA256(key)
}

// server is a machine's OpenSSH server.
type server struct {
	cmd   *Cmd
	extra string
	keys  []Key
}

const sshdLog = "/run/lab/sshd.log"

const sshdConfig = `Port 22
HostKey /etc/ssh/lab_0
HostKey /etc/ssh/lab_1
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PrintMotd no
LogLevel VERBOSE
MaxStartups 500
AcceptEnv LANG LC_*
PidFile none
Subsystem sftp internal-sftp
`

// NewHostKeys gives the machine other host keys from its next sshd on.
func (m *Machine) NewHostKeys() {
	m.t.Helper()
	m.sshd.keys = []Key{NewKey(m.t, ""), newECDSA(m.t)}
	for i, key := range m.sshd.keys {
		m.WriteFile("root", "/etc/ssh/lab_"+string(rune('0'+i)), key.PEM)
	}
}

// HostKeys are the lines of the machine's public host keys, ed25519 first.
func (m *Machine) HostKeys() []string {
	var lines []string
	for _, key := range m.sshd.keys {
		lines = append(lines, key.Public)
	}
	return lines
}

// KnownHosts are the known_hosts lines for a name of the machine: its
// address, or "[address]:port".
func (m *Machine) KnownHosts(name string) string {
	var b strings.Builder
	for _, line := range m.HostKeys() {
		b.WriteString(name + " " + line)
	}
	return b.String()
}

// Configure puts lines before the rest of sshd_config, so that they win, and
// starts sshd anew. Connections that are up stay up.
func (m *Machine) Configure(lines string) {
	m.t.Helper()
	m.sshd.extra = lines
	m.StopSSHD()
	m.StartSSHD()
}

// StartSSHD starts the machine's sshd and waits until it greets.
func (m *Machine) StartSSHD() {
	m.t.Helper()
	rest := sshdConfig
	if strings.Contains(m.sshd.extra, "MaxStartups ") { // of this one the last wins
		rest = strings.Replace(rest, "MaxStartups 500\n", "", 1)
	}
	m.WriteMode("root", "/etc/ssh/sshd_config", m.sshd.extra+rest, 0o644)
	cmd := m.As(context.Background(), "root", "/usr/sbin/sshd", "-D", "-E", sshdLog)
	must(m.t, cmd.Start(), "start sshd on %s", m.Name)
	m.sshd.cmd = cmd
	m.t.Cleanup(m.StopSSHD)
	Wait(m.t, 10*time.Second, "sshd on "+m.Name+" to greet", m.greets)
}

func (m *Machine) greets() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := m.Dial(ctx, 0, "tcp", "127.0.0.1:22")
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	greeting := make([]byte, 256)
	n, _ := conn.Read(greeting)
	return strings.HasPrefix(string(greeting[:n]), "SSH-")
}

// StopSSHD ends the listening sshd; connections that are up stay up.
func (m *Machine) StopSSHD() {
	if m.sshd.cmd == nil {
		return
	}
	_ = m.sshd.cmd.Process.Kill()
	_ = m.sshd.cmd.Wait()
	m.sshd.cmd = nil
}

// Small mounts a disk of that size, me's alone, on a folder.
func (m *Machine) Small(dir, size string) {
	m.t.Helper()
	m.ShAs(Me, "mkdir -p "+dir)
	m.Sh("mount -t tmpfs -o size=" + size + ",uid=$(id -u " + Me + "),gid=$(id -g " + Me + "),mode=700 small " + dir)
}

// HangUp ends every ssh connection to the machine; sshd goes on listening.
func (m *Machine) HangUp() {
	if m.sshd.cmd != nil {
		m.hangUpDropbear()
	}
	for _, p := range m.Processes() {
		if strings.HasPrefix(p.Line, "sshd: ") && !strings.Contains(p.Line, "[listener]") {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}

// Freeze stops every sshd process of the machine: TCP goes on, nobody speaks.
func (m *Machine) Freeze() { m.signal("sshd", syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (m *Machine) Thaw() { m.signal("sshd", syscall.SIGCONT) }

// SSHDLog is what the machine's sshd has logged so far.
func (m *Machine) SSHDLog() string { return m.ReadFile(sshdLog) }

// exitCode is a process's exit status as a shell gives it.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	exit, ok := err.(*exec.ExitError)
	if !ok {
		return -1
	}
	status := exit.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
