//go:build unix

package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const patience = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func start(t *testing.T, s *Server) (*Server, ssh.Signer) {
	t.Helper()
	key, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s.AuthorizedKeys = append(s.AuthorizedKeys, key.PublicKey())
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, key
}

func dial(t *testing.T, s *Server, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	c, err := ssh.Dial("tcp", s.Address(), &ssh.ClientConfig{
		User: "ann", Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func connected(t *testing.T, s *Server) (*Server, *ssh.Client) {
	t.Helper()
	s, key := start(t, s)
	c, err := dial(t, s, ssh.PublicKeys(key))
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func newSession(t *testing.T, c *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExec(t *testing.T) {
	dir := t.TempDir()
	_, c := connected(t, &Server{Dir: dir, Env: []string{"HOME=/h", "PATH=" + os.Getenv("PATH")}})
	s := newSession(t, c)
	if err := s.Setenv("LC_TEST", "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.Setenv("LD_PRELOAD", "x"); err == nil {
		t.Error("LD_PRELOAD was accepted")
	}
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader("in"), &out, &errs
	err := s.Run(`cat; echo ":$HOME:$LC_TEST:$PWD"; echo oops >&2; exit 7`)
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("ended with %v", err)
	}
	if want := "in:/h:x:" + dir + "\n"; out.String() != want {
		t.Errorf("out %q, want %q", out.String(), want)
	}
	if errs.String() != "oops\n" {
		t.Errorf("stderr %q", errs.String())
	}
}

func TestExecBigBothWays(t *testing.T) {
	_, c := connected(t, &Server{})
	s := newSession(t, c)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	s.Stdin = bytes.NewReader(want)
	if got, err := s.Output("cat"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, %v", len(got), len(want), err)
	}
}

// A command that does not read its input must not hold up the channel.
func TestExecIgnoresInput(t *testing.T) {
	_, c := connected(t, &Server{})
	s := newSession(t, c)
	s.Stdin = bytes.NewReader(make([]byte, 8<<20))
	if got, err := s.Output("exec <&-; echo ok"); string(got) != "ok\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSignal(t *testing.T) {
	_, c := connected(t, &Server{})
	s := newSession(t, c)
	if err := s.Start("exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("ended with %v", err)
	}
}

func TestPty(t *testing.T) {
	server, c := connected(t, &Server{})
	s := newSession(t, c)
	if err := s.RequestPty("xterm-test", 33, 77, nil); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hup")
	in, _ := s.StdinPipe()
	var out lockedBuffer
	s.Stdout = &out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(in, "while [ \"$(stty size)\" = '33 77' ]; do sleep 0.01; done; stty size\n")
	if err := s.WindowChange(44, 88); err != nil {
		t.Fatal(err)
	}
	trap := `echo $TERM; tty; sh -c 'trap "echo hup > %s; exit" HUP; echo $((41+1))ready; while :; do sleep 0.01; done'`
	fmt.Fprintf(in, trap+"\n", file)
	eventually(t, "the shell is ready", func() bool { return strings.Contains(out.String(), "42ready") })
	if got := out.String(); !strings.Contains(got, "44 88") || !strings.Contains(got, "xterm-test") || !strings.Contains(got, "/dev/") {
		t.Errorf("terminal: %q", got)
	}
	server.CutAll()
	eventually(t, "the shell is hung up", func() bool { return fileText(file) == "hup\n" })
}

// The end of a connection closes the pipes of a command; Close kills it.
func TestCommandOutlivesItsConnection(t *testing.T) {
	server, c := connected(t, &Server{})
	dir := t.TempDir()
	s := newSession(t, c)
	if err := s.Start(`cat >/dev/null; echo $$ > ` + dir + `/pid; trap "" PIPE; exec sleep 1000`); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "the command reads an end", func() bool { return strings.HasSuffix(fileText(dir+"/pid"), "\n") })
	eventually(t, "the connection is gone", func() bool { return server.Connections() == 0 })
	pid := pidIn(t, dir+"/pid")
	if syscall.Kill(pid, 0) != nil {
		t.Fatal("the command was killed with its connection")
	}
	server.Close()
	eventually(t, "the command is killed by Close", func() bool { return syscall.Kill(pid, 0) != nil })
}

// What is left in the group of a command that has ended is killed too, what
// made a session of its own is not.
func TestCloseKillsGroups(t *testing.T) {
	server, c := connected(t, &Server{})
	dir := t.TempDir()
	s := newSession(t, c)
	script := `sleep 1000 >/dev/null 2>&1 & echo $! > DIR/in
setsid sh -c 'echo $$ > DIR/out; exec sleep 1000' >/dev/null 2>&1 </dev/null &
while [ ! -s DIR/out ]; do sleep 0.01; done`
	if err := s.Run(strings.ReplaceAll(script, "DIR", dir)); err != nil {
		t.Fatal(err)
	}
	in, out := pidIn(t, dir+"/in"), pidIn(t, dir+"/out")
	defer syscall.Kill(out, syscall.SIGKILL)
	server.Close()
	eventually(t, "the one in the group is killed", func() bool { return dead(in) })
	if dead(out) {
		t.Error("the one in a session of its own was killed")
	}
}

// dead counts a zombie nobody has waited for as dead.
func dead(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat := fileText(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(stat, ") Z ")
}

func fileText(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func pidIn(t *testing.T, path string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(fileText(path)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestNothingLeftAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	server, c := connected(t, &Server{})
	for range 3 {
		s := newSession(t, c)
		s.StdinPipe()
		if err := s.Start("sleep 1000 & sleep 1000"); err != nil {
			t.Fatal(err)
		}
	}
	server.Close()
	c.Wait()
	eventually(t, "goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+1 })
}

func TestStartEndsWithContext(t *testing.T) {
	s := &Server{}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", s.Address())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// echoAfterEnd answers with all it read, once the client has half-closed.
func echoAfterEnd(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				c.Write(append(b, "end"...))
			}()
		}
	}()
}

func TestForwardHalfClose(t *testing.T) {
	_, c := connected(t, &Server{})
	for _, network := range []string{"tcp", "unix"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		echoAfterEnd(t, l)
		f, err := c.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, "hello ")
		f.(interface{ CloseWrite() error }).CloseWrite()
		if got, err := io.ReadAll(f); string(got) != "hello end" {
			t.Errorf("%s: %q, %v", network, got, err)
		}
		f.Close()
	}
	if _, err := c.Dial("tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("refused: %v", err)
	}
}

type lockedBuffer struct {
	gate gate
	b    bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	return l.b.String()
}
