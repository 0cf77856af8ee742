package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// scriptLog is the log of a script on the host.
func scriptLog(host *lab.Machine, name string) string {
	return strings.TrimSpace(host.ShAs(lab.Me, "ls ~/.local/share/nbremote/sessions/*/"+name+"/log"))
}

func ranScript(t *testing.T, l *lab.Lab, exit int, out, err string, args ...string) lab.Result {
	t.Helper()
	r := l.Run(args...)
	if r.Exit != exit || r.Stdout != out || r.Stderr != err {
		t.Errorf("nbremote %q: exit %d, want %d; %q, want %q; stderr %q, want %q", args, r.Exit, exit, r.Stdout, out, r.Stderr, err)
	}
	return r
}

// The exit code, stdout and stderr are the script's own; it can be left, waited
// for, shown and ended by its name.
func TestR18_F8_ScriptsOnAHost(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "mkdir proj; echo 'import sys; print(sys.argv[1:], file=sys.stderr); sys.exit(7)' >proj/train.py")
	l.Must("run", "gpu1", "--", "true")
	for _, c := range []struct {
		script   string
		exit     int
		out, err string
	}{
		{"exit 0", 0, "", ""}, {"printf out; exit 1", 1, "out", ""}, {"printf '\\377\\0a'; printf err >&2; exit 77", 77, "\xff\x00a", "err"},
		{"exit 255", 255, "", ""}, {"kill -KILL $$", 137, "", ""}, {"kill -TERM $$", 143, "", ""},
	} {
		ranScript(t, l, c.exit, c.out, c.err, "run", "gpu1", "--", "sh", "-c", c.script)
	}
	ranScript(t, l, 7, "", `['a b', "it's", '$HOME', '\n', '\udcff']`+"\n", "run", "gpu1:proj", "--", "python3", "train.py", "a b", "it's", "$HOME", "\n", "\xff")

	ranScript(t, l, 0, "gpu1/sweep\n", "", "run", "-d", "--name", "sweep", "gpu1", "--", "sh", "-c", "echo begun; sleep 300; echo not reached")
	fails(t, l.Run("run", "--name", "sweep", "gpu1", "--", "true"), 255, "the name sweep is taken", "logs -f gpu1/sweep")
	lab.Wait(t, 10*time.Second, "its output", func() bool { return l.Must("logs", "gpu1/sweep").Stdout == "begun\n" })
	if windows := host.ShAs(lab.Me, "tmux -S $(ls -d /dev/shm/nbr.*)/tmux.sock list-sessions -F '#{session_name}'"); !strings.Contains("\n"+windows, "\nsweep\n") {
		t.Errorf("tmux has %q", windows)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gpu1/sweep  running ") || !strings.Contains(r.Stdout, "nbremote logs gpu1/sweep") {
		t.Errorf("ls: %s", r.Stdout)
	}
	waits := l.Start("wait", "gpu1/sweep")
	follows := l.Start("logs", "-f", "gpu1/sweep")
	follows.Expect("begun\n", 10*time.Second)
	fails(t, l.Run("stop", "gpu1/sweep"), 2, "-y ends it")
	l.Must("stop", "-y", "gpu1/sweep")
	if r := waits.Wait(); r.Exit != 143 {
		t.Errorf("wait: exit %d, %s", r.Exit, r.Stderr)
	}
	if r := follows.Wait(); r.Exit != 0 || r.Stdout != "begun\n" {
		t.Errorf("logs -f: exit %d, %q, %s", r.Exit, r.Stdout, r.Stderr)
	}
	ranScript(t, l, 143, "", "", "wait", "gpu1/sweep")
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gpu1/sweep  killed by TERM, ") {
		t.Errorf("ls: %s", r.Stdout)
	}
	if r := l.Must("status", "gpu1"); !strings.Contains(r.Stdout, "sweep") || !strings.Contains(r.Stdout, "killed by TERM, ") {
		t.Errorf("status: %s", r.Stdout)
	}
	ranScript(t, l, 0, "new\n", "", "run", "--name", "sweep", "gpu1", "--", "echo", "new")
	if old := host.ShAs(lab.Me, "cat "+scriptLog(host, "sweep")+".1"); old != "begun\n" {
		t.Errorf("log.1: %q", old)
	}

	notices := func() string { return l.Laptop.ReadFile("/home/me/notices") }
	l.Laptop.WriteMode("root", "/usr/local/bin/notify-send", "#!/bin/sh\necho \"$1: $2\" >>/home/me/notices\n", 0o755)
	ranScript(t, l, 3, "", "", "run", "--notify", "--name", "seen", "gpu1", "--", "sh", "-c", "exit 3")
	lab.Wait(t, 10*time.Second, "a notice", func() bool { return strings.Contains(notices(), "gpu1/seen: exit 3: sh -c") })
	l.Must("run", "-d", "--notify", "--name", "unseen", "gpu1", "--", "sleep", "0.5")
	l.Must("wait", "gpu1/unseen")
	l.Must("status", "gpu1") // else within a minute
	lab.Wait(t, 10*time.Second, "a notice", func() bool { return strings.Contains(notices(), "gpu1/unseen: exit 0: sleep 0.5\n") })
	if n := strings.Count(notices(), "\n"); n != 2 {
		t.Errorf("%d notices", n)
	}

	l.Laptop.WriteFile(lab.Me, "/home/me/only.py", "")
	fails(t, l.Run("run", "gpu1:proj", "--", "python3", "only.py"), 255, "run on gpu1: no ~/proj/only.py there, but one here", "nbremote cp only.py gpu1:proj/")
	fails(t, l.Run("run", "gpu1:nowhere", "--", "true"), 255, "~/nowhere: there is none")
	fails(t, l.Run("wait", "gpu1/nothing"), 255, "nothing")
	l.Must("run", "-d", "--name", "long", "gpu1", "--", "sleep", "300")
	if r := l.Must("close", "gpu1"); !strings.Contains(r.Stderr, "1 script runs on") {
		t.Errorf("close: %s", r.Stderr)
	}
	if r := l.Must("ls", "--all"); !strings.Contains(r.Stdout, "gpu1/long") || !strings.Contains(r.Stdout, "sleep 300") || !strings.Contains(r.Stdout, "nbremote logs gpu1/long") {
		t.Errorf("ls --all: %s", r.Stdout)
	}
	l.Must("stop", "-y", "gpu1/long")
	fails(t, l.Run("run", "gpu1"), 255, "no command after --")
	fails(t, l.Run("run", "--bogus", "gpu1"), 255, "--bogus")
}

// Ctrl-C asks at a terminal, and elsewhere leaves the script running.
func TestRun_CtrlC(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	count := `n=0; while :; do n=$((n+1)); echo "line $n"; sleep 0.2; done`
	j := l.Start("run", "--name", "one", "gpu1", "--", "sh", "-c", count)
	j.Expect("line 2\n", 30*time.Second)
	j.Signal(syscall.SIGINT)
	if r := j.Wait(); r.Exit != 130 || !strings.Contains(r.Stderr, "gpu1/one runs on") {
		t.Errorf("exit %d, %s", r.Exit, r.Stderr)
	}
	if len(host.Running("line $n")) == 0 {
		t.Error("it does not run on")
	}

	x := l.Pty("run", "--name", "two", "gpu1", "--", "sh", "-c", count)
	x.Expect("line 2\r\n", 30*time.Second)
	x.Type("\x03")
	x.Expect("[Enter] leave it running   [s] stop it   [c] go on watching", 10*time.Second)
	x.Type("c\r")
	x.Expect("line 4\r\n", 30*time.Second)
	x.Type("\x03")
	x.Expect("[s] stop it", 10*time.Second)
	x.Type("\r")
	if r := x.Wait(); r.Exit != 130 || !strings.Contains(x.Screen(), "gpu1/two runs on") {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	x = l.Pty("run", "--name", "three", "gpu1", "--", "sh", "-c", `printf '\033[2J'; `+count)
	x.Expect(`\x1b[2J`, 30*time.Second) // shown, not obeyed
	x.Expect("line 2\r\n", 30*time.Second)
	x.Type("\x03")
	x.Expect("[s] stop it", 10*time.Second)
	x.Type("s\r")
	if r := x.Wait(); r.Exit != 143 {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	x = l.Pty("stop", "gpu1/two")
	x.Expect("Stop it? [y/N]", 30*time.Second)
	x.Type("y\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	l.Must("stop", "-y", "--all", "gpu1")
	if left := len(host.Running("line $n")); left != 0 {
		t.Errorf("%d run", left)
	}
}

// A terminal of its own: sizes, keys and signals go through; it can be left and
// come back to, and its log has all that it showed.
func TestRun_AtATerminal(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	env := []string{"TERM=xterm-256color"}
	script := `
import os, signal, sys
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
os.system("tty")
for line in sys.stdin:
    print("got <%s>" % line.strip(), flush=True)
    if line == "end\n":
        sys.exit(9)
`
	x := l.PtyEnv(env, "run", "--tty", "--name", "ask", "gpu1", "--", "python3", "-c", script)
	x.Expect("leaves it running", 30*time.Second)
	x.Expect("/dev/pts/", 10*time.Second)
	x.Type("hello\r")
	x.Expect("got <hello>", 10*time.Second)
	x.Type("\x03")
	x.Expect("interrupted", 10*time.Second)
	x.Type("\x1c")
	if r := x.Wait(); r.Exit != 0 || !strings.Contains(x.Screen(), "gpu1/ask runs on") {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	x = l.PtyEnv(env, "attach", "gpu1/ask")
	x.Expect("got <hello>", 30*time.Second)
	x.Type("end\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	ranScript(t, l, 9, "", "", "wait", "gpu1/ask")
	if log := l.Must("logs", "gpu1/ask").Stdout; !strings.Contains(log, "got <hello>\r\n") || !strings.Contains(log, "got <end>\r\n") {
		t.Errorf("log: %q", log)
	}
	x = l.PtyEnv(env, "run", "--tty", "gpu1", "--", "sh", "-c", "until [ \"$(stty size)\" = '40 100' ]; do sleep 0.1; done; stty size; exit 3")
	x.Expect("leaves it running", 30*time.Second)
	if r := x.Wait(); r.Exit != 3 || !strings.Contains(x.Screen(), "40 100\r\n") {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
}

// printsBytes is a script that prints so many bytes of no pattern on each of stdout
// and stderr, in pieces, and leaves what it printed in files.
const printsBytes = `
import os, random, sys, time
size, pause = int(sys.argv[1]), float(sys.argv[2])
r, files = random.Random(size), [open("want%d" % n, "wb") for n in (1, 2)]
for n in range(0, size, 20000):
    for to in (1, 2):
        data = r.randbytes(20000)
        files[to - 1].write(data)
        while data:
            data = data[os.write(to, data):]
    time.sleep(pause)
os.write(1, b"end, no newline")
files[0].write(b"end, no newline")
`

func sameBytes(t *testing.T, host *lab.Machine, r lab.Result) {
	t.Helper()
	for i, got := range []string{r.Stdout, r.Stderr} {
		want, err := os.ReadFile(host.Path(fmt.Sprintf("/home/me/want%d", i+1)))
		if err != nil || len(want) == 0 || sha256.Sum256([]byte(got)) != sha256.Sum256(want) {
			t.Errorf("stream %d: %d bytes of %d, %v", i+1, len(got), len(want), err)
		}
	}
	if r.Exit != 0 {
		t.Errorf("exit %d", r.Exit)
	}
}

// cutOften hangs the line up n times while the job's output grows.
func cutOften(t *testing.T, host *lab.Machine, j *lab.Job, n int) {
	t.Helper()
	for range n {
		before := len(j.Stdout())
		lab.Wait(t, time.Minute, "more output", func() bool { return len(j.Stdout()) > before || j.Ended() })
		if j.Ended() {
			t.Fatalf("it ended before it was cut so often: %s", j.Stderr()[max(0, len(j.Stderr())-300):])
		}
		host.HangUp()
	}
}

// Twenty cuts while its output is followed: every byte comes once, as the
// script printed it. ssh with the same script has nothing to go on from.
func TestR18_ByteEqualOverCuts(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.WriteFile(lab.Me, "/home/me/prints.py", printsBytes)
	l.Must("run", "gpu1", "--", "true")
	j := l.Start("run", "gpu1", "--", "python3", "prints.py", "40000000", "0.01")
	cutOften(t, host, j, 20)
	sameBytes(t, host, j.Wait())

	// The twin.
	done := make(chan lab.Result, 1)
	go func() { done <- l.SSH("gpu1", "exec python3 prints.py 40000000 0.01") }()
	lab.Wait(t, 30*time.Second, "the twin to begin", func() bool { return len(host.Running("prints.py")) > 0 })
	host.HangUp()
	if r := <-done; r.Exit == 0 || strings.HasSuffix(r.Stdout, "end, no newline") {
		t.Error("ssh lost nothing: the cut was none")
	}
}

// Without Python there is no relay, and stdout and stderr are one, which is
// said; the script is followed on where the connection broke.
func TestRun_FollowedWithoutTheRelay(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.Hide("python3")
	j := l.Start("run", "gpu1", "--", "sh", "-c", `echo err >&2; n=0; while [ $n -lt 4000 ]; do n=$((n+1)); echo "line $n"; [ $((n % 20)) -ne 0 ] || sleep 0.05; done; exit 6`)
	j.Expect("line 20\n", 30*time.Second)
	cutOften(t, host, j, 3)
	r := j.Wait()
	want := bytes.NewBufferString("err\n")
	for n := range 4000 {
		fmt.Fprintf(want, "line %d\n", n+1)
	}
	if !strings.Contains(r.Stderr, "stdout and stderr are one") {
		t.Errorf("it says %q", r.Stderr)
	}
	fails(t, l.Run("run", "--tty", "gpu1", "--", "true"), 255, "needs Python 3")
	if r.Exit != 6 || r.Stdout != want.String() {
		t.Errorf("exit %d, %d bytes of %d\n%s", r.Exit, len(r.Stdout), want.Len(), r.Stderr)
	}
}

// The relay is killed while it carries the output, twice: what comes is whole.
func TestRun_RelayKilled(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	j := l.Start("run", "gpu1", "--", "sh", "-c", `n=0; until [ -e go ]; do n=$((n+1)); echo "line $n"; sleep 0.02; done; exit 6`)
	for _, line := range []string{"line 20\n", "line 120\n"} {
		j.Expect(line, time.Minute)
		if host.Kill("serve relay-", syscall.SIGKILL) == 0 {
			t.Error("no relay runs")
		}
	}
	j.Expect("line 220\n", time.Minute)
	host.WriteFile(lab.Me, "/home/me/go", "")
	if r := j.Wait(); r.Exit != 6 || r.Stdout != host.ReadFile(scriptLog(host, "sh")) {
		t.Errorf("exit %d, %d bytes\n%s", r.Exit, len(r.Stdout), r.Stderr)
	}
}

// 200 MB come byte by byte.
func TestR18_MuchOutput(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Program: asInstalled(t)})
	muchOutput(t, l, 200<<20)
}

func muchOutput(t *testing.T, l *lab.Lab, size int) {
	host := l.Host("gpu1")
	sum := host.ShAs(lab.Me, fmt.Sprintf("head -c %d /dev/zero | tr '\\0' 'x' | sha256sum | head -c 64", size))
	began := time.Now()
	out := l.Laptop.ShAs(lab.Me, fmt.Sprintf("nbremote run gpu1 -- sh -c \"head -c %d /dev/zero | tr '\\\\0' x\" | sha256sum | head -c 64", size))
	took := time.Since(began)
	t.Logf("%d MB in %v", size>>20, took.Round(time.Millisecond))
	if out != sum {
		t.Errorf("%s, want %s", out, sum)
	}
	if n := strings.TrimSpace(host.ShAs(lab.Me, "wc -c <"+scriptLog(host, "sh"))); n != strconv.Itoa(size) {
		t.Errorf("the log has %s bytes", n)
	}
}

// L13: no room for the log. The script waits, that is said, and when there is
// room nothing is missing.
func TestL13_NoRoomForTheLog(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "mkdir -p .local/share/nbremote")
	host.Small("/home/me/.local/share/nbremote", "2m")
	host.WriteFile(lab.Me, "/home/me/prints.py", printsBytes)
	j := l.Start("run", "gpu1", "--", "python3", "prints.py", "2000000", "0")
	j.Expect("is held back: its log on gpu1 cannot be written: No space left on device", 30*time.Second)
	if len(host.Running("prints.py")) == 0 {
		t.Error("it does not wait")
	}
	host.Sh("mount -o remount,size=20m /home/me/.local/share/nbremote")
	r := j.Wait()
	for _, line := range strings.SplitAfter(r.Stderr, "\n") {
		if strings.HasPrefix(line, "nbremote: ") {
			r.Stderr = strings.Replace(r.Stderr, line, "", 1)
		}
	}
	if r.Exit != 0 {
		t.Errorf("exit %d", r.Exit)
	}
	want := host.ReadFile("/home/me/want1")
	if r.Stdout != want || len(want) < 2000000 {
		t.Errorf("%d bytes of %d", len(r.Stdout), len(want))
	}
}

// TestSoak_Script: 1 GiB, and fifty cuts.
func TestSoak_Script(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("make soak")
	}
	t.Parallel()
	l := lab.New(t, lab.Chain{Program: asInstalled(t)})
	muchOutput(t, l, 1<<30)
	host := l.Host("gpu1")
	host.WriteFile(lab.Me, "/home/me/prints.py", printsBytes)
	j := l.Start("run", "gpu1", "--", "python3", "prints.py", "50000000", "0.03")
	cutOften(t, host, j, 50)
	sameBytes(t, host, j.Wait())
}

// Each command that the document shows does what it says, one after the other.
func TestDocs_ScriptsRun(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Host("gpu1").WriteFile(lab.Me, "/home/me/proj/train.ipynb", notebookOf("python3", "lr = 1", "print('learned', lr)"))
	l.Host("gpu1").ShAs(lab.Me, `ln -s `+lab.Jupyter+` proj/.venv
		echo 'print("trained")' >proj/train.py; echo 'import sys, time; print(sys.argv[1:]); time.sleep(1)' >proj/sweep.py`)
	l.Laptop.ShAs(lab.Me, "echo 1,2 >data.csv")
	ran := 0
	for line := range strings.Lines(strings.Join(fence.FindAllString(read(t, "docs/scripts.md"), -1), "")) {
		if !strings.HasPrefix(line, "nbremote ") {
			continue
		}
		ran++
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		out := l.Laptop.ShAs(lab.Me, line) // which has to end well
		switch {
		case strings.Contains(line, "train.ipynb") && !strings.HasSuffix(out, "learned 0.1\n"),
			strings.Contains(line, "--debug") && out != "gpu1/train\n",
			strings.HasSuffix(line, " gpu1:~/proj -- python train.py") && !strings.Contains(line, "--debug") && out != "trained\n",
			strings.Contains(line, "run -d --name sweep") && out != "gpu1/sweep\n",
			strings.Contains(line, "logs -f") && out != "['--lr', '0.1']\n":
			t.Errorf("%s: %q", line, out)
		}
	}
	if got := l.Laptop.ShAs(lab.Me, "cat proj/data.csv sweep.py | head -n 2 | tr '\\n' ' '"); got != "1,2 import sys, time; print(sys.argv[1:]); time.sleep(1) " {
		t.Errorf("copied: %q", got)
	}
	if ran < 12 {
		t.Errorf("docs/scripts.md shows %d commands", ran)
	}
}
