package ui

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// screenUI is a UI on a make-believe terminal of that many columns.
func screenUI(out *bytes.Buffer, columns int) *UI {
	u := New(Options{Stderr: out})
	u.mode, u.moves, u.width = transcript, true, func() int { return columns }
	return u
}

// screen is what a terminal shows after out: \r goes back, text overwrites.
func screen(out string) string {
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		cells := []rune{}
		for part := range strings.SplitSeq(line, "\r") {
			written := []rune(part)
			if len(written) > len(cells) {
				cells = append(cells, make([]rune, len(written)-len(cells))...)
			}
			copy(cells, written)
		}
		lines[i] = strings.TrimRight(string(cells), " ")
	}
	return strings.Join(lines, "\n")
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// The transcript of ux.md, letter by letter.
func TestTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := screenUI(&out, 100)
		u.Start("bastion", "signing in").DoneIn("signed in (agent), host key saved", 400*time.Millisecond)
		u.Start("gpu1", "signing in").DoneIn("signed in (agent)", 500*time.Millisecond)
		u.Line("found", "JupyterLab 4.6.6 in conda base; also: ds, old (--env NAME)")
		s := u.Start("started", "starting gpu1/main")
		time.Sleep(2 * time.Second)
		s.Done("gpu1/main in tmux, directory ~")
		u.Ready("gpu1/main", "http://127.0.0.1:8890", "opened in your browser")
		u.Note("GPU 0 H100 96 %\n  Again: nbremote open")
		u.Line("gpu1/main", "running since yesterday 18:02; your tab is connected, nothing opened")
		u.Start("found", "looking").Warn("no Jupyter (PATH, conda, ~/.venv, pipx, uv)")
		same(t, screen(out.String()), `  ✓ bastion   signed in (agent), host key saved      0.4s
  ✓ gpu1      signed in (agent)                      0.5s
  ✓ found     JupyterLab 4.6.6 in conda base; also: ds, old (--env NAME)
  ✓ started   gpu1/main in tmux, directory ~         2.0s
  ✓ ready     opened in your browser
  GPU 0 H100 96 %
    Again: nbremote open
  ✓ gpu1/main   running since yesterday 18:02; your tab is connected, nothing opened
  ! found     no Jupyter (PATH, conda, ~/.venv, pipx, uv)
`)
	})
}

func TestLineInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := screenUI(&out, 60)
		s := u.Start("gpu1", "signing in")
		at := func(d time.Duration, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			u.mu.Lock()
			defer u.mu.Unlock()
			same(t, screen(out.String()), want)
		}
		at(299*time.Millisecond, "")
		at(2*time.Millisecond, "  … gpu1      signing in")
		at(5*time.Second, "  … gpu1      signing in  5s")
		s.Update("waiting")
		at(0, "  … gpu1      waiting  5s")
		u.Note("by the way")
		at(0, "  by the way\n  … gpu1      waiting  5s")
		s.Pause()
		at(3*time.Second, "  by the way\n")
		s.Update("signing in")
		at(0, "  by the way\n  … gpu1      signing in  8s")
		inner := u.Start("gpu2", "also")
		at(time.Second, "  by the way\n  … gpu2      also")
		inner.Done("in")
		at(0, "  by the way\n  ✓ gpu2      in                                     1.0s\n  … gpu1      signing in  9s")
		s.Fail("")
		s.Done("too late")
		at(time.Minute, "  by the way\n  ✓ gpu2      in                                     1.0s\n  ✗ gpu1      signing in                             9.3s\n")
	})
}

// A window of 20 columns: the line in progress never wraps, and what is done
// is said without columns.
func TestL6_NarrowWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := screenUI(&out, 20)
		s := u.Start("gpu1", "looking around on a host with a 長い name")
		time.Sleep(7 * time.Second)
		synctest.Wait()
		u.mu.Lock()
		for part := range strings.SplitSeq(out.String(), "\r") {
			if wide(part) > 19 {
				t.Errorf("%d columns: %q", wide(part), part)
			}
		}
		u.mu.Unlock()
		s.Done("found")
		if !strings.HasSuffix(screen(out.String()), "  ✓ gpu1 found 7.0s\n") {
			t.Errorf("%q", screen(out.String()))
		}
	})
}

// Without cursor movement a long step gets lines of its own.
func TestL6_DumbTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := screenUI(&out, 80)
		u.moves, u.unicode = false, false
		s := u.Start("gpu1", "signing in")
		time.Sleep(16 * time.Second)
		synctest.Wait()
		s.Done("signed in (ü…)")
		same(t, out.String(), `  . gpu1      signing in  5s
  . gpu1      signing in  15s
  + gpu1      signed in (\u00fc...)                  16.0s
`)
	})
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := New(Options{Stderr: &out})
		s := u.Start("gpu1", "signing in to gpu1")
		time.Sleep(21 * time.Second)
		synctest.Wait()
		s.Done("signed in (agent)")
		u.Begin("late")
		u.Start("found", "looking").Warn("no Jupyter")
		u.Start("gpu2", "looking").Fail("")
		u.Note("one\ntwo")
		u.Verbose("unheard")
		u.Ready("gpu1/main", "http://127.0.0.1:8890", "opened in your browser")
		same(t, out.String(), `nbremote: starting (signing in to gpu1)
nbremote: still at gpu1: signing in to gpu1 (10s)
nbremote: still at gpu1: signing in to gpu1 (20s)
nbremote: gpu1: signed in (agent)
nbremote: warning: found: no Jupyter
nbremote: one
nbremote: two
nbremote: gpu1/main: opened in your browser
nbremote: ready gpu1/main http://127.0.0.1:8890
`)
	})
}

// The contract's first line comes before the last, whatever the command does.
func TestPlain_ReadyAlone(t *testing.T) {
	var out bytes.Buffer
	New(Options{Progress: "plain", Stderr: &out}).Ready("gpu1/main", "http://127.0.0.1:8890", "")
	same(t, out.String(), "nbremote: starting gpu1/main\nnbremote: ready gpu1/main http://127.0.0.1:8890\n")
}

func TestObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := New(Options{Progress: "json", Stderr: &out, Verbose: 1})
		u.Begin("gpu1")
		s := u.Start("gpu1", "signing in")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		s.Update("still")
		s.Done("in")
		u.Line("a", "b")
		u.Note("n")
		u.Verbose("v")
		u.Ready("gpu1/main", "http://127.0.0.1:1", "told")
		u.Error(&classed{text: "t", class: "start"}, "")
		same(t, out.String(), `{"event":"starting","text":"gpu1"}
{"event":"step","name":"gpu1","state":"start","text":"signing in"}
{"event":"step","name":"gpu1","state":"waiting","text":"signing in","ms":10000}
{"event":"step","name":"gpu1","state":"update","text":"still"}
{"event":"step","name":"gpu1","state":"done","text":"in","ms":11000}
{"event":"step","name":"a","state":"done","text":"b"}
{"event":"note","text":"n"}
{"event":"verbose","text":"v"}
{"event":"ready","name":"gpu1/main","text":"told","url":"http://127.0.0.1:1"}
{"event":"error","error":"t","class":"start","exit":8}
`)
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
	})
}

func TestNone_ErrorsOnly(t *testing.T) {
	for _, o := range []Options{{Progress: "none"}, {Quiet: true}, {Quiet: true, Progress: "plain"}} {
		var out bytes.Buffer
		o.Stderr, o.Verbose = &out, 2
		u := New(o)
		u.Begin("x")
		u.Start("a", "b").Done("c")
		u.Note("n")
		u.Verbose("v")
		u.Ready("a", "b", "c")
		if out.Len() > 0 {
			t.Errorf("%+v: %q", o, out.String())
		}
		u.Error(&classed{text: "t"}, "")
		same(t, out.String(), "nbremote: error: t\n")
	}
}

// Lines do not break into a question on the same terminal.
func TestHeldWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		u := screenUI(&out, 80)
		s := u.Start("gpu1", "signing in")
		time.Sleep(time.Second)
		synctest.Wait()
		end := u.quiet()
		u.Note("held")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.Update("waiting")
		same(t, screen(out.String()), "")
		end()
		same(t, screen(out.String()), "  held\n  … gpu1      waiting  11s")
		s.Done("in")
	})
}
