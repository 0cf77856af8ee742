//go:build linux

package session

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/test/lab"
)

// otherSh is a login shell for which /bin/sh is another program.
func otherSh(t *testing.T, program, before string) string {
	t.Helper()
	if os.Getuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
		lab.Missing(t, "root and unshare")
	}
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "sh")
	b, err := os.ReadFile(program)
	if err != nil || os.WriteFile(copied, b, 0o755) != nil {
		t.Fatal(err)
	}
	return shellFile(t, "exec unshare -m "+sh+" -c '"+before+"mount --bind "+copied+" "+sh+"\nexec /bin/sh \"$@\"' sh \"$@\"\n")
}

// The scripts mean the same in every shell that is a /bin/sh somewhere.
func TestR3_EverySh(t *testing.T) {
	for _, name := range []string{"bash", "dash", "busybox", "mksh"} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil {
				lab.Missing(t, name)
			}
			h := newHost(t)
			h.Shell = otherSh(t, path, "")
			if name == "busybox" {
				bin := t.TempDir()
				if err := exec.Command(path, "--install", "-s", bin).Run(); err != nil {
					t.Fatal(err)
				}
				h.Env = append(h.Env, "PATH="+bin)
			}
			whole(t, h)
		})
	}
}

// Without /proc, as on macOS, ps tells what is needed.
func TestSession_NoProc(t *testing.T) {
	h := newHost(t)
	bin := t.TempDir()
	real, err := exec.LookPath("ps")
	if err != nil {
		lab.Missing(t, "ps")
	}
	// ps itself needs /proc: it has it in a place of its own.
	os.WriteFile(bin+"/ps", []byte("#!/bin/sh\nexec unshare -m /bin/sh -c 'mount -t proc p /proc; exec "+real+" \"$@\"' ps \"$@\"\n"), 0o755)
	os.WriteFile(bin+"/sysctl", []byte("#!/bin/sh\necho 0A-BOOT\n"), 0o755)
	h.Env = append(h.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	h.Shell = shellFile(t, "exec unshare -m /bin/sh -c 'mount -t tmpfs t /proc\nexec /bin/sh \"$@\"' sh \"$@\"\n")
	if os.Getuid() != 0 || exec.Command("unshare", "-m", "true").Run() != nil {
		lab.Missing(t, "root and unshare")
	}
	whole(t, h)
	if got := h.must(`printf %s "$NBR_BOOT"`); got != "0A-BOOT" {
		t.Errorf("boot %q", got)
	}
}

// whole is a session's life.
func whole(t *testing.T, h *testHost) {
	t.Helper()
	h.must(`session_make b b; session_lock a 5 && session_lock b 5 && session_unlock`)
	pid := h.start("it's", "echo hello; (trap '' TERM; exec sleep 1000) & wait")
	h.logs("it's", "hello\n")
	if i := h.info("it's"); !i.Running || i.PID != pid || !alive(pid) {
		t.Fatalf("%+v, pid %d", i, pid)
	}
	s, done := h.follow("it's", 10)
	defer done()
	h.stopIn("it's", 1)
	if got, err := io.ReadAll(s); err != nil || !strings.HasPrefix(string(got), "hello\n") {
		t.Errorf("follow: %q, %v", got, err)
	}
	if i := h.info("it's"); i.Running || i.Exit < 0 || i.Ended.IsZero() || alive(pid) {
		t.Errorf("%+v", i)
	}
	h.start("it's", "exit 7")
	if i := h.ended("it's"); i.Exit != 7 {
		t.Errorf("%+v", i)
	}
	r := h.mustBegin(Script{Argv: append(sh(`printf '%s|' "$@"; echo err >&2; exit 9`), "sh", "a b", "\xff\n'", "")})
	if r.out.String() != "a b|\xff\n'||" || r.err.String() != "err\n" || r.end.Exit != 9 {
		t.Errorf("%q, %q, %+v", r.out.String(), r.err.String(), r.end)
	}
	h.must("session_forget job")
	if out := h.must(`put a "é'` + "\n" + `"; session_run b; session_forget ` + Encode("it's") + ` && put gone 1`); out != "a 4\né'\n\ngone 1\n1\n" {
		t.Errorf("%q", out)
	}
}
