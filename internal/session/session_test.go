//go:build linux

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

func (h *testHost) stop(name string) {
	h.t.Helper()
	if err := Stop(context.Background(), h, name); err != nil {
		h.t.Fatal(err)
	}
}

func TestSession(t *testing.T) {
	h := newHost(t)
	before := time.Now().Add(-2 * time.Second)
	pid := h.start("proj", "echo out; echo err >&2; exec sleep 1000")
	h.logs("proj", "out\nerr\n")
	i := h.info("proj")
	if !i.Running || i.PID != pid || !alive(pid) || i.Exit != -1 || i.How != "setsid" || i.Enc != "proj" || !i.Ended.IsZero() {
		t.Errorf("%+v, pid %d", i, pid)
	}
	if i.Started.Before(before) || i.Started.After(time.Now().Add(2*time.Second)) {
		t.Errorf("started %v", i.Started)
	}
	h.stop("proj")
	if i := h.info("proj"); i.Running || i.PID != 0 || i.Exit != 143 || i.Ended.IsZero() || alive(pid) || i.Tmux {
		t.Errorf("%+v", i)
	}
	h.stop("proj")
	h.must(`session_forget proj || exit 1; [ ! -e "$S_DIR" ] || exit 2`)
	if infos, err := List(context.Background(), h); err != nil || len(infos) != 0 {
		t.Errorf("%v, %v", infos, err)
	}
}

func TestSession_TwoRestarts(t *testing.T) {
	h := newHost(t)
	for n := range 3 {
		text := fmt.Sprintf("run %d", n)
		pid := h.start("proj", "echo "+text+"; exec sleep 1000")
		h.logs("proj", text)
		if i := h.info("proj"); !i.Running || i.PID != pid || i.Exit != -1 || !i.Ended.IsZero() {
			t.Errorf("%+v", i)
		}
		if log := h.tail("proj"); log != text+"\n" {
			t.Errorf("log %q", log)
		}
		h.stop("proj")
	}
	if earlier := h.must(`session_dir proj; cat "$S_DIR/log.1"`); earlier != "run 1\n" {
		t.Errorf("log.1 %q", earlier)
	}
}

func TestSession_Status(t *testing.T) {
	h := newHost(t)
	for command, exit := range map[string]int{
		"exit 0": 0, "exit 3": 3, "exit 255": 255, "nosuchprogram": 127, "(": 2, "kill -9 $$": 137, "kill -INT $$": 130, "kill -HUP $$": 0, "": 0,
	} {
		if strings.Contains(command, "INT") && signal.Ignored(os.Interrupt) {
			continue // see ignored
		}
		h.start("s", command)
		if i := h.ended("s"); i.Exit != exit {
			t.Errorf("%q: %+v, want status %d", command, i, exit)
		}
		if got := h.must(`session_ended s && printf %s "$S_EXIT"`); got != strconv.Itoa(exit) {
			t.Errorf("%q: session_ended says %q", command, got)
		}
	}
}

// The command finds what a login gives it, not what our scripts use.
func TestSession_Environment(t *testing.T) {
	path := os.Getenv("PATH")
	for _, locale := range []string{"", "LC_ALL=de_DE.UTF-8", "LC_ALL="} {
		h := newHost(t, "TMUX=/tmp/x,1,1", "MINE=1")
		if locale != "" {
			h.Env = append(h.Env, locale)
		}
		h.Shell = shellFile(t, "umask 027\nexec /bin/sh \"$@\"\n")
		h.start("env", `pwd; umask; env; ls -l /proc/self/fd; cat /proc/self/status`)
		h.ended("env")
		log := h.tail("env")
		for _, want := range []string{h.info("env").Dir + "\n0027\n", "\nPATH=" + path + "\n", "\nMINE=1\n", " 0 -> /dev/null\n", "/log\n", ignored(t)} {
			if !strings.Contains(log, want) {
				t.Errorf("no %q in %s", want, log)
			}
		}
		outside, _ := exec.Command("ls", "-l", "/proc/self/fd").Output()
		for _, pipe := range regexp.MustCompile(`pipe:\[\d+\]`).FindAllString(log, -1) {
			if !strings.Contains(string(outside), pipe) {
				t.Errorf("%s is open in %s", pipe, log)
			}
		}
		for _, not := range []string{"NBR_", "TMUX", "nbr_", " 9 -> ", " 4 -> "} {
			if strings.Contains(log, not) {
				t.Errorf("%q in %s", not, log)
			}
		}
		if has := strings.Contains(log, "\nLC_ALL"); has != (locale != "") || !strings.Contains(log, "\n"+locale+"\n") && locale != "" {
			t.Errorf("LC_ALL with %q: %s", locale, log)
		}
	}
}

func shellFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestA5_Modes(t *testing.T) {
	h := newHost(t)
	h.Shell = shellFile(t, "umask 000\nexec /bin/sh \"$@\"\n")
	h.start("proj", "echo x; exec sleep 1000")
	h.must("session_run proj")
	h.logs("proj", "x")
	roots := []string{h.home + "/.local/share/nbremote", h.must(`printf %s "$NBR_RUN"`)}
	for _, root := range roots {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return nil // a temporary file that was moved
			}
			if i, err := d.Info(); err == nil && i.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, i.Mode())
			}
			return nil
		})
	}
}

// What is in run.sh, its name apart, is in no command line.
func TestA2_NothingInArgv(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	const secret = "s3cr3t-of-the-script"
	done := make(chan struct{})
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for {
			select {
			case <-done:
				return
			default:
			}
			cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, path := range cmdlines {
				if raw, _ := os.ReadFile(path); strings.Contains(string(raw), secret) {
					found <- path + " " + string(raw)
					return
				}
			}
		}
	}()
	for range 3 {
		h.start("proj", ": "+secret+"; while :; do sleep 1; done")
		h.stop("proj")
	}
	close(done)
	if where, ok := <-found; ok {
		t.Errorf("%q", where)
	}
}

func TestR10_TmuxKilled(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	pid := h.start("proj", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done")
	h.logs("proj", "line 3\n")
	if !h.info("proj").Tmux {
		t.Fatal("no tmux window")
	}
	server, _ := strconv.Atoi(strings.TrimSpace(h.must("nbr_tmux display-message -p '#{pid}'")))
	send(t, server, syscall.SIGKILL)
	eventually(t, func() bool { return !alive(server) })
	seen := strings.Count(h.tail("proj"), "\n")
	h.logs("proj", fmt.Sprintf("line %d\n", seen+5))
	if i := h.info("proj"); !i.Running || i.PID != pid || i.Tmux {
		t.Errorf("%+v", i)
	}
	// The window comes back, and shows the log.
	h.must("session_view proj")
	if !eventually(t, func() bool { return strings.Contains(h.pane("proj"), "line") }) || !h.info("proj").Tmux {
		t.Errorf("no window: %q", h.pane("proj"))
	}
	h.stop("proj")
	if alive(pid) {
		t.Error("it does not end")
	}
}

func (h *testHost) pane(name string) string {
	h.t.Helper()
	return h.must("nbr_window " + Encode(name) + " && nbr_tmux capture-pane -p -t \"$nbr_id\"; true")
}

func TestR10_KillServer(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	pid := h.start("proj", "exec sleep 1000")
	h.must("nbr_tmux kill-server")
	if i := h.info("proj"); !i.Running || i.PID != pid {
		t.Errorf("%+v", i)
	}
}

// A cleaner of /tmp removes the socket: the same server is found again.
func TestR11_SocketRemoved(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	h.start("proj", "exec sleep 1000")
	server := h.must("nbr_tmux display-message -p '#{pid}'; rm \"$NBR_RUN/tmux.sock\"")
	if !h.info("proj").Tmux {
		t.Error("the window is not found")
	}
	if now := h.must("nbr_tmux display-message -p '#{pid}'"); now != server {
		t.Errorf("server %q, before %q", now, server)
	}
}

func TestWindow(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	h.start("proj", "trap 'echo got INT' INT; echo hello; while :; do sleep 0.1; done")
	if !eventually(t, func() bool { return strings.Contains(h.pane("proj"), "hello") }) {
		t.Fatalf("the window shows %q", h.pane("proj"))
	}
	size := h.must(`nbr_window proj; nbr_tmux display-message -p -t "$nbr_id" '#{window_width}x#{window_height} #{status} #{history_limit}'`)
	if size != "250x50 off 20000\n" && size != "250x50 0 20000\n" {
		t.Errorf("%q", size)
	}
	h.must(`nbr_window proj; nbr_tmux send-keys -t "$nbr_id" C-c C-\\ C-z C-c`)
	h.must("sleep 0.3")
	if i := h.info("proj"); !i.Running || !i.Tmux || strings.Contains(h.tail("proj"), "INT") {
		t.Errorf("Ctrl-C came through: %+v %q", i, h.tail("proj"))
	}
	// After the end the window stays, with what was said last.
	h.must(`session_alive proj; kill -9 "$S_PID"`)
	h.ended("proj")
	if i := h.info("proj"); !i.Tmux || !strings.Contains(h.pane("proj"), "hello") {
		t.Errorf("%+v, %q", i, h.pane("proj"))
	}
	h.start("proj", "echo anew; exec sleep 1000")
	if !eventually(t, func() bool { return strings.Contains(h.pane("proj"), "anew") }) {
		t.Errorf("the window shows %q", h.pane("proj"))
	}
}

// The tmux server ends with its last window: the next one is not lost in that.
func TestWindow_StopAndStart(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	for n := range 15 {
		h.must("session_stop a; " + startScript("a", "exec sleep 1000"))
		if !h.info("a").Tmux {
			t.Fatalf("no window after start %d", n)
		}
	}
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for range 5 {
				h.sh("session_stop " + name + "; " + startScript(name, "exec sleep 1000"))
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"a", "b", "c"} {
		if i := h.info(name); !i.Tmux || !i.Running {
			t.Errorf("%+v", i)
		}
	}
}

func TestF3_TmuxFormats(t *testing.T) {
	lab.Needs(t, "tmux")
	base := filepath.Join(t.TempDir(), "#{pane_pid} #(touch pwn) %n ; 'x' \"y\" $(touch pwn) `touch pwn`\nl")
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	for i, e := range h.Env {
		if strings.HasPrefix(e, "HOME=") {
			h.Env[i] = "HOME=" + base
		}
	}
	h.home = base
	twins := []string{"#(touch pwn)", "#{pane_pid}", "gpu10", "gpu1", "a.b", "a:b", "a_b", "$0", "=gpu1", "-d"}
	for _, name := range twins {
		h.start(name, "echo I am "+Encode(name)+"; exec sleep 1000")
	}
	for _, name := range twins {
		if i := h.info(name); !i.Running || !i.Tmux || !strings.HasPrefix(i.Dir, base) {
			t.Errorf("%+v", i)
		}
		if !eventually(t, func() bool { return strings.Contains(h.pane(name), "I am "+Encode(name)+"\n") }) {
			t.Errorf("%q shows %q", name, h.pane(name))
		}
	}
	h.stop("gpu1")
	for _, name := range twins {
		if i := h.info(name); i.Running != (name != "gpu1") || i.Tmux != (name != "gpu1") {
			t.Errorf("after gpu1 was stopped: %+v", i)
		}
	}
	filepath.WalkDir(filepath.Dir(base), func(path string, _ os.DirEntry, _ error) error {
		if filepath.Base(path) == "pwn" {
			t.Errorf("%s was made", path)
		}
		return nil
	})
}

func TestF1_Names(t *testing.T) {
	h := newHost(t)
	var all strings.Builder
	for _, name := range names {
		if !strings.Contains(name, "\x00") && name != "" {
			fmt.Fprintf(&all, "session_make %s %s\n", Encode(name), remote.Quote(name))
		}
	}
	h.must(all.String())
	infos, err := List(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Info{}
	for _, i := range infos {
		found[i.Name] = i
	}
	for _, name := range names {
		if !strings.Contains(name, "\x00") && name != "" {
			if i, ok := found[name]; !ok || i.Running || i.Exit != -1 {
				t.Errorf("%q: %+v", name, i)
			}
		}
	}
	// A directory that claims another name is not believed.
	h.must("session_make liar main2")
	for _, name := range []string{"none", "$(touch pwn)x", "a'b"} {
		var failed *remote.ScriptError
		if err := Stop(context.Background(), h, name); !errors.As(err, &failed) || failed.Class() != "not-found" {
			t.Errorf("Stop(%q): %v", name, err)
		}
		if _, err := tailOf(h, name, 5); !errors.As(err, &failed) || failed.Class() != "not-found" || !strings.Contains(failed.Cause(), strconv.Quote(name)) {
			t.Errorf("Tail(%q): %v", name, err)
		}
	}
	infos, _ = List(context.Background(), h)
	for _, i := range infos {
		if i.Name == "main2" {
			t.Errorf("%+v", i)
		}
	}
}

func TestR8_LongPaths(t *testing.T) {
	lab.Needs(t, "tmux")
	for _, dir := range []string{strings.Repeat("long/", 40), "with blank", "it's", "-dash", "e\u0301 日本", "trailing ", "new\nline"} {
		t.Run(dir, func(t *testing.T) {
			h := newHost(t)
			home := filepath.Join(h.home, dir)
			if strings.HasSuffix(dir, " ") {
				home += " "
			}
			if err := os.MkdirAll(home, 0o700); err != nil {
				t.Fatal(err)
			}
			h.Env = append(h.Env, "HOME="+home)
			name := strings.Repeat("very long ", 20)
			h.start(name, "pwd; exec sleep 1000")
			h.logs(name, home)
			if i := h.info(name); !i.Running || !i.Tmux || !strings.HasPrefix(i.Dir, home) {
				t.Errorf("%+v", i)
			}
			run := h.must(fmt.Sprintf(`session_run %s; printf %%s "$S_RUN"`, Encode(name)))
			if again := h.must(fmt.Sprintf(`session_run %s; printf %%s "$S_RUN"`, Encode(name))); again != run || len(run) > 57 {
				t.Errorf("%q, then %q", run, again)
			}
			h.stop(name)
		})
	}
}

// The user's own tmux, and another user's in its place, are nothing to us.
func TestA8_OthersTmux(t *testing.T) {
	lab.Needs(t, "tmux")
	tmp := t.TempDir()
	h := newHost(t, "TMUX_TMPDIR="+tmp, "TMUX="+tmp+"/x,1,0")
	taken := filepath.Join(tmp, fmt.Sprintf("tmux-%d", os.Getuid()))
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(h.home+"/.tmux.conf", []byte("set -g status on\nset -g default-command 'echo no'\n"), 0o600)
	h.start("proj", "echo hello; exec sleep 1000")
	if !eventually(t, func() bool { return strings.Contains(h.pane("proj"), "hello") }) {
		t.Errorf("the window shows %q", h.pane("proj"))
	}
	if i, err := os.Lstat(taken); err != nil || !i.Mode().IsRegular() {
		t.Errorf("%v, %v", i, err)
	}
}

// Another user makes every name of the first run before the second.
func TestA9_NamesTaken(t *testing.T) {
	if os.Getuid() != 0 {
		lab.Missing(t, "root")
	}
	lab.Needs(t, "setpriv")
	h := newHost(t)
	os.Chmod(filepath.Dir(h.home), 0o711)
	os.Chown(h.home, 65534, 65534)
	h.Dir = "/"
	h.Shell = shellFile(t, "exec setpriv --reuid=65534 --regid=65534 --clear-groups /bin/sh \"$@\"\n")
	h.start("proj", "exec sleep 1000")
	run := h.must(`session_run proj; printf %s "$NBR_RUN"`)
	h.stop("proj")
	h.must("nbr_tmux kill-server; true")
	var names []string
	filepath.WalkDir(run, func(path string, _ os.DirEntry, _ error) error {
		names = append(names, strings.TrimPrefix(path, run))
		return nil
	})
	os.RemoveAll(run)
	defer os.RemoveAll(run)
	os.Mkdir(run, 0o777)
	victim := filepath.Join(h.home, "victim")
	os.WriteFile(victim, []byte("mine"), 0o666)
	for i, name := range names[1:] {
		if i%2 == 0 {
			os.Symlink(victim, run+name)
		} else {
			syscall.Mkfifo(run+name, 0o666)
		}
	}
	began := time.Now()
	h.start("proj", "exec sleep 1000")
	if i := h.info("proj"); !i.Running || time.Since(began) > 20*time.Second {
		t.Errorf("%+v after %v", i, time.Since(began))
	}
	if got := h.must(`printf %s "$NBR_RUN"`); got == run {
		t.Errorf("%s was used", run)
	}
	if b, _ := os.ReadFile(victim); string(b) != "mine" {
		t.Errorf("the victim was written: %q", b)
	}
}

func TestR1_NoTmux(t *testing.T) {
	for _, c := range []struct {
		how, last string
		gone      []string
	}{
		{"setsid", "sleep 1000; echo not reached", []string{"tmux"}},
		{"perl", "sleep 1000; echo not reached", []string{"tmux", "setsid"}},
		{"nohup", "exec sleep 1000", []string{"tmux", "setsid", "perl"}},
	} {
		t.Run(c.how, func(t *testing.T) {
			if c.how == "perl" {
				lab.Needs(t, "perl")
			}
			h := newHost(t)
			h.Env = append(h.Env, "PATH="+without(t, c.gone...))
			// The usual folders are searched in the end, so the programs must go there too.
			h.Shell = hidden(t, c.gone...)
			pid := h.start("proj", "echo hello; "+c.last)
			i := h.info("proj")
			if !i.Running || i.How != c.how || i.Tmux || i.PID != pid {
				t.Errorf("%+v", i)
			}
			h.logs("proj", "hello")
			if status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); !strings.Contains(string(status), ignored(t)) {
				t.Errorf("signals: %s", status)
			}
			h.stop("proj")
			if i := h.info("proj"); i.Running || alive(pid) || i.Exit != 143 {
				t.Errorf("%+v", i)
			}
		})
	}
}

// hidden is a login shell for which programs of the system are not there.
func hidden(t *testing.T, programs ...string) string {
	t.Helper()
	if os.Getuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
		lab.Missing(t, "root and unshare")
	}
	text := ""
	for _, p := range programs {
		for _, dir := range []string{"/usr/bin/", "/usr/local/bin/", "/bin/"} {
			if _, err := os.Stat(dir + p); err == nil {
				text += "mount --bind /dev/null " + dir + p + "\n"
			}
		}
	}
	return shellFile(t, "exec unshare -m /bin/sh -c '"+text+"exec /bin/sh \"$@\"' sh \"$@\"\n")
}

func TestR7_HomeFull(t *testing.T) {
	if os.Getuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
		lab.Missing(t, "root and unshare")
	}
	for commands, want := range map[string]string{
		`mount -t tmpfs -o size=256k t "$HOME"; mkdir -p "$HOME/.local/share/nbremote"; FILL=1`: "home is full",
		`mount -t tmpfs t "$HOME"; RO=1`: "home is read-only",
	} {
		h := newHost(t)
		h.Shell = shellFile(t, "exec unshare -m /bin/sh -c '"+commands+"; export FILL RO\nexec /bin/sh \"$@\"' sh \"$@\"\n")
		// The place is made while there is room: it is the session that finds none.
		_, err := h.sh(`
			rm_run() { rm -rf "$NBR_RUN"; }
			[ -z "${FILL-}" ] || cat /dev/zero >"$HOME/fill" 2>/dev/null
			[ -z "${RO-}" ] || mount -o remount,ro "$HOME"
			trap rm_run EXIT` + strings.Replace(startScript("proj", "exec sleep 1000"), "session_unlock", "", 1))
		var failed *remote.ScriptError
		if !errors.As(err, &failed) || failed.Class() != "missing" || !strings.Contains(failed.Cause(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// With linger a session is in a scope of the user's own, if systemd does it.
func TestScope(t *testing.T) {
	for how, stub := range map[string]string{
		"scope setsid": "#!/bin/sh\necho \"$*\" >>\"$HOME/scopes\"\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n",
		"setsid":       "#!/bin/sh\necho \"$*\" >>\"$HOME/scopes\"\nexit 1\n",
	} {
		h := newHost(t)
		if os.Getuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
			lab.Missing(t, "root and unshare")
		}
		bin := t.TempDir()
		os.WriteFile(bin+"/systemd-run", []byte(stub), 0o755)
		h.Env = append(h.Env, "PATH="+bin+":"+os.Getenv("PATH"))
		h.Shell = shellFile(t, "exec unshare -m /bin/sh -c 'mount -t tmpfs t /var/lib; mkdir -p /var/lib/systemd/linger; : >/var/lib/systemd/linger/root\nexec /bin/sh \"$@\"' sh \"$@\"\n")
		pid := h.start("proj", "exec sleep 1000")
		if i := h.info("proj"); !i.Running || i.PID != pid || i.How != how {
			t.Errorf("%+v, want %s", i, how)
		}
		h.stop("proj")
		if calls, _ := os.ReadFile(h.home + "/scopes"); !strings.HasPrefix(string(calls), "--user --scope -q -- true\n") {
			t.Errorf("%q", calls)
		}
	}
}

// ignored is the line of a process's status that says that it ignores HUP, and
// else only what this test does: no shell can give back a signal that was
// ignored before it, as a shell's own background jobs ignore INT.
func ignored(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`\nSigIgn:\t([0-9a-f]+)\n`).FindSubmatch(status)
	if m == nil {
		t.Fatal("no SigIgn in our own status")
	}
	mask, err := strconv.ParseUint(string(m[1]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("\nSigIgn:\t%016x\n", mask|1)
}
