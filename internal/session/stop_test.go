//go:build linux

package session

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stopIn is session_stop with fewer seconds.
func (h *testHost) stopIn(name string, seconds int) time.Duration {
	h.t.Helper()
	began := time.Now()
	h.must(fmt.Sprintf("session_stop %s %d", Encode(name), seconds))
	return time.Since(began)
}

func TestStop_IgnoresTerm(t *testing.T) {
	h := newHost(t)
	pid := h.start("deaf", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
	h.logs("deaf", "ready")
	if took := h.stopIn("deaf", 1); took < time.Second {
		t.Errorf("KILL after %v", took)
	}
	if i := h.info("deaf"); i.Running || i.Exit != 137 || i.Ended.IsZero() || alive(pid) {
		t.Errorf("%+v", i)
	}
}

// What the command left behind is given the same time: a training saves its
// weights after the shell that started it is gone.
func TestStop_WaitsForTheGroup(t *testing.T) {
	h := newHost(t)
	h.start("train", `(trap 'sleep 0.5; echo saved >'"$HOME"'/weights; exit' TERM; echo ready; while :; do sleep 0.1; done) &
		wait`)
	h.logs("train", "ready")
	h.stop("train")
	if b, err := os.ReadFile(h.home + "/weights"); string(b) != "saved\n" {
		t.Errorf("%q, %v", b, err)
	}
	pid := h.start("train", `(trap '' TERM; echo ready; while :; do sleep 0.1; done) & echo $! >child.pid; wait`)
	h.logs("train", "ready")
	h.stopIn("train", 1)
	left, _ := strconv.Atoi(strings.TrimSpace(h.must(`session_dir train; cat "$S_DIR/child.pid"`)))
	if !eventually(t, func() bool { return !alive(left) && !alive(pid) }) {
		t.Errorf("%d is left", left)
	}
}

// Only the wrapper, or only the command, is killed.
func TestSession_HalfKilled(t *testing.T) {
	h := newHost(t)
	pid := h.start("half", "exec sleep 1000")
	wrapper, _ := strconv.Atoi(strings.Fields(h.must(`session_dir half; cat "$S_DIR/pid"`))[0])
	if wrapper == pid {
		t.Fatalf("the wrapper is the command: %d", pid)
	}
	send(t, wrapper, syscall.SIGKILL)
	eventually(t, func() bool { return !alive(wrapper) })
	if i := h.info("half"); !i.Running || i.PID != pid {
		t.Errorf("%+v", i)
	}
	h.stop("half")
	if i := h.info("half"); i.Running || alive(pid) || i.Exit != -1 || i.Ended.IsZero() {
		t.Errorf("%+v", i)
	}
	pid = h.start("half", "exec sleep 1000")
	wrapper, _ = strconv.Atoi(strings.Fields(h.must(`session_dir half; cat "$S_DIR/pid"`))[0])
	syscall.Kill(-wrapper, syscall.SIGKILL)
	if i := h.ended("half"); i.Exit != -1 || !i.Ended.IsZero() || alive(pid) {
		t.Errorf("%+v", i)
	}
	if got := h.must(`session_ended half && printf %s "[$S_EXIT$S_ENDED]"`); got != "[]" {
		t.Errorf("%q", got)
	}
}

// A pid file tells of a process that is long gone; another has its number.
func TestR14_StalePid(t *testing.T) {
	h := newHost(t)
	stranger := exec.Command("sleep", "1000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stranger.Process.Kill(); stranger.Wait() }()
	h.start("old", "exec sleep 1000")
	h.stop("old")
	right := h.must(fmt.Sprintf(`proc_ident %d && printf %%s "$P_IDENT"`, stranger.Process.Pid))
	f := strings.Fields(right)
	if len(f) != 4 {
		t.Fatalf("%q", right)
	}
	for name, ident := range map[string]string{
		"another start": f[0] + " 1 " + f[2] + " " + f[3], "another boot": f[0] + " " + f[1] + " x " + f[3], "another host": f[0] + " " + f[1] + " " + f[2] + " x",
		"a bare pid": f[0], "empty": "", "a group": "-" + right, "init": "1 0 " + f[2] + " " + f[3], "words": "a b c d", "more": right + " x", "stars": "* * * *",
		"a path": "self " + f[1] + " " + f[2] + " " + f[3], "octal": "0" + right,
	} {
		out, err := h.sh(fmt.Sprintf(`session_dir old; rm -f "$S_DIR/exit"
			for f in pid child; do printf '%%s\n' %s >"$S_DIR/$f"; done
			session_alive old && put alive 1; session_stop old 0; ident_kill KILL %[1]s; session_alive old && put alive 1; true`, quoted(ident)))
		if err != nil || out != "" || !alive(stranger.Process.Pid) {
			t.Fatalf("%s: %q, %v, the stranger lives: %v", name, out, err, alive(stranger.Process.Pid))
		}
	}
	if out, err := h.sh("ident_alive " + quoted(right) + ` && printf %s "$P_PID"`); err != nil || out != f[0] {
		t.Errorf("%q, %v", out, err)
	}
	// A zombie runs no more.
	stranger.Process.Kill()
	eventually(t, func() bool { return !alive(stranger.Process.Pid) })
	if _, err := h.sh("ident_alive " + quoted(right)); err == nil {
		t.Error("a zombie is alive")
	}
}

func quoted(s string) string { return "'" + s + "'" }

func TestProc_OddNames(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"a b", "a) S 1 1", ")", "x\ny) R 2", "a (b"} {
		file := filepath.Join(t.TempDir(), name)
		sleep, _ := exec.LookPath("sleep")
		b, err := os.ReadFile(sleep)
		if err != nil || os.WriteFile(file, b, 0o755) != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(file, "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(h.must(fmt.Sprintf(`nbr_proc %d && printf '%%s %%s %%s' "$P_STATE" "$P_GROUP" "$P_START"`, cmd.Process.Pid)))
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		want := strings.Fields(string(raw[strings.LastIndex(string(raw), ")")+1:]))
		if len(got) != 3 || got[1] != want[2] || got[2] != want[19] {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}

const openScript = `
	session_lock main 60 || exit 1
	session_alive main && put found "$S_PID" && exit 0
	session_make main main
	echo 'echo one >>"$HOME/starts"; exec sleep 1000' >"$S_DIR/run.sh"
	session_start main
	put started "$S_PID"`

func TestL2_FiftyStarts(t *testing.T) {
	for _, way := range []string{"flock", "links"} {
		t.Run(way, func(t *testing.T) {
			h := newHost(t)
			if way == "links" {
				h.Shell = hidden(t, "flock")
			}
			var wg sync.WaitGroup
			var mu sync.Mutex
			said := map[string]int{}
			began := time.Now()
			for range 50 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					out, err := h.Run(ctx, script(openScript))
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
						return
					}
					said[string(out)]++
				})
			}
			wg.Wait()
			starts, _ := os.ReadFile(h.home + "/starts")
			if string(starts) != "one\n" || len(said) != 2 {
				t.Errorf("started %q: %v", starts, said)
			}
			t.Logf("%v", time.Since(began))
		})
	}
}

func TestLock_Waits(t *testing.T) {
	for _, way := range []string{"flock", "links"} {
		t.Run(way, func(t *testing.T) {
			h := newHost(t)
			if way == "links" {
				h.Shell = hidden(t, "flock")
			}
			held := make(chan error, 1)
			go func() {
				_, err := h.sh(`session_lock a 5; echo >"$HOME/held"; until [ -e "$HOME/go" ]; do nap; done; session_unlock; sleep 2`)
				held <- err
			}()
			eventually(t, func() bool { _, err := os.Stat(h.home + "/held"); return err == nil })
			if out := h.must(`session_lock a 1 && put got 1; session_lock b 1 && put other 1; true`); out != "other 1\n1\n" {
				t.Errorf("%q", out)
			}
			os.WriteFile(h.home+"/go", nil, 0o600)
			if out := h.must(`session_lock a 20 && put got 1; session_unlock; session_lock a 1 && put again 1`); out != "got 1\n1\nagain 1\n1\n" {
				t.Errorf("%q", out)
			}
			if err := <-held; err != nil {
				t.Error(err)
			}
			// A session that runs does not hold the lock it was started under.
			h.start("a", "exec sleep 1000")
			if out := h.must(`session_lock a 1 && put got 1`); out != "got 1\n1\n" {
				t.Errorf("%q", out)
			}
		})
	}
}

// Whoever has the lock is killed, in each phase.
func TestL3_StaleLock(t *testing.T) {
	for _, way := range []string{"flock", "links"} {
		t.Run(way, func(t *testing.T) {
			h := newHost(t)
			if way == "links" {
				h.Shell = hidden(t, "flock")
			}
			for _, phase := range []string{
				`kill -9 $P_ME`, `session_unlock; kill -9 $P_ME`, `session_lock main 1; kill -9 $P_ME`,
				`nbr_self; proc_ident $P_SELF; ln -s "$P_IDENT" "$NBR_RUN/main.lock.by"; kill -9 $P_ME`,
				`nbr_self; proc_ident $P_SELF; for e in "" .break .break.break; do ln -s "$P_IDENT" "$NBR_RUN/main.lock.by$e"; done; kill -9 $P_ME`,
				`ln -s "999999 1 x y" "$NBR_RUN/main.lock.by"; kill -9 $P_ME`,
			} {
				if _, err := h.sh("nbr_self; P_ME=$P_SELF; " + phase); err == nil {
					t.Errorf("%s: no end", phase)
				}
				began := time.Now()
				if out := h.must(`session_lock main 20 && put got 1`); out != "got 1\n1\n" || time.Since(began) > 10*time.Second {
					t.Errorf("%s: %q after %v", phase, out, time.Since(began))
				}
			}
			if way == "flock" {
				return
			}
			// Fifty at once find a stale lock: never two have it.
			for range 3 {
				h.sh(`nbr_self; session_lock main 9; kill -9 $P_SELF`)
				h.fifty(`session_lock main 60 || exit 1
					mkdir "$HOME/inside" || exit 2; nap; rmdir "$HOME/inside" || exit 3; session_unlock`, 12)
			}
		})
	}
}

func (h *testHost) fifty(body string, n int) {
	h.t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := h.Run(ctx, script(body)); err != nil {
				h.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A start that is killed on its way leaves a session that can be started.
func TestL3_KilledStarts(t *testing.T) {
	h := newHost(t)
	for n := range 8 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(20+n*25)*time.Millisecond)
		h.Run(ctx, script(openScript))
		cancel()
	}
	h.must(openScript)
	var running int
	eventually(t, func() bool { running = h.count("sleep\x001000\x00"); return running == 1 })
	if i := h.info("main"); !i.Running || running != 1 {
		t.Errorf("%+v, %d run", i, running)
	}
}

// count is how many processes of this home have that command line.
func (h *testHost) count(cmdline string) (n int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		env, _ := os.ReadFile(path)
		cmd, _ := os.ReadFile(filepath.Dir(path) + "/cmdline")
		if string(cmd) == cmdline && strings.Contains(string(env), "HOME="+h.home+"\x00") {
			n++
		}
	}
	return n
}

// Many open a session while it is forgotten: never do two run at once, and
// what is left can be started.
func TestForget_WhileOpened(t *testing.T) {
	h := newHost(t)
	for range 4 {
		var wg sync.WaitGroup
		for n := range 12 {
			wg.Go(func() {
				if n%4 == 0 {
					Forget(context.Background(), h, "main")
					return
				}
				h.sh(openScript)
				if n := h.count("sleep\x001000\x00"); n > 1 {
					t.Errorf("%d run", n)
				}
			})
		}
		wg.Wait()
	}
	h.must(openScript)
	if i := h.info("main"); !i.Running {
		t.Errorf("%+v", i)
	}
	if err := Forget(context.Background(), h, "main"); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(h.home + "/.local/share"); len(entries) > 0 {
		t.Errorf("%v is left", entries)
	}
}
