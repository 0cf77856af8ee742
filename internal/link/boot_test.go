//go:build unix

package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbremote/test/lab"
)

// session is what sshd makes of a command: a process with two pipes.
type session struct {
	io.WriteCloser
	io.Reader
	cmd *exec.Cmd
}

func (s session) Close() error {
	s.WriteCloser.Close()
	s.cmd.Process.Kill()
	return s.cmd.Wait()
}

func startSession(argv ...string) (session, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return session{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return session{}, err
	}
	return session{in, out, cmd}, cmd.Start()
}

// host is a directory for a relay that ends soon after it is of no more use.
func host(t *testing.T) Host {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbh")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o700)
	t.Cleanup(func() {
		eventually(t, "the relay ends", func() bool {
			left, _ := filepath.Glob(dir + "/*.sock")
			return len(left) == 0
		})
		os.RemoveAll(dir)
	})
	return Host{Dir: dir, Spool: dir, Python: python(t), Options: []string{"idle=0.3"}}
}

func (h Host) carrier(argv ...string) func(context.Context) (io.ReadWriteCloser, error) {
	return func(context.Context) (io.ReadWriteCloser, error) {
		s, err := startSession(argv...)
		if err != nil {
			return nil, err
		}
		return h.Open(s), nil
	}
}

// Some shells read ahead what the next program should read, others do not.
func TestBoot_Shells(t *testing.T) {
	address := serve(t, echo)
	for _, shell := range []string{"dash -s", "bash -s", "bash --posix -s", "busybox ash -s", "ksh -s", "zsh -s", "mksh -s", "yash -s"} {
		t.Run(shell, func(t *testing.T) {
			argv := strings.Fields(shell)
			lab.Needs(t, argv[0])
			h := host(t)
			for _, before := range []string{"", "head -c 20000 /dev/zero | tr '\\0' n; printf 'link 0\\nfail 0 x\\n'; read a; read b; exec 3<&0; "} {
				rc := []string{"/bin/sh", "-c", before + "exec " + shell}
				l := newLink(t, Config{Carrier: h.carrier(rc...)})
				s := dial(t, l, "unix", address)
				go func() { io.Copy(s, noise(2, 300_000)); s.CloseWrite() }()
				if got, want := sum(t, s), sum(t, noise(2, 300_000)); got != want {
					t.Errorf("%q: %s, want %s", before, got, want)
				}
				l.Close()
			}
		})
	}
}

// failure is why a host gives no relay.
func failure(t *testing.T, h Host, argv ...string) error {
	t.Helper()
	s, err := startSession(argv...)
	if err != nil {
		t.Fatal(err)
	}
	c := h.Open(s)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = exchange(ctx, c, hello{create: true, epoch: 1}.bytes(), welcomeSize)
	return err
}

func TestBoot_Failures(t *testing.T) {
	good := host(t)
	open, none, old := good, good, good
	open.Dir = t.TempDir()
	os.Chmod(open.Dir, 0o755)
	none.Python = "/no/such/python3"
	old.Python = "/bin/cat"
	gone := good
	gone.Dir = "/no/such/dir"
	for _, c := range []struct {
		host Host
		argv []string
		said string
	}{
		{open, []string{"sh", "-s"}, "its directory is not ours alone"},
		{none, []string{"sh", "-s"}, "no python3"},
		{gone, []string{"sh", "-s"}, "No such file"},
		{good, []string{"cat"}, "sends back what it is sent"},
		{good, []string{"sh", "-c", "echo go away; exit 1"}, "go away"},
		{good, []string{"true"}, "nothing"},
		{old, []string{"sh", "-s"}, "nothing"},
	} {
		err := failure(t, c.host, c.argv...)
		if err == nil || !strings.Contains(err.Error(), c.said) && !errors.Is(err, os.ErrClosed) && !strings.Contains(err.Error(), "broken pipe") {
			t.Errorf("%v: %v, want %q", c.argv, err, c.said)
		}
	}
}

// Debian has no Python that is too old: this one only says so of itself, and is
// not the judge of whether attach.py can be parsed by one.
const fakedOldPython = `#!/bin/sh
text=$4
shift 4
exec %s -I -S -c "import sys; sys.version_info = (3, 7, 9); sys.version = '3.7.9 (faked)'
$text" "$@"
`

// The real ones are tried where there are any, the faked one everywhere.
func TestBoot_OldPythonFakedOrReal(t *testing.T) {
	faked := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(faked, fmt.Appendf(nil, fakedOldPython, quote(python(t))), 0o755); err != nil {
		t.Fatal(err)
	}
	old, _ := filepath.Glob("/usr/bin/python3.[67]")
	managed, _ := filepath.Glob(os.Getenv("HOME") + "/.pyenv/versions/3.[67].*/bin/python3")
	for _, path := range append(append(old, managed...), faked) {
		t.Run(path, func(t *testing.T) {
			h := host(t)
			h.Python = path
			if err := failure(t, h, "sh", "-s"); err == nil || !strings.Contains(err.Error(), "older than 3.8") {
				t.Errorf("%v", err)
			}
		})
	}
}

// The relay outlives the session that started it; with its streams.
func TestBoot_OutlivesSessions(t *testing.T) {
	h := host(t)
	var current atomic.Pointer[session]
	l := newLink(t, Config{Clock: faster(20), Carrier: func(context.Context) (io.ReadWriteCloser, error) {
		s, err := startSession("sh", "-s")
		current.Store(&s)
		return h.Open(s), err
	}})
	s := dial(t, l, "unix", serve(t, echo))
	for i := range 5 {
		s.Write([]byte{byte(i)})
		b := make([]byte, 1)
		if _, err := io.ReadFull(s, b); err != nil || b[0] != byte(i) {
			t.Fatalf("after %d sessions: %v, %v", i, b, err)
		}
		if i < 4 { // whoever closes a link with no carrier leaves the relay to the next holder
			current.Load().cmd.Process.Kill()
		}
	}
	if files, _ := filepath.Glob(h.Dir + "/relay-*.py"); len(files) != 1 {
		t.Errorf("installed: %v", files)
	}
}

// A disk that takes nothing: the relay's program is given on stdin.
func TestR7_NoRoomForTheProgram(t *testing.T) {
	h := host(t)
	l := newLink(t, Config{Carrier: h.carrier("sh", "-c", "ulimit -f 0; exec sh -s")})
	s := dial(t, l, "unix", serve(t, echo))
	s.Write([]byte("x"))
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(h.Dir + "/relay-*.py*"); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

// Many sessions at once start one relay, and many links live in it.
func TestBoot_ManyAtOnce(t *testing.T) {
	h := host(t)
	address := serve(t, echo)
	var wg sync.WaitGroup
	for range 12 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			l := newLink(t, Config{Carrier: h.carrier("sh", "-s")})
			c, err := l.Dial(context10(t), "unix", address)
			if err != nil {
				t.Error(err)
				return
			}
			c.Write([]byte("x"))
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if socks, _ := filepath.Glob(h.Dir + "/*.sock"); len(socks) != 1 {
		t.Errorf("%v", socks)
	}
}

// The relay is as small as can be: it was compiled by another.
func TestBoot_IdleMemory(t *testing.T) {
	h := host(t)
	h.Before = []string{"env", "SEEN=by the relay"}
	l := newLink(t, Config{Carrier: h.carrier("sh", "-s")})
	ping(t, dial(t, l, "unix", serve(t, echo)))
	if seen := firstLine(t, dial(t, l, "exec", "echo $SEEN; env | grep -c NBR_")); seen != "by the relay\n0\n" {
		t.Errorf("%q", seen)
	}
	pid := strings.TrimSpace(firstLine(t, dial(t, l, "exec", "echo $PPID")))
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "14 MB at most", func() bool { return procRSS(t, n) <= 14e6 })
	t.Logf("%.1f MB", float64(procRSS(t, n))/1e6)
}

func firstLine(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The attach program of a carrier that was let go ends by itself, and so does
// its session.
func TestBoot_AttachLeaves(t *testing.T) {
	h := host(t)
	all := make(chan session, 100)
	l := newLink(t, Config{Clock: faster(20), Carrier: func(context.Context) (io.ReadWriteCloser, error) {
		s, err := startSession("sh", "-s")
		all <- s
		return h.Open(struct {
			io.Reader
			io.WriteCloser
		}{s.Reader, s.WriteCloser}), err
	}})
	s := dial(t, l, "unix", serve(t, echo))
	ping(t, s)
	l.mu.Lock()
	c := l.carrier
	l.mu.Unlock()
	c.rwc.Close() // as sshd does when the channel is closed
	ping(t, s)
	done := make(chan error, 1)
	go func() { done <- (<-all).cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("attach stays")
	}
}
