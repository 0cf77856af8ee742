package sshx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshTarget is a server as ssh itself reaches it: by an ssh_config of the
// test's own, resolved by ssh -G.
func (s *sshd) sshTarget(t *testing.T, lines ...string) *Target {
	t.Helper()
	target, err := s.resolve(t, "", lines...)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// resolve is sshTarget by another ssh than that on PATH, or "".
func (s *sshd) resolve(t *testing.T, program string, lines ...string) (*Target, error) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	known := filepath.Join(dir, "known_hosts")
	write(t, config, strings.Join(append(append([]string{"Host gpu1"}, lines...),
		"HostName 127.0.0.1", "User root", "Port "+strconv.Itoa(s.port), "UserKnownHostsFile "+known,
		"GlobalKnownHostsFile none", "StrictHostKeyChecking accept-new", "IdentityAgent none"), "\n  ")+"\n")
	return Resolver{ConfigFile: config, SSH: program}.Resolve(t.Context(), "gpu1", nil)
}

// openSSHServer is a server that takes one key, and that key.
func openSSHServer(t *testing.T, lines ...string) (*sshd, string) {
	t.Helper()
	hostKey, _ := newKeyFile(t, "host", "ed25519", 90)
	s := startSSHD(t, 0, []string{hostKey}, lines...)
	key, pub := newKeyFile(t, "id", "ed25519", 91)
	s.authorize(t, pub)
	return s, key
}

func execWorks(t *testing.T, c *Conn) {
	t.Helper()
	p, err := c.Exec(t.Context(), "cat; echo end >&2; exit 7")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fmt.Fprint(p.Stdin, "hello")
	p.Stdin.Close()
	out, err := io.ReadAll(p.Stdout)
	said, _ := io.ReadAll(p.Stderr)
	var exit *ExitError
	if string(out) != "hello" || string(said) != "end\n" || err != nil || !errors.As(p.Wait(), &exit) || exit.Code != 7 {
		t.Errorf("%q %q %v %v", out, said, err, exit)
	}
}

// The engine openssh does all that the native one does: commands, dials, an
// end that is told from a loss.
func TestOpenSSH_Works(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t)
	target := s.sshTarget(t, "IdentityFile "+key, "LocalForward 127.0.0.1:"+strconv.Itoa(s.port)+" 127.0.0.1:1", "RemoteCommand false", "RequestTTY force", "PermitLocalCommand yes", "LocalCommand touch "+s.dir+"/ran")
	target.Engine = EngineOpenSSH
	dir := t.TempDir()
	c, err := Connect(t.Context(), target, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Signed().Method; m != "ssh: publickey" {
		t.Errorf("signed in by %q", m)
	}
	execWorks(t, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		far, err := l.Accept()
		if err == nil {
			io.Copy(far, far)
			far.Close()
		}
	}()
	near, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB: more than a window
	go func() { near.Write(big); near.(*channelConn).CloseWrite() }()
	if got, err := io.ReadAll(near); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes of %d, %v", len(got), len(big), err)
	}
	near.Close()
	if _, err := c.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !saysRefused(err) && !errors.As(err, new(*OpenError)) {
		t.Errorf("a refused dial: %v", err)
	}
	if err := c.Alive(t.Context()); err != nil {
		t.Errorf("alive: %v", err)
	}
	c.Close()
	if err := c.Err(); err != nil {
		t.Errorf("closed: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(s.dir + "/ran"); err == nil {
		t.Error("it ran the LocalCommand")
	}
}

// Its death, and that of the line, is a lost line, with what ssh said.
func TestOpenSSH_DeathIsALostLine(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t)
	target := s.sshTarget(t, "IdentityFile "+key)
	target.Engine = EngineOpenSSH
	for _, by := range []string{"the server", "ssh itself"} {
		c, err := Connect(t.Context(), target, Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := c.net.Conn.(*masterConn).master
		p, err := c.Exec(t.Context(), "echo $PPID; read x")
		if err != nil {
			t.Fatal(err)
		}
		var far int
		fmt.Fscan(p.Stdout, &far)
		if by == "ssh itself" {
			endGroup(m.cmd, true)
		} else if proc, err := os.FindProcess(far); err != nil || far < 2 || proc.Kill() != nil {
			t.Fatal(far, err)
		}
		select {
		case <-c.Done():
		case <-time.After(10 * time.Second):
			t.Fatal(by + ": the loss is not seen")
		}
		if err := c.Err(); !errors.As(err, new(*LostError)) {
			t.Errorf("%s: %v", by, err)
		}
		if err := p.Wait(); !errors.As(err, new(*LostError)) {
			t.Errorf("%s: the command: %v", by, err)
		}
		<-m.over
		c.Close()
	}
}

// A process that is gone, by SIGKILL even, leaves no ssh behind.
func TestOpenSSH_EndsWithUs(t *testing.T) {
	if sock := os.Getenv("NBR_TEST_MASTER"); sock != "" {
		target, err := Resolver{ConfigFile: sock}.Resolve(context.Background(), "gpu1", nil)
		if err != nil {
			t.Fatal(err)
		}
		target.Engine = EngineOpenSSH
		c, err := Connect(context.Background(), target, Options{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("group", c.net.Conn.(*masterConn).master.cmd.Process.Pid)
		select {}
	}
	s, key := openSSHServer(t)
	target := s.sshTarget(t, "IdentityFile "+key)
	child := exec.Command(os.Args[0], "-test.run=^TestOpenSSH_EndsWithUs$")
	child.Env = append(os.Environ(), "NBR_TEST_MASTER="+target.ConfigFile)
	out, err := child.StdoutPipe()
	if err != nil || child.Start() != nil {
		t.Fatal(err)
	}
	var group int
	if _, err := fmt.Fscanf(out, "group %d\n", &group); err != nil {
		t.Fatal(err)
	}
	child.Process.Kill()
	child.Wait()
	poll(t, "ssh to end", func() bool {
		raw, err := exec.Command("ps", "-o", "pid=", "-g", strconv.Itoa(group)).Output()
		return err != nil || len(bytes.TrimSpace(raw)) == 0
	})
}

// What ssh says at its end becomes our own errors: class, cause and hint.
func TestOpenSSH_Errors(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t)
	other, _ := newKeyFile(t, "other", "ed25519", 92)
	connect := func(target *Target) error {
		target.Engine = EngineOpenSSH
		c, err := Connect(t.Context(), target, Options{})
		if err == nil {
			c.Close()
		}
		return err
	}
	err := connect(s.sshTarget(t, "IdentityFile "+other, "IdentitiesOnly yes"))
	wantAuthError(t, err, "sign in to gpu1 as root: nobody can be asked", "offered what ssh itself has; it said: root@127.0.0.1: Permission denied (publickey).")

	_, wrong := newKeyFile(t, "wrong", "ed25519", 93)
	signedIn := strings.Count(s.said(t), "Accepted")
	for _, strict := range []string{"accept-new", "no"} {
		target := s.sshTarget(t, "IdentityFile "+key, "StrictHostKeyChecking "+strict)
		write(t, target.UserKnownHosts[0], fmt.Sprintf("[127.0.0.1]:%d %s", s.port, ssh.MarshalAuthorizedKey(wrong)))
		var changed *HostKeyError
		if err := connect(target); !errors.As(err, &changed) || changed.Reason != HostKeyChanged || !strings.HasPrefix(changed.Key, "SHA256:") ||
			!strings.Contains(changed.Place, "known_hosts:1") || !strings.Contains(changed.Hint(), "ssh-keygen") || changed.Class() != "host-key" {
			t.Errorf("%s: %v %+v", strict, err, changed)
		}
	}
	if strings.Count(s.said(t), "Accepted") != signedIn {
		t.Error("it signed in to a host with another key")
	}
	target := s.sshTarget(t, "IdentityFile "+key)
	s.stop()
	var dial *DialError
	if err := connect(target); !errors.As(err, &dial) || dial.Class() != "connect" || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}

// StrictHostKeyChecking no: accepted, and the same key is wanted for as long as
// the directory lives.
func TestE1_OpenSSHPinned(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t)
	target := s.sshTarget(t, "IdentityFile "+key, "StrictHostKeyChecking no", "UserKnownHostsFile /dev/null")
	target.Engine = EngineOpenSSH
	dir := t.TempDir()
	c, err := Connect(t.Context(), target, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.stop()
	fresh, _ := newKeyFile(t, "fresh", "ed25519", 94)
	s2 := startSSHD(t, s.port, []string{fresh})
	var changed *HostKeyError
	if _, err := Connect(t.Context(), target, Options{Dir: dir}); !errors.As(err, &changed) || changed.Reason != HostKeyChanged {
		t.Errorf("%v", err)
	}
	if strings.Contains(s2.said(t), "Failed publickey") {
		t.Error("it offered a key to the changed host")
	}
}

// A ControlMaster of the user's that lives is used: nobody signs in again. One
// whose line is dead is not waited for.
func TestControlMaster_Reused(t *testing.T) {
	noLeak(t)
	s, key := openSSHServer(t)
	sock := filepath.Join(t.TempDir(), "cm-%C")
	target := s.sshTarget(t, "IdentityFile "+key, "ControlMaster auto", "ControlPath "+sock)
	if c := Attach(t.Context(), target, Options{}); c != nil {
		t.Fatal("there is no master yet")
	}
	user := exec.Command("ssh", "-F", target.ConfigFile, "-M", "-N", "gpu1")
	if err := user.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { user.Process.Kill(); user.Wait() }()
	poll(t, "the user's master", func() bool { _, err := os.Stat(target.ControlPath); return err == nil })
	for range 2 { // closing ours leaves theirs
		c := Attach(t.Context(), target, Options{})
		if c == nil {
			t.Fatal("it is not used")
		}
		execWorks(t, c)
		c.Close()
	}
	if n := strings.Count(s.said(t), "Accepted publickey"); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
	target.Engine = EngineNative
	if Attach(t.Context(), target, Options{}) != nil {
		t.Error(`engine = "native" used it`)
	}
	target.Engine = ""
	c := Attach(t.Context(), target, Options{})
	p, err := c.Exec(t.Context(), "echo $PPID")
	if err != nil {
		t.Fatal(err)
	}
	var far int
	fmt.Fscan(p.Stdout, &far)
	c.Close()
	if far < 2 || syscall.Kill(far, syscall.SIGSTOP) != nil {
		t.Fatal(far)
	}
	defer syscall.Kill(far, syscall.SIGCONT)
	began := time.Now()
	if c := Attach(t.Context(), target, Options{}); c != nil || time.Since(began) > 2*masterProof {
		t.Errorf("a dead line: %v after %v", c, time.Since(began))
	}
}
