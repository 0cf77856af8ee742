//go:build linux

package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeNotifier is a notify-send, alone on PATH, that writes its arguments down.
func fakeNotifier(t *testing.T) (notes string) {
	t.Helper()
	dir := t.TempDir()
	notes = filepath.Join(dir, "notes")
	script := "#!/bin/sh\nfor a; do printf '%s\\n' \"$a\" >>" + notes + "; done\n"
	if err := os.WriteFile(filepath.Join(dir, "notify-send"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", dir)
	return notes
}

// Text of a host is text: no option, no markup, no control character.
func TestNotice_ForeignText(t *testing.T) {
	notes := fakeNotifier(t)
	if err := Notice("--help \x1b[2J of <b>gpu1</b>", "<img src=x> & \"quotes\" `x` $(x) \u202e"); err != nil {
		t.Fatal(err)
	}
	raw, _ := os.ReadFile(notes)
	args := strings.Split(string(raw), "\n")
	if strings.HasPrefix(args[0], "-") || strings.Contains(args[0], "\x1b") || args[1] != "&lt;img src=x&gt; &amp; quotes x (x) u202e" {
		t.Errorf("%q", args)
	}
}

// Where there is no desktop it is an error, and no bus is started.
func TestNotice_NoDesktop(t *testing.T) {
	notes := fakeNotifier(t)
	dir := filepath.Dir(notes)
	os.Remove(filepath.Join(dir, "notify-send"))
	started := filepath.Join(dir, "started")
	os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte("#!/bin/sh\n: >"+started+"\n"), 0o755)
	if err := Notice("x", "y"); err == nil {
		t.Error("it was shown")
	}
	if _, err := os.Stat(started); err == nil {
		t.Error("a bus was started")
	}
}
