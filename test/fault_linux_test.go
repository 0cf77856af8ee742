package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// A taken port is not waited for: another is used, and said. A tab that is left
// at a port which others have, or may have, is named.
func TestL1_B8_PortTaken(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	first := open(t, l, "gpu1")
	l.Must("close", "gpu1")
	taken, err := l.Laptop.Listen("tcp", "127.0.0.1:8890")
	if err != nil {
		t.Fatal(err)
	}
	r := l.Must("open", "--json", "--no-browser", "gpu1")
	second := parseOpened(t, r)
	if first.Port != 8890 || second.Port == 8890 || !strings.Contains(r.Stderr, "8890 is taken") {
		t.Errorf("ports %d, %d\n%s", first.Port, second.Port, r.Stderr)
	}
	if !strings.Contains(r.Stderr, "a tab still open at 127.0.0.1:8890 speaks to that program") {
		t.Errorf("the old tab is not warned of:\n%s", r.Stderr)
	}
	works(t, l, second)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	newPage(t, l, second.Port, second.Token).run(ctx, "print(1)")
	if closed := l.Must("close", "gpu1"); !strings.Contains(closed.Stderr, fmt.Sprintf("close the tab at 127.0.0.1:%d", second.Port)) {
		t.Errorf("the tab is not named:\n%s", closed.Stderr)
	}
	fails(t, l.Run("open", "--no-browser", "--port", "8890", "gpu1"), 1, "8890", "taken")
	taken.Close()
}

// A killed holder leaves nothing in the way of the next, which has the same
// port.
func TestL5_KilledHolder(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	first := open(t, l, "gpu1")
	stopped(t, l, first)
	if n := l.Laptop.Kill("nbremote holder", syscall.SIGKILL); n != 1 {
		t.Fatalf("%d holders", n)
	}
	second := open(t, l, "gpu1")
	if second.Port != first.Port || second.Token != first.Token || !second.Reused || second.HolderPID == first.HolderPID {
		t.Errorf("second %+v, first %+v", second, first)
	}
	works(t, l, second)
}

// stopped has the holder of o stopped for a while: whatever asks it says so
// soon, with its pid and what to do, and nothing is the worse for it.
func stopped(t *testing.T, l *lab.Lab, o opened) {
	t.Helper()
	l.Laptop.Kill("nbremote holder", syscall.SIGSTOP)
	defer works(t, l, o)
	defer l.Laptop.Kill("nbremote holder", syscall.SIGCONT)
	says := fmt.Sprintf("the background process that holds the line (pid %d) does not answer", o.HolderPID)
	try := fmt.Sprintf("kill -CONT %d, if it was stopped; kill -9 %[1]d ends it", o.HolderPID)
	const soon = 8 * time.Second // of 10 that it would wait for any other answer
	var jobs []*lab.Job
	tries := [][]string{{"ls"}, {"status"}, {"status", "gpu1"}, {"close", "gpu1"}, {"close", "--all"}, {"close", strconv.Itoa(o.Port)}, {"url", "gpu1"}}
	for _, args := range tries {
		jobs = append(jobs, l.Start(args...))
	}
	for i, args := range tries {
		r := jobs[i].Wait()
		if all := r.Stdout + r.Stderr; !strings.Contains(all, "gpu1") || !strings.Contains(all, says) || !strings.Contains(all, try) || r.Took > soon {
			t.Errorf("%v, in %v:\n%s", args, r.Took, all)
		}
		if want := map[bool]int{true: 0, false: 9}[i < 2]; r.Exit != want {
			t.Errorf("%v: exit %d, want %d", args, r.Exit, want)
		}
	}
}

// Pipes, substitutions and closed descriptors: it returns, and says one line.
func TestL6_Pipes(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	open(t, l, "gpu1")
	for script, want := range map[string]string{
		`u=$(nbremote open gpu1); echo "got $u"`:   "got http://127.0.0.1:8890/lab?token=",
		`nbremote open gpu1 | cat`:                 "http://127.0.0.1:8890/lab?token=",
		`nbremote open gpu1 2>/dev/null | head -1`: "http://127.0.0.1:8890/lab?token=",
		`nbremote open gpu1 >&-; echo "exit $?"`:   "exit 0",
		`nbremote open gpu1 <&- 2>&-`:              "http://127.0.0.1:8890/lab?token=",
		`nbremote open gpu1 | true; echo on`:       "on",
		`TERM=dumb COLUMNS=20 nbremote ls`:         "gpu1/main",
		`NO_COLOR=1 nbremote ls --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["session"])'`: "main",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := l.Laptop.As(ctx, lab.Me, "/bin/sh", "-c", script)
		cmd.Env = append(cmd.Env, "BROWSER=lab-browser")
		out, err := output(cmd)
		cancel()
		if !strings.Contains(out, want) || strings.Contains(out, "panic") {
			t.Errorf("%s: %q, %v", script, out, err)
		}
	}
	outputFull(t, l)
}

// outputFull: a command whose output cannot be written says so, and has failed.
func outputFull(t *testing.T, l *lab.Lab) {
	t.Helper()
	var script strings.Builder
	n := 0
	for _, command := range strings.Split(strings.TrimSpace(`
--help
open --help
version
version --json
completion bash
config
config --json
ls
ls --json
ls --all
ls --all --json
status
status --json
doctor gpu1
doctor --json gpu1
url gpu1
url --json gpu1
open --no-browser gpu1
open --json --no-browser gpu1
logs gpu1
kernel list
kernel list --json
run gpu1 -- echo hello
run --detach gpu1 -- echo hello
run --json gpu1 -- echo hello
forward gpu1 6006
forward --json gpu1 6006
proxy gpu1
proxy gpu1 --json
ide vscode
ide --json vscode
stdio --print-config gpu1
clean --json gpu1
cp --json gpu1:/etc/hostname .
`), "\n") {
		n++
		fmt.Fprintf(&script, "(nbremote %s >/dev/full 2>said%d; c=$?; echo \"$c %[1]s: $(tail -n 3 said%[2]d | tr '\\n' ' ')\") &\n", command, n)
	}
	out := l.Laptop.ShAs(lab.Me, script.String()+"wait\n")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "0 ") || !strings.Contains(line, "no space left on device") {
			t.Errorf("its output was not written: %s", line)
		}
	}
	if got := strings.Count(out, "\n"); got != n {
		t.Errorf("%d of %d commands:\n%s", got, n, out)
	}
}

func output(cmd *lab.Cmd) (string, error) {
	var out lab.Text
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// A browser that hangs, fails, prints or is missing is never fatal.
func TestL7_Browsers(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	browsers := map[string]string{
		"hangs":  "sleep 600",
		"fails":  "exit 1",
		"prints": "echo noise; echo noise >&2; read x",
	}
	for name, script := range browsers {
		l.Laptop.WriteMode("root", "/usr/local/bin/"+name, "#!/bin/sh\n"+script+"\n", 0o755)
	}
	for _, browser := range []string{"hangs", "fails", "prints", "missing", ""} {
		r := l.RunEnv([]string{"BROWSER=" + browser}, "open", "--new-tab", "gpu1")
		if r.Exit != 0 || strings.Count(r.Stdout, "\n") != 1 || !strings.HasPrefix(r.Stdout, "http://127.0.0.1:") || strings.Contains(r.Stderr, "noise") {
			t.Errorf("%q: exit %d, %q\n%s", browser, r.Exit, r.Stdout, r.Stderr)
		}
		if r.Took > 45*time.Second {
			t.Errorf("%q: took %v", browser, r.Took)
		}
	}
	// None was sent there, so none is said to have been.
	if r := l.RunEnv([]string{"BROWSER=fails"}, "open", "gpu1"); !strings.Contains(r.Stderr, "no browser here (fails: exit status 1)") {
		t.Errorf("again, after one that failed:\n%s", r.Stderr)
	}
}

// It runs where nothing can be written.
func TestL8_ReadOnlyHome(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Laptop.Sh("rm -rf /home/me/.local /home/me/.config; chown root:root /home/me; chmod 555 /home/me")
	r := l.Run("open", "--json", "--no-browser", "gpu1")
	if r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	works(t, l, parseOpened(t, r))
}

// The local port is 127.0.0.1 alone, and its owner's alone.
func TestB1_PortIsLoopbackAndMine(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	o := open(t, l, "gpu1")
	listening := l.Laptop.Sh("ss -ltnH | awk '{print $4}'")
	if strings.TrimSpace(listening) != "127.0.0.1:8890" {
		t.Errorf("listening: %q", listening)
	}
	works(t, l, o)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := l.Laptop.Dial(ctx, 65534, "tcp", "127.0.0.1:8890")
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /api HTTP/1.1\r\nHost: 127.0.0.1:8890\r\n\r\n")
	if answer, err := io.ReadAll(c); len(answer) > 0 || os.IsTimeout(err) {
		t.Errorf("another user was answered: %q, %v", answer, err)
	}
}

// Somebody on [::1] at the same port gets nothing.
func TestB2_SamePortOnIPv6(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Laptop.Sh("sysctl -qw net.ipv6.conf.lo.disable_ipv6=0 2>/dev/null || :")
	other, err := l.Laptop.Listen("tcp6", "[::1]:8890")
	if err != nil {
		lab.Missing(t, "IPv6 on loopback: "+err.Error())
	}
	defer other.Close()
	got := make(chan net.Conn, 16)
	go func() {
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			got <- c
		}
	}()
	o := open(t, l, "gpu1")
	l.Must("open", "--new-tab", "gpu1")
	if url := l.NextOpened(0); !strings.HasPrefix(url, "http://127.0.0.1:8890/") {
		t.Errorf("the browser got %s", url)
	}
	works(t, l, o)
	if len(got) != 0 {
		t.Error("the other listener was connected to")
	}
}
