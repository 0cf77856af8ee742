//go:build unix

package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func run(t *testing.T, l *Link, c Command) *Process {
	t.Helper()
	p, err := l.Exec(context10(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func sh(script string) Command { return Command{Argv: []string{"/bin/sh", "-c", script}} }

func TestExec_Pipes(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	p := run(t, l, sh("cat; echo done >&2; exit 7"))
	errs := make(chan string, 1)
	go func() { b, _ := io.ReadAll(p.Stderr); errs <- string(b) }()
	go func() { io.Copy(p.Stdin, noise(9, 1<<20)); p.Stdin.Close() }()
	if got, want := sum(t, p.Stdout), sum(t, noise(9, 1<<20)); got != want {
		t.Errorf("stdout: %s, want %s", got, want)
	}
	if e := <-errs; e != "done\n" {
		t.Errorf("stderr: %q", e)
	}
	var exit *ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("%v", err)
	}
	if _, err := p.Stdin.Write([]byte("x")); err == nil {
		t.Error("Write to a process that has ended")
	}
	eventually(t, "no stream is left", func() bool { return l.Status().Streams == 0 })
}

// The environment is the account's, and nothing of the relay's own.
func TestExec_Environment(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	dir := t.TempDir()
	p := run(t, l, Command{
		Argv: []string{"/bin/sh", "-c", `pwd; echo "$A/$B"; umask; trap; ls /proc/self/fd 2>/dev/null | wc -l; kill -PIPE $$; echo not reached`},
		Dir:  dir, Env: []string{"A=one", "B=a=b\xff"},
	})
	out, _ := io.ReadAll(p.Stdout)
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	lines := strings.Split(string(out), "\n")
	if len(lines) != 5 || lines[0] != dir || lines[1] != "one/a=b\xff" || lines[3] != "4" && lines[3] != "0" {
		t.Errorf("%q", out)
	}
	if want := []string{"0022", "022"}; mask == 0o022 && lines[2] != want[0] && lines[2] != want[1] {
		t.Errorf("umask %s", lines[2])
	}
	var exit *ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != "PIPE" || exit.Code != 255 {
		t.Errorf("%v", err)
	}
}

func TestExec_CannotStart(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	for _, c := range []Command{
		{Argv: []string{"/no/such/program"}}, {Argv: []string{"no-such-program-on-path"}}, {Argv: []string{"/etc/passwd"}},
		{Argv: []string{"/bin/true"}, Dir: "/no/such/dir"}, {}, {Argv: []string{"/no/such", "x"}, Pty: true},
	} {
		if p, err := l.Exec(context10(t), c); err == nil {
			t.Errorf("%v started: %v", c.Argv, p.Wait())
		}
	}
	if n := l.Status().Streams; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// lines reads from r until it has seen text.
func until(t *testing.T, r io.Reader, text string) string {
	t.Helper()
	var got bytes.Buffer
	b := make([]byte, 1)
	for !strings.Contains(got.String(), text) {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("%q, then %v", got.String(), err)
		}
		got.Write(b)
	}
	return got.String()
}

func TestExec_Pty(t *testing.T) {
	r := startRelay(t)
	var deaths atomic.Int64
	l := newLink(t, Config{Clock: faster(20), Carrier: r.mortal(&deaths, func() int64 { return 0 })})
	p := run(t, l, Command{Argv: []string{"/bin/sh"}, Env: []string{"PS1=$ ", "TERM=xterm"}, Pty: true, Rows: 33, Cols: 99})
	if p.Stderr != nil {
		t.Error("a terminal has a stderr of its own")
	}
	io.WriteString(p.Stdin, "stty size; tty; echo e''nd\n")
	if got := until(t, p.Stdout, "end\r\n"); !strings.Contains(got, "33 99\r\n") || !strings.Contains(got, "/dev/pts/") {
		t.Errorf("%q", got)
	}
	io.WriteString(p.Stdin, "trap 'echo w''inch' WINCH; echo s''et\n")
	until(t, p.Stdout, "set\r\n")
	// A cut in between is of no consequence.
	l.mu.Lock()
	c := l.carrier
	l.mu.Unlock()
	c.rwc.Close()
	p.Resize(12, 34)
	io.WriteString(p.Stdin, "stty size; echo e''nd2\n")
	if got := until(t, p.Stdout, "end2\r\n"); !strings.Contains(got, "12 34\r\n") || !strings.Contains(got, "winch") {
		t.Errorf("%q", got)
	}
	// Ctrl-C reaches what runs in front; what stays behind does not keep the end.
	io.WriteString(p.Stdin, "sh -c 'echo in''front; exec sleep 100'; echo after\n")
	until(t, p.Stdout, "infront\r\n")
	io.WriteString(p.Stdin, "\x03")
	io.WriteString(p.Stdin, "sleep 30 </dev/null & exit 5\n")
	if _, err := io.ReadAll(p.Stdout); err != nil {
		t.Errorf("%v", err)
	}
	var exit *ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Code != 5 {
		t.Errorf("%v", err)
	}
	eventually(t, "no stream is left", func() bool { return l.Status().Streams == 0 })
}

func TestExec_SignalAndClose(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	p := run(t, l, sh("echo ready; exec sleep 100"))
	until(t, p.Stdout, "ready\n")
	p.Signal("TERM")
	var exit *ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Signal != "TERM" {
		t.Errorf("%v", err)
	}
	file := t.TempDir() + "/hup"
	p = run(t, l, sh("exec 2>/dev/null; trap 'echo hup >"+file+"; exit' HUP; echo ready; while :; do sleep 0.05; done"))
	until(t, p.Stdout, "ready\n")
	p.Close()
	if err := p.Wait(); !errors.Is(err, ErrClosedProcess) {
		t.Errorf("%v", err)
	}
	eventually(t, "the process is hung up", func() bool { _, err := os.Stat(file); return err == nil })
}

func TestDial_Exec(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	c, err := l.Dial(context10(t), "exec", "echo noise >&2; tr a-z A-Z; head -c 3000000 /dev/zero >&2")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "hello")
	c.(*Stream).CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b) != "HELLO" {
		t.Errorf("%q, %v", b, err)
	}
}

// 200 MB are printed while there is no line: the relay keeps them, in bounded
// memory, and gives them in order; a small request does not wait for them.
func TestSpool_PrintedIntoTheCut(t *testing.T) {
	size := 200 << 20
	if soak() {
		size = 1 << 30
	}
	r := startRelay(t)
	idle := r.rss()
	var down atomic.Bool
	l := newLink(t, Config{Carrier: func(context.Context) (io.ReadWriteCloser, error) {
		if down.Load() {
			return nil, errors.New("no line")
		}
		return r.cable()
	}})
	echoes := dial(t, l, "unix", serve(t, echo))
	flag := t.TempDir() + "/printed"
	p := run(t, l, sh("read x; echo >"+flag+".begun; seq -f '%015.0f' "+strconv.Itoa(size/16)+"; echo >"+flag))
	down.Store(true)
	io.WriteString(p.Stdin, "go\n")
	l.mu.Lock()
	c := l.carrier
	l.mu.Unlock()
	eventually(t, "it prints", func() bool { _, err := os.Stat(flag + ".begun"); return err == nil })
	c.rwc.Close()
	began := time.Now()
	for _, err := os.Stat(flag); err != nil; _, err = os.Stat(flag) {
		if time.Sleep(10 * time.Millisecond); time.Since(began) > time.Minute {
			t.Fatal("what prints is held back in the cut")
		}
	}
	full := r.rss()
	down.Store(false)
	l.Kick()
	eventually(t, "the line is up", func() bool { return l.Status().State == Up })
	mended := time.Now()
	echoes.Write([]byte("x"))
	if _, err := io.ReadFull(echoes, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	answered := time.Since(mended)
	if answered > time.Second {
		t.Errorf("a small request took %v at the mend", answered)
	}
	inOrder(t, p.Stdout, size/16)
	t.Logf("relay: idle %.1f MiB, with %d MiB waiting %.1f; answered after %v", mib(idle), size>>20, mib(full), answered)
	if full > 24<<20 {
		t.Errorf("the relay had %.1f MiB", mib(full))
	}
}

func mib(n int) float64 { return float64(n) / (1 << 20) }

// inOrder reads the lines of seq -f %015.0f.
func inOrder(t *testing.T, r io.Reader, n int) {
	t.Helper()
	b := make([]byte, 16<<12)
	for at := 1; at <= n; {
		m, err := io.ReadFull(r, b[:min(len(b), 16*(n-at+1))])
		if err != nil {
			t.Fatalf("after %d of %d lines: %v", at-1, n, err)
		}
		for line := b[:m]; len(line) > 0; line = line[16:] {
			if got := number(line[:15]); got != at {
				t.Fatalf("line %d is %q", at, line[:16])
			}
			at++
		}
	}
	if m, err := r.Read(b); err != io.EOF {
		t.Errorf("after the end: %q, %v", b[:m], err)
	}
}

func number(b []byte) (n int) {
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}
