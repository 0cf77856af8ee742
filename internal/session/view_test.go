//go:build linux

package session

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

// The window has the user's own prefix key, says how to leave it, and takes
// keys that come at once as keys.
func TestShow(t *testing.T) {
	lab.Needs(t, "tmux")
	h := newHost(t)
	tmp := t.TempDir()
	h.Env = append(h.Env, "TMUX_TMPDIR="+tmp)
	h.start("proj", "echo out; exec sleep 1000")
	theirs := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("tmux", append([]string{"-f", "/dev/null"}, args...)...)
		cmd.Env = append(os.Environ(), "TMUX_TMPDIR="+tmp, "TMUX=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, c := range []struct{ set, prefix, says string }{
		{"", "C-b", "Ctrl-b d leaves"}, {"C-a", "C-a", "Ctrl-a d leaves"}, {"M-x", "M-x", "Alt-x d leaves"}, {"None", "C-b", "Ctrl-b d leaves"},
	} {
		if c.set != "" {
			theirs("new-session", "-d", ";", "set-option", "-g", "prefix", c.set)
		}
		v, err := Show(context.Background(), h, "proj")
		if c.set != "" {
			server, _ := strconv.Atoi(theirs("display-message", "-p", "#{pid}"))
			theirs("kill-server")
			if !eventually(t, func() bool { return syscall.Kill(server, 0) != nil }) {
				t.Fatal("their tmux does not end")
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if v.Prefix != c.prefix || !strings.HasPrefix(v.ID, "$") || !strings.HasSuffix(v.Sock, "/tmux.sock") || !strings.HasSuffix(v.Tmux, "/tmux") {
			t.Errorf("%q: %+v", c.set, v)
		}
		options := h.must(`nbr_window proj; nbr_tmux show-options -t "$nbr_id"`)
		for _, want := range []string{c.says, "prefix " + c.prefix, "assume-paste-time 0", "status on"} {
			if !strings.Contains(options, want) {
				t.Errorf("%q: no %q in\n%s", c.set, want, options)
			}
		}
	}
	var said *remote.ScriptError
	if _, err := Show(context.Background(), h, "none"); !errors.As(err, &said) || said.Class() != "not-found" {
		t.Errorf("%v", err)
	}
}
