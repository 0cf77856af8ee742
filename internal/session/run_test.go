//go:build linux

package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

// ran is what a script gave to its end.
type ran struct {
	out, err bytes.Buffer
	end      End
	watch    *Watch
}

// begin starts a script and watches it to its end.
func (h *testHost) begin(s Script) (*ran, error) {
	h.t.Helper()
	if s.Names == nil {
		s.Names = []string{"job"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w, err := Begin(ctx, h, s)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return toEnd(w)
}

func toEnd(w *Watch) (*ran, error) {
	r := &ran{watch: w}
	for {
		p, err := w.Next()
		if err != nil {
			return r, err
		}
		if p.Stderr {
			r.err.Write(p.Data)
		} else {
			r.out.Write(p.Data)
		}
		if p.End != nil {
			r.end = *p.End
			return r, nil
		}
	}
}

func (h *testHost) mustBegin(s Script) *ran {
	h.t.Helper()
	r, err := h.begin(s)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func sha(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func sh(text string) []string { return []string{"sh", "-c", text} }

// Every end is known exactly, and stdout and stderr come apart.
func TestR18_Ends(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, c := range []struct {
		text   string
		exit   int
		signal string
	}{
		{"true", 0, ""}, {"exit 1", 1, ""}, {"exit 77", 77, ""}, {"exit 255", 255, ""}, {"exit 143", 143, ""},
		{"kill -KILL $$", 137, "KILL"}, {"kill -TERM $$", 143, "TERM"}, {"kill -SEGV $$", 139, "SEGV"},
	} {
		before := time.Now().Add(-2 * time.Second)
		r := h.mustBegin(Script{Argv: sh("printf out; printf err >&2; " + c.text)})
		e := r.end
		if !e.Known || e.Exit != c.exit || e.Signal != c.signal || r.out.String() != "out" || r.err.String() != "err" {
			t.Errorf("%s: %+v, %q, %q", c.text, e, r.out.String(), r.err.String())
		}
		if e.Started.Before(before) || e.Ended.Before(e.Started) || e.Ended.After(time.Now().Add(2*time.Second)) {
			t.Errorf("%s: from %v to %v", c.text, e.Started, e.Ended)
		}
		if i := h.info("job"); i.Exit != c.exit || i.Signal != c.signal {
			t.Errorf("%s: %+v", c.text, i)
		}
	}
	r := h.mustBegin(Script{Argv: []string{"no-such-program"}})
	if r.end.Exit != 127 || !strings.Contains(r.err.String(), "no-such-program") {
		t.Errorf("%+v, %q", r.end, r.err.String())
	}
}

// Binary output on both, in many turns and without a newline at the end.
func TestR18_BytesOfBoth(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "python3")
	h := newHost(t)
	r := h.mustBegin(Script{Argv: []string{"python3", "-c", `
import os, random
r = random.Random(1)
for n in range(3000):
    data = bytes(r.randrange(256) for _ in range(r.choice((1, 7, 300))))
    while data:
        data = data[os.write(1 + n % 2, data):]
`}})
	want := h.must(`python3 -c '
import random, sys
r, both = random.Random(1), [b"", b""]
for n in range(3000):
    both[n % 2] += bytes(r.randrange(256) for _ in range(r.choice((1, 7, 300))))
import hashlib
print(hashlib.sha256(both[0]).hexdigest(), hashlib.sha256(both[1]).hexdigest(), len(both[0]) + len(both[1]))'`)
	got := fmt.Sprintf("%s %s %d\n", sha(r.out.Bytes()), sha(r.err.Bytes()), r.out.Len()+r.err.Len())
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if size := h.must(`session_dir job; wc -c <"$S_DIR/log"`); strings.TrimSpace(size) != strconv.Itoa(r.out.Len()+r.err.Len()) {
		t.Errorf("the log has %s bytes", size)
	}
}

// The order in which the wrapper read them is that of the log.
func TestRun_OneLog(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.mustBegin(Script{Argv: sh("for i in 1 2 3 4 5; do echo out $i; sleep 0.05; echo err $i >&2; sleep 0.05; done")})
	want := ""
	for i := 1; i <= 5; i++ {
		want += fmt.Sprintf("out %d\nerr %[1]d\n", i)
	}
	if got := h.tail("job"); got != want {
		t.Errorf("%q", got)
	}
}

// An argument arrives byte by byte, and is nobody's shell text.
func TestF8_ArgumentsAsTheyAre(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	canary := filepath.Join(t.TempDir(), "canary")
	args := []string{
		"", " ", "a b", "'", `"`, "\\", "\n", "a\nb\n", "$(touch " + canary + ")", "`touch " + canary + "`", "; touch " + canary, "*", "~", "-n", "--",
		"$HOME", "\xff\xfe", "\x81\x82\x88", "é", "#{x}", "%s", "!!", "\t", "\r", "\x1b[31m", strings.Repeat("x", 100_000),
	}
	every := make([]byte, 0, 255)
	for c := 1; c < 256; c++ {
		every = append(every, byte(c))
	}
	args = append(args, string(every))
	r := h.mustBegin(Script{Argv: append([]string{"sh", "-c", `for a; do printf '%s\0' "$a"; done`, "sh"}, args...)})
	if got := strings.Split(strings.TrimSuffix(r.out.String(), "\x00"), "\x00"); len(got) != len(args) {
		t.Errorf("%d arguments of %d, %s", len(got), len(args), r.err.String())
	} else {
		for i := range args {
			if got[i] != args[i] {
				t.Errorf("%q arrives as %q", args[i], got[i])
			}
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("something was run")
	}
}

// What it finds: the directory, the project's Python, the umask, no stdin.
func TestRun_Environment(t *testing.T) {
	t.Parallel()
	h := newHost(t, "LC_CTYPE_NOT=1")
	h.Env = append(h.Env, "LANG=C")
	h.Shell = shellFile(t, "umask 027\nexec /bin/sh \"$@\"\n")
	h.must(`mkdir -p "$HOME/my proj/.venv/bin" "$HOME/envs/ds/bin"; ln -s /bin/sh "$HOME/my proj/.venv/bin/python"; ln -s /bin/sh "$HOME/envs/ds/bin/python"`)
	show := sh(`command -v python; echo "$VIRTUAL_ENV:${CONDA_PREFIX-}:$PYTHONUNBUFFERED:$MINE"; umask; pwd; cat; env`)
	r := h.mustBegin(Script{Dir: "~/my proj", Argv: show, Setenv: []string{"MINE=a b"}})
	proj := h.home + "/my proj"
	if want := proj + "/.venv/bin/python\n" + proj + "/.venv::1:a b\n0027\n" + proj + "\n"; !strings.HasPrefix(r.out.String(), want) {
		t.Errorf("%s%s", r.out.String(), r.err.String())
	}
	for _, not := range []string{"NBR_", "R_AT", "R_PY", "LC_ALL=", "LC_CTYPE=", "nbr_"} {
		if strings.Contains(r.out.String(), "\n"+not) {
			t.Errorf("%s in %s", not, r.out.String())
		}
	}
	r = h.mustBegin(Script{Dir: "my proj", Argv: show, Env: &Env{Kind: "conda", Name: "ds", Prefix: h.home + "/envs/ds"}})
	if want := h.home + "/envs/ds/bin/python\n:" + h.home + "/envs/ds:1:\n"; !strings.HasPrefix(r.out.String(), want) {
		t.Errorf("%s%s", r.out.String(), r.err.String())
	}
}

func TestRun_NotStarted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.must(`mkdir "$HOME/proj"; touch "$HOME/proj/there.py"`)
	var only *OnlyHereError
	_, err := h.begin(Script{Dir: "proj", Argv: []string{"true"}, Here: []Here{{Path: "there.py", Must: true}, {Path: "train.py", Must: true}}})
	if !errors.As(err, &only) || only.Path != "~/proj/train.py" {
		t.Errorf("%v", err)
	}
	r := h.mustBegin(Script{Dir: "proj", Argv: []string{"true"}, Here: []Here{{Path: "there.py", Must: true}, {Path: "./out.csv", Must: false}}})
	if len(r.watch.Begun.Absent) != 1 || r.watch.Begun.Absent[0] != "~/proj/out.csv" {
		t.Errorf("%+v", r.watch.Begun)
	}
	var said *remote.ScriptError
	if _, err := h.begin(Script{Dir: "nowhere", Argv: []string{"true"}}); !errors.As(err, &said) || said.Class() != "not-found" || !strings.Contains(said.Error(), "~/nowhere") {
		t.Errorf("%v", err)
	}
}

// A name belongs to what runs; what has ended gives it up, and its log is kept.
func TestRun_Names(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.mustBegin(Script{Argv: sh("echo first; exit 3")})
	r := h.mustBegin(Script{Argv: sh("echo second; exec sleep 1000"), Detach: true})
	if b := r.watch.Begun; b.Before == nil || b.Before.Exit != 3 || b.Name != "job" {
		t.Errorf("%+v", b)
	}
	if log := h.must(`session_dir job; cat "$S_DIR/log.1"`); log != "first\n" {
		t.Errorf("%q", log)
	}
	var taken *TakenError
	if _, err := h.begin(Script{Argv: []string{"true"}}); !errors.As(err, &taken) || taken.Name != "job" {
		t.Errorf("%v", err)
	}
	r = h.mustBegin(Script{Names: []string{"job", "job-2"}, Argv: sh("echo other")})
	if r.watch.Name != "job-2" || r.out.String() != "other\n" {
		t.Errorf("%s, %q", r.watch.Name, r.out.String())
	}
	h.must(`session_make jup jup; touch "$S_DIR/jupyter-run"`)
	if _, err := h.begin(Script{Names: []string{"jup"}, Argv: []string{"true"}}); !errors.As(err, &taken) {
		t.Errorf("%v", err)
	}
}

// Stopped by ^Z it waits; told to end it ends, with what it started; what does
// not obey is killed.
func TestR18_StoppedAndEnded(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.mustBegin(Script{Argv: sh("echo $$; sleep 1; echo on; exec sleep 1001"), Detach: true})
	h.logs("job", "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(h.tail("job")))
	send(t, pid, syscall.SIGSTOP)
	time.Sleep(1500 * time.Millisecond) // longer than it would have slept
	if log := h.tail("job"); strings.Contains(log, "on") || !h.info("job").Running {
		t.Errorf("%q", log)
	}
	send(t, pid, syscall.SIGCONT)
	h.logs("job", "on\n")
	h.stop("job")
	if i := h.info("job"); i.Exit != 143 || i.Signal != "TERM" || alive(pid) {
		t.Errorf("%+v", i)
	}
	h.mustBegin(Script{Argv: sh("trap '' TERM; echo deaf; while :; do sleep 1002; done"), Detach: true})
	h.logs("job", "deaf")
	h.must("session_stop job 1")
	if i := h.info("job"); i.Running || i.Exit != 137 || i.Signal != "KILL" || h.count("sleep\x001002\x00") != 0 {
		t.Errorf("%+v, %d left", i, h.count("sleep\x001002\x00"))
	}
}

// One at a terminal has a process session of its own, which ends with it.
func TestRun_AtATerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.mustBegin(Script{Argv: sh("tty; exec sleep 1003"), Detach: true, TTY: true})
	h.logs("job", "/dev/pts/")
	h.stop("job")
	if i := h.info("job"); i.Running || i.Exit != 143 || i.Signal != "TERM" || h.count("sleep\x001003\x00") != 0 {
		t.Errorf("%+v", i)
	}
	h.mustBegin(Script{Argv: sh("trap '' TERM HUP; echo deaf; while :; do sleep 1004; done"), Detach: true, TTY: true})
	h.logs("job", "deaf\r\n")
	h.must("session_stop job 1")
	if i := h.info("job"); i.Running || i.Exit != 137 || h.count("sleep\x001004\x00") != 0 {
		t.Errorf("%+v, %d left", i, h.count("sleep\x001004\x00"))
	}
	r := h.mustBegin(Script{Argv: sh("tput longname || :; echo both >&2; exit 4"), TTY: true})
	if r.end.Exit != 4 || !strings.HasSuffix(r.out.String(), "both\r\n") {
		t.Errorf("%+v, %q", r.end, r.out.String())
	}
}

// What a script leaves running keeps nobody waiting, and its output is kept.
func TestRun_LeavesSomethingRunning(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	began := time.Now()
	r := h.mustBegin(Script{Argv: sh(`(until [ -e "$HOME/go" ]; do sleep 0.05; done; echo late) & echo early; exit 5`)})
	if r.end.Exit != 5 || r.out.String() != "early\n" || time.Since(began) > 20*time.Second {
		t.Errorf("%+v, %q after %v", r.end, r.out.String(), time.Since(began))
	}
	os.WriteFile(h.home+"/go", nil, 0o600)
	h.logs("job", "early\nlate\n")
}

// breaking is a host whose streams break off after some bytes, unless whole.
type breaking struct {
	*testHost
	after func() int64
	cuts  int
}

func (b *breaking) Stream(ctx context.Context, script string) (io.ReadCloser, error) {
	s, err := b.testHost.Stream(ctx, script)
	if err != nil {
		return nil, err
	}
	b.cuts++
	return &cutOff{ReadCloser: s, r: io.LimitReader(s, b.after())}, nil
}

type cutOff struct {
	io.ReadCloser
	r io.Reader
}

func (c *cutOff) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// breaks follows a script over that many broken streams: what comes is what was
// written. A twin that begins anew at each break has too much.
func breaks(t *testing.T, n int) {
	h := newHost(t)
	size := n * 3000
	h.mustBegin(Script{Detach: true, Argv: []string{"python3", "-c", fmt.Sprintf(`
import os, random
r, left = random.Random(2), %d
while left > 0:
    data = r.randbytes(r.choice((1, 50, 2000, 9000)))
    left -= len(data)
    to = 1 + r.randrange(2)
    with open(os.environ["HOME"] + "/want%%d" %% to, "ab") as f:
        f.write(data)
    while data:
        data = data[os.write(to, data):]
`, size)}})
	h.ended("job")
	b := &breaking{testHost: h, after: func() int64 { return 500 + rand.Int64N(5000) }}
	w, err := Follow(context.Background(), b, "job", WatchWish{Lines: All})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { w.Close() }()
	all := &ran{}
	for {
		r, err := toEnd(w)
		all.out.Write(r.out.Bytes())
		all.err.Write(r.err.Bytes())
		if err == nil {
			break
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || b.cuts > 4*n {
			t.Fatalf("after %d breaks: %v", b.cuts, err)
		}
		if !w.Seen() {
			w, err = Follow(context.Background(), b, "job", WatchWish{Lines: All})
		} else {
			err = w.Resume(context.Background(), b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range []*bytes.Buffer{&all.out, &all.err} {
		want, _ := os.ReadFile(fmt.Sprintf("%s/want%d", h.home, i+1))
		if !bytes.Equal(got.Bytes(), want) || len(want) == 0 {
			t.Errorf("stream %d: %d bytes of %d, after %d breaks", i+1, got.Len(), len(want), b.cuts)
		}
	}
	if b.cuts < n/3 {
		t.Errorf("%d breaks only", b.cuts)
	}
	t.Logf("%d breaks, %d bytes", b.cuts, all.out.Len()+all.err.Len())
	// The twin has no place to go on from.
	b.after = func() int64 { return 5000 }
	twin := &bytes.Buffer{}
	for range 3 {
		w, err := Follow(context.Background(), b, "job", WatchWish{Lines: All})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := toEnd(w)
		twin.Write(r.out.Bytes())
		w.Close()
	}
	if bytes.HasPrefix(all.out.Bytes(), twin.Bytes()) {
		t.Error("the twin has all too: nothing was cut")
	}
}

func TestR18_FollowedOverBreaks(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "python3")
	breaks(t, 40)
}

func TestSoak_FollowedOverBreaks(t *testing.T) {
	if os.Getenv("NBREMOTE_SOAK") == "" {
		t.Skip("make soak")
	}
	breaks(t, 1000)
}
