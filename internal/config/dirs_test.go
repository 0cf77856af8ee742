//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/test/lab"
)

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// homeDir is an empty home and its directory.
func homeDir(t *testing.T) string {
	t.Helper()
	return strings.TrimSuffix(home(t), "/.config/nbremote/config.toml")
}

// runtimeDir is a good XDG_RUNTIME_DIR.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "r")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return dir
}

func wantDir(t *testing.T, find func() (string, error), want string) {
	t.Helper()
	got, err := find()
	if err != nil || got != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
	if m := mode(t, got); m != os.ModeDir|0o700 {
		t.Errorf("%s has mode %v", got, m)
	}
}

func TestB7_Modes(t *testing.T) {
	dir := homeDir(t)
	state := filepath.Join(dir, ".local/state/nbremote")
	wantDir(t, StateDir, state)
	wantDir(t, StateDir, state) // it is there now
	wantDir(t, RunDir, filepath.Join(state, "run"))
	if m := mode(t, filepath.Join(dir, ".local")); m.Perm() != 0o700 {
		t.Errorf(".local has mode %v", m)
	}
	runtime := runtimeDir(t)
	wantDir(t, RunDir, filepath.Join(runtime, "nbremote"))
	other := t.TempDir()
	t.Setenv("XDG_STATE_HOME", other)
	wantDir(t, StateDir, filepath.Join(other, "nbremote"))
	t.Setenv("XDG_STATE_HOME", "relative")
	wantDir(t, StateDir, state)
	must(t, os.Chmod(state, 0o755)) // others could only look
	wantDir(t, StateDir, state)
}

func TestB7_Refused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"group":   {func(t *testing.T, d string) { must(t, os.MkdirAll(d, 0o700)); must(t, os.Chmod(d, 0o720)) }, "others can write to it, so it is not used"},
		"others":  {func(t *testing.T, d string) { must(t, os.MkdirAll(d, 0o700)); must(t, os.Chmod(d, 0o1777)) }, "others can write to it, so it is not used"},
		"file":    {func(t *testing.T, d string) { put(t, d, "") }, "a link or a file, not a directory"},
		"link":    {func(t *testing.T, d string) { put(t, d+"x", ""); must(t, os.Symlink(t.TempDir(), d)) }, "a link or a file, not a directory"},
		"foreign": {foreign, "belongs to another user, so it is not used"},
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(homeDir(t), ".local/state/nbremote")
			c.spoil(t, state)
			refused(t, StateDir, state, c.want)
			refused(t, RunDir, state, c.want)
			home(t)
			run := filepath.Join(runtimeDir(t), "nbremote")
			c.spoil(t, run)
			refused(t, RunDir, run, c.want)
		})
	}
}

func foreign(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if os.Chown(dir, 12345, 12345) != nil {
		lab.Missing(t, "root")
	}
}

func refused(t *testing.T, find func() (string, error), dir, want string) {
	t.Helper()
	_, err := find()
	var wrong *Error
	if !errors.As(err, &wrong) || err.Error() != dir+": "+want || wrong.Hint() == "" {
		t.Errorf("%v, want %s: %s", err, dir, want)
	}
}

// After su or sudo, XDG_RUNTIME_DIR is somebody else's; it may be gone, or be
// open to all.
func TestL8_RuntimeDirIgnored(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string) string{
		"relative": func(t *testing.T, d string) string { return "run" },
		"missing":  func(t *testing.T, d string) string { return d + "/no" },
		"file":     func(t *testing.T, d string) string { put(t, d+"/f", ""); return d + "/f" },
		"writable": func(t *testing.T, d string) string { must(t, os.Chmod(d, 0o777)); return d },
		"foreign":  func(t *testing.T, d string) string { foreign(t, d); return d },
		"long": func(t *testing.T, d string) string {
			long := d + "/" + strings.Repeat("x", 100)
			must(t, os.Mkdir(long, 0o700))
			return long
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := homeDir(t)
			t.Setenv("XDG_RUNTIME_DIR", spoil(t, runtimeDir(t)))
			wantDir(t, RunDir, filepath.Join(dir, ".local/state/nbremote/run"))
		})
	}
}

// Where the path is too long for a socket, a person is told what to do.
func TestL8_LongHome(t *testing.T) {
	long := filepath.Join(homeDir(t), strings.Repeat("x", 80))
	t.Setenv("HOME", long)
	_, err := RunDir()
	var wrong *Error
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Hint(), "XDG_RUNTIME_DIR") {
		t.Error(err)
	}
	if maxRun+len("/0123456789abcdef.sock")+1 != 104 {
		t.Errorf("a socket's path may have %d bytes", maxRun)
	}
}
