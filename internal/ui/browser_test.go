//go:build unix && !darwin

package ui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const page = "http://127.0.0.1:8890/.nbremote/0123abc"

// opener puts a fake xdg-open alone on PATH and gives the directory where it
// writes its notes.
func opener(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	program(t, dir, "xdg-open", script)
	t.Setenv("PATH", dir)
	t.Setenv("BROWSER", "")
	t.Setenv("DISPLAY", ":0")
	return dir
}

func program(t *testing.T, dir, name, script string) {
	t.Helper()
	text := fmt.Sprintf("#!/bin/sh\nPATH=/bin:/usr/bin\ncd '%s'\n%s\n", dir, script)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func note(t *testing.T, dir, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func TestL7_Opens(t *testing.T) {
	dir := opener(t, `echo "$*" >args; ps -o sid= -p $$ >sid; cat >input; pid=$$; (readlink /proc/$pid/fd/0; readlink /proc/$pid/fd/1; readlink /proc/$pid/fd/2) >streams; echo noise; echo noise >&2`)
	if err := OpenBrowser(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	if got := note(t, dir, "args"); got != page {
		t.Errorf("args: %q", got)
	}
	if got := note(t, dir, "input"); got != "" {
		t.Errorf("it read %q", got)
	}
	if got := note(t, dir, "streams"); got != "/dev/null\n/dev/null\n/dev/null" {
		t.Errorf("streams: %q", got)
	}
	if sid, err := strconv.Atoi(note(t, dir, "sid")); err != nil || sid == getsid(t) {
		t.Errorf("it runs in our session %d, %v", sid, err)
	}
}

func getsid(t *testing.T) int {
	t.Helper()
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	return int(sid)
}

// One that hangs is taken for the browser after the limit, and is left alone.
func TestL7_Hangs(t *testing.T) {
	dir := opener(t, `echo $$ >pid.new; mv pid.new pid; exec sleep 60`)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errSlow) // as the 5 s end
	defer cancel()
	if err := openBrowser(ctx, page); err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, dir)
	if err := syscall.Kill(pid, 0); err != nil {
		t.Error("it was ended:", err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
}

func TestL7_Cancelled(t *testing.T) {
	dir := opener(t, `echo $$ >pid.new; mv pid.new pid; exec sleep 60`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- OpenBrowser(ctx, page) }()
	pid := pidOf(t, dir)
	cancel()
	if err := <-done; ExitCode(err) != 130 {
		t.Error(err)
	}
	eventually(t, "the end of the opener", func() bool { return syscall.Kill(pid, 0) != nil })
}

func pidOf(t *testing.T, dir string) int {
	t.Helper()
	eventually(t, "the start of the opener", func() bool {
		_, err := os.Stat(filepath.Join(dir, "pid"))
		return err == nil
	})
	pid, err := strconv.Atoi(note(t, dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: not in 20 s", what)
		}
	}
}

func TestL7_Fails(t *testing.T) {
	dir := opener(t, "exit 3")
	err := OpenBrowser(t.Context(), page)
	if err == nil || err.Error() != "xdg-open: exit status 3" {
		t.Error(err)
	}
	program(t, dir, "x-www-browser", `echo "$1" >args`)
	if err := OpenBrowser(t.Context(), page); err != nil || note(t, dir, "args") != page {
		t.Error("the next one was not tried:", err)
	}
}

func TestL7_NoBrowser(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"headless":   {map[string]string{"DISPLAY": ""}, "no display"},
		"ssh":        {map[string]string{"DISPLAY": "", "SSH_CONNECTION": "a 1 b 2"}, "this is an SSH session"},
		"no program": {map[string]string{"PATH": "/nonexistent"}, "no program to open one: xdg-open"},
		"wrong name": {map[string]string{"BROWSER": "none"}, "no program to open one: none"},
	} {
		t.Run(name, func(t *testing.T) {
			opener(t, "touch ran")
			for _, k := range []string{"WAYLAND_DISPLAY", "SSH_CONNECTION", "WSL_DISTRO_NAME"} {
				t.Setenv(k, "")
			}
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			if err := OpenBrowser(t.Context(), page); err == nil || err.Error() != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestL7_BrowserVariable(t *testing.T) {
	for value, want := range map[string]string{
		"mine":                  page,
		"missing:mine --new %s": "--new " + page,
		"bad:mine -u=%s -x":     "-u=" + page + " -x",
		" : mine ":              page,
	} {
		dir := opener(t, "echo wrong >args")
		t.Setenv("DISPLAY", "")
		program(t, dir, "mine", `echo "$*" >args`)
		program(t, dir, "bad", "exit 1")
		t.Setenv("BROWSER", value)
		if err := OpenBrowser(t.Context(), page); err != nil || note(t, dir, "args") != want {
			t.Errorf("%q: %q, %v", value, note(t, dir, "args"), err)
		}
	}
}

// Only a page of this computer is opened, whatever the caller was told.
func TestOpenBrowser_OtherAddresses(t *testing.T) {
	dir := opener(t, "touch ran")
	for _, address := range []string{
		"", "file:///etc/passwd", "https://127.0.0.1:1/", "http://localhost:1/", "http://127.0.0.1/", "http://127.0.0.1:0/",
		"http://127.0.0.1:99999/", "http://127.0.0.1:80@evil/", "http://x@127.0.0.1:80/", "http://127.0.0.1:1/\n", "http://127.0.0.1:1/ -x",
		"http://127.0.0.1:1/\x1b", "http://127.0.0.1:1/$(id)", "http://127.0.0.1:1/`id`", "http://127.0.0.1.evil:1/", "--help",
		"HTTP://127.0.0.1:1/", "http://127.0.0.1:1/\u202e", "http://127.0.0.1:1/" + strings.Repeat("a", 3000),
	} {
		if err := OpenBrowser(t.Context(), address); err == nil {
			t.Errorf("%q was opened", address)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the opener ran")
	}
}
