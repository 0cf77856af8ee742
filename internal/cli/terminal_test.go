package cli

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/test/lab"
)

// Nothing of ours is written into the middle of what the far program writes.
func TestUnfinished(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "plain\r\n": false, "é": false, "\xc3": true, "\xe2\x82": true, "a\xff": false,
		"\x1b": true, "\x1b[": true, "\x1b[38;5": true, "\x1b[0m": false, "\x1b[0mtext": false, "\x1b[?1049h": false,
		"\x1b]2;tit": true, "\x1b]2;title\x07": false, "\x1b]2;title\x1b\\": false, "\x1b]2;title\x1b": true,
		"\x1bPq#0": true, "\x1bPq\x1b\\": false, "\x1b(": true, "\x1b(B": false, "\x1b7": false,
	} {
		if got := unfinished([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestScreen_TitleComesAndGoes(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out}
	s.untitle("gpu1")
	s.write([]byte("\x1b[3"))
	s.title("down")
	if out.String() != "\x1b[3" {
		t.Errorf("within a sequence: %q", out.String())
	}
	s.write([]byte("1m"))
	out.Reset()
	s.title("down\x07\x1b[2J")
	s.untitle("gpu1")
	if want := "\x1b[22;2t\x1b]2;down\\x07\\x1b[2J\x07\x1b]2;gpu1\x07\x1b[23;2t"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

// What the far program has left behind is known, however its output came.
func TestScreen_KnowsTheAlternateScreen(t *testing.T) {
	s := &screen{w: &bytes.Buffer{}}
	for _, c := range []struct {
		text string
		full bool
	}{{"a\x1b[?10", false}, {"49h", true}, {strings.Repeat("x", 1000), true}, {"\x1b[?1049l", false}, {"\x1b[?1049h\x1b[?1049l\x1b[?1049h", true}} {
		s.write([]byte(c.text))
		if s.full != c.full {
			t.Errorf("after %.20q: %v", c.text, s.full)
		}
	}
}

func TestDownTitle(t *testing.T) {
	at := time.Date(2026, 1, 2, 14, 2, 0, 0, time.Local)
	if got := downTitle("gpu1", holder.Down, at); got != "gpu1: line down since 14:02, what you type is kept" {
		t.Error(got)
	}
	if got := downTitle("gpu1", holder.NeedsSignIn, at); !strings.Contains(got, "nbremote open gpu1") {
		t.Error(got)
	}
}

func TestLeaving(t *testing.T) {
	if got := leaving("C-b", false); got != "Ctrl-b d leaves it running" {
		t.Error(got)
	}
	if got := leaving("M-a", true); got != "Alt-a Alt-a d leaves it running" {
		t.Error(got)
	}
}

// The terminal and the locale from here, where they are sane and the host has them.
func TestFarTerminal(t *testing.T) {
	lab.Needs(t, "infocmp")
	if out, _ := exec.Command("locale", "-a").Output(); !strings.Contains(strings.ToLower(strings.ReplaceAll(string(out), "-", "")), "c.utf8\n") {
		lab.Missing(t, "the locale C.UTF-8")
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want string // TERM LANG LC_ALL COLORTERM
	}{
		{"plain", map[string]string{"TERM": "xterm", "LANG": "C.UTF-8", "COLORTERM": "truecolor"}, "xterm C.UTF-8  truecolor"},
		{"unknown to the host", map[string]string{"TERM": "no-such-terminal", "LANG": "xx_XX.UTF-8"}, "xterm-256color host  "},
		{"none", nil, "xterm-256color host  "},
		{"hostile", map[string]string{"TERM": "x'; touch /tmp/x; '", "LANG": "C.UTF-8'; true", "COLORTERM": "$(id)"}, "xterm-256color host  "},
	} {
		cmd := exec.Command("/bin/sh", "-c", farTerminal(func(name string) string { return c.env[name] })+`printf '%s %s %s %s' "$TERM" "$LANG" "${LC_ALL-}" "${COLORTERM-}"`)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=host"}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
	}
}
