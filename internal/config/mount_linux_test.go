package config

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nbremote/test/lab"
)

// elsewhere runs the calling test once more in a process of its own, whose
// attributes make sets, and there runs body. mount tests see a file system that
// ends with the process.
func elsewhere(t *testing.T, why string, attributes *syscall.SysProcAttr, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv("CONFIG_TEST_ELSEWHERE") == t.Name() {
		body(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	scratch := publicDir(t)
	cmd.Env = append(os.Environ(), "CONFIG_TEST_ELSEWHERE="+t.Name(), "TMPDIR="+scratch, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr, cmd.Dir = attributes, "/"
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && bytes.Contains(out, []byte("--- PASS: "+t.Name())):
	case len(out) == 0:
		lab.Missing(t, why+": "+err.Error())
	case bytes.Contains(out, []byte("--- SKIP: ")):
		lab.Missing(t, string(out))
	default:
		t.Errorf("%v: %s", err, out)
	}
}

// publicDir is a directory that every user can reach and write to.
func publicDir(t *testing.T) string {
	t.Helper()
	for _, top := range []string{os.TempDir(), "/dev/shm"} {
		if !reachable(top) {
			continue
		}
		dir, err := os.MkdirTemp(top, "config-test")
		must(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		must(t, os.Chmod(dir, 0o777))
		return dir
	}
	lab.Missing(t, "a directory that others can reach")
	return ""
}

func reachable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// asNobody runs body without root's rights.
func asNobody(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		body(t)
		return
	}
	elsewhere(t, "another user", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, body)
}

// withMounts runs body where it may mount.
func withMounts(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	elsewhere(t, "namespaces", &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}, body)
}

func tmpfs(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		lab.Missing(t, "mount: "+err.Error())
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// A full disk leaves the old file, and nothing beside it.
func TestL13_FullDisk(t *testing.T) {
	withMounts(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "disk")
		tmpfs(t, dir, 0, "size=64k,mode=0700")
		path := filepath.Join(dir, "f")
		must(t, WriteFile(path, []byte("old")))
		err := WriteFile(path, bytes.Repeat([]byte("x"), 1<<20))
		if err == nil || !strings.HasPrefix(err.Error(), "write "+path+": ") || !strings.Contains(err.Error(), "no space left") {
			t.Error(err)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != "old" {
			t.Errorf("%q, %v", raw, err)
		}
		onlyFile(t, path)
	})
}

// A home where nothing can be written: the commands share a directory all the
// same, that of the login, else one in the temporary directory.
func TestL8_ReadOnlyHome(t *testing.T) {
	withMounts(t, func(t *testing.T) {
		dir := homeDir(t)
		tmpfs(t, dir, unix.MS_RDONLY, "mode=0700")
		tmp, err := os.MkdirTemp("", "t")
		must(t, err)
		t.Setenv("TMPDIR", tmp)
		wantDir(t, StateDir, filepath.Join(tmp, "nbremote-0"))
		wantDir(t, RunDir, filepath.Join(tmp, "nbremote-0", "run"))
		runtime := runtimeDir(t)
		wantDir(t, StateDir, filepath.Join(runtime, "nbremote", "state"))
		wantDir(t, RunDir, filepath.Join(runtime, "nbremote"))
		if c, err := Load(); err != nil || c.DefaultHost != "" {
			t.Error(c, err)
		}
	})
}

// A directory of ours that was made before the home became read-only.
func TestL8_ReadOnlyState(t *testing.T) {
	withMounts(t, func(t *testing.T) {
		dir := homeDir(t)
		tmpfs(t, dir, 0, "mode=0700")
		state, err := StateDir()
		must(t, err)
		if !strings.HasPrefix(state, dir) {
			t.Fatal(state)
		}
		must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		if got, err := StateDir(); err != nil || got == state {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// Somebody else has made the directory in /tmp first: it is not used.
func TestB7_SquattedTemp(t *testing.T) {
	asNobody(t, func(t *testing.T) {
		home(t)
		t.Setenv("HOME", "/nonexistent/home")
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		dir := filepath.Join(tmp, "nbremote-"+userID())
		must(t, os.Symlink(t.TempDir(), dir))
		refused(t, StateDir, dir, "a link or a file, not a directory")
		must(t, os.Remove(dir))
		wantDir(t, StateDir, dir)
	})
}

func TestL8_Unreadable(t *testing.T) {
	asNobody(t, func(t *testing.T) {
		path := home(t)
		put(t, path, "default_host = 'a'")
		must(t, os.Chmod(path, 0))
		if _, err := Load(); err == nil || err.Error() != path+": cannot be read: permission denied" {
			t.Error(err)
		}
	})
}
