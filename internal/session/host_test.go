//go:build linux

package session

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
)

// testHost is this machine with a home of the test's own.
type testHost struct {
	remote.Local
	t    *testing.T
	home string
}

func newHost(t *testing.T, env ...string) *testHost {
	t.Helper()
	home := t.TempDir()
	h := &testHost{t: t, home: home}
	h.Env = append([]string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}, env...)
	t.Cleanup(h.clear)
	return h
}

// clear ends every session and the tmux server, and removes the place for
// sockets, which is outside of the home.
func (h *testHost) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := h.Run(ctx, script(`
		end() { session_stop "$1" 0; }
		session_each end
		nbr_tmux kill-server
		put run "$NBR_RUN"`))
	if err != nil {
		h.t.Errorf("clear: %v", err)
		return
	}
	fields, _ := remote.ParseFields(out)
	for _, f := range fields {
		if run := string(f.Value); f.Name == "run" && filepath.IsAbs(run) && strings.Contains(run, "nbr.") {
			os.RemoveAll(run)
		}
	}
	if left := h.left(); len(left) > 0 {
		h.t.Errorf("left behind: %v", left)
	}
}

// left lists the processes that still have the home in their environment.
func (h *testHost) left() []string {
	var out []string
	eventually(h.t, func() bool {
		out = nil
		environs, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, path := range environs {
			raw, _ := os.ReadFile(path)
			if bytes.Contains(raw, []byte("HOME="+h.home+"\x00")) {
				cmd, _ := os.ReadFile(filepath.Dir(path) + "/cmdline")
				out = append(out, fmt.Sprintf("%s: %q", filepath.Dir(path), cmd))
			}
		}
		return len(out) == 0
	})
	return out
}

// sh runs a script with Lib before it.
func (h *testHost) sh(body string) (string, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := h.Run(ctx, script(body))
	return string(out), err
}

// must is sh for scripts that end well.
func (h *testHost) must(body string) string {
	h.t.Helper()
	out, err := h.sh(body)
	if err != nil {
		h.t.Fatalf("script: %v\n%s", err, out)
	}
	return out
}

func startScript(name, command string) string {
	enc := Encode(name)
	return fmt.Sprintf(`
		session_lock %s 60 || fail other "no lock"
		session_make %[1]s %s
		printf '%%s\n' %s >"$S_DIR/run.sh"
		session_start %[1]s
		session_unlock
		printf %%s "$S_PID"`, enc, remote.Quote(name), remote.Quote(command))
}

// start runs a command and returns its pid, 0 if it ended at once.
func (h *testHost) start(name, command string) int {
	h.t.Helper()
	pid, _ := strconv.Atoi(h.must(startScript(name, command)))
	return pid
}

func (h *testHost) info(name string) Info {
	h.t.Helper()
	infos, err := List(context.Background(), h)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, i := range infos {
		if i.Name == name {
			return i
		}
	}
	h.t.Fatalf("no session %q in %v", name, infos)
	return Info{}
}

// ended waits until the session is over and known to be.
func (h *testHost) ended(name string) Info {
	h.t.Helper()
	var i Info
	if !eventually(h.t, func() bool { i = h.info(name); return !i.Running }) {
		h.t.Fatalf("%q does not end: %+v", name, i)
	}
	return i
}

func (h *testHost) tail(name string) string {
	h.t.Helper()
	out, err := tailOf(h, name, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(out)
}

// logs waits until the log holds text.
func (h *testHost) logs(name, text string) {
	h.t.Helper()
	if !eventually(h.t, func() bool { return strings.Contains(h.tail(name), text) }) {
		h.t.Fatalf("%q is not in the log of %q: %q", text, name, h.tail(name))
	}
}

func eventually(t *testing.T, ok func() bool) bool {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

func alive(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(raw), ") Z ")
}

// without is a PATH that has everything but some programs.
func without(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"/usr/bin", "/bin", "/usr/sbin", "/sbin"} {
		entries, _ := os.ReadDir(from)
		for _, e := range entries {
			os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name()))
		}
	}
	for _, p := range programs {
		os.Remove(filepath.Join(dir, p))
	}
	return dir
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}
