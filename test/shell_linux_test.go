package test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

const prompt = "here> "

// shell opens a shell on gpu1 that waits at its prompt.
func shell(t *testing.T, l *lab.Lab, args ...string) *lab.Terminal {
	t.Helper()
	l.Host("gpu1").WriteFile(lab.Me, "/home/"+lab.Me+"/.bash_profile", "PS1='"+prompt+"'\nbind 'set enable-bracketed-paste off'\n")
	x := l.PtyEnv([]string{"TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8"}, append([]string{"shell"}, args...)...)
	x.Expect(prompt, 30*time.Second)
	return x
}

// A shell is the login shell, at a terminal like the one here.
func TestShell_IsATerminal(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "mkdir 'my proj'")
	x := l.Pty("shell", "--help")
	before := x.Modes()
	x.Wait()

	x = shell(t, l, "gpu1")
	x.Type("stty size; echo T:$TERM:$COLORTERM:$(tput colors):$LANG; shopt -q login_shell && echo log''in; umask; pwd\r")
	x.Expect("40 100", 10*time.Second)
	x.Expect("T:xterm-256color:truecolor:256:C.UTF-8", 10*time.Second)
	x.Expect("login\r\n"+strings.TrimSpace(host.ShAs(lab.Me, "umask"))+"\r\n/home/"+lab.Me+"\r\n", 10*time.Second)
	x.Type("until [ \"$(stty size)\" = '30 90' ]; do sleep 0.1; done; echo re''sized\r")
	x.Resize(30, 90)
	x.Expect("\nresized\r\n"+prompt, 10*time.Second)
	x.Type("sleep 301\r")
	lab.Wait(t, 10*time.Second, "sleep", func() bool { return len(host.Running("sleep 301")) == 1 })
	x.Type("\x03")
	x.Expect(prompt, 10*time.Second)
	if n := len(host.Running("sleep 301")); n != 0 {
		t.Errorf("%d run on after Ctrl-C", n)
	}
	if x.Modes() == before {
		t.Error("the terminal is not raw")
	}
	x.Type("exit 3\r")
	if r := x.Wait(); r.Exit != 3 {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	if x.Modes() != before {
		t.Error("the terminal is not as it was")
	}

	x = shell(t, l, "gpu1:my proj")
	x.Type("pwd; sleep 302\r")
	x.Expect("/home/"+lab.Me+"/my proj\r\n", 10*time.Second)
	lab.Wait(t, 10*time.Second, "sleep", func() bool { return len(host.Running("sleep 302")) == 1 })
	x.Type(strings.Repeat("x\r", 300<<10)) // more than a program that does not read can be given
	x.Signal(syscall.SIGTERM)
	if r := x.Wait(); r.Exit != 143 {
		t.Errorf("exit %d after SIGTERM", r.Exit)
	}
	if x.Modes() != before {
		t.Error("the terminal is not as it was after SIGTERM")
	}
	lab.Wait(t, 10*time.Second, "the shell to be hung up", func() bool { return len(host.Running("sleep 302")) == 0 })

	x = l.Pty("shell", "gpu1:nowhere")
	if r := x.Wait(); r.Exit != 255 || !strings.Contains(x.Screen(), "nowhere: there is none") {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
	fails(t, l.Run("shell", "gpu1"), 255, "must be a terminal")
}

// Nothing printed in a cut is lost, and what is typed is kept.
func TestShell_SurvivesACut(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	host := l.Host("gpu1")
	x := shell(t, l, "gpu1")
	x.Type("for i in $(seq 60); do echo line-$i.; sleep 0.5; done\r")
	x.Expect("line-4.", 10*time.Second)
	l.Laptop.Cut()
	end := time.Now().Add(20 * time.Second)
	time.Sleep(2 * time.Second) // the line is down as far as it can be known
	x.Type("echo typed in the cut >>~/typed\r")
	time.Sleep(time.Until(end)) // how long the cut lasts is what is tested
	if strings.Contains(x.Screen(), "line-25.") {
		t.Error("it was not cut")
	}
	if !strings.Contains(x.Screen(), "\x1b]2;gpu1: line down since ") {
		t.Error("the title says nothing")
	}
	l.Laptop.Mend()
	x.Expect("line-60.", 60*time.Second)
	x.Expect(prompt, 10*time.Second)
	x.Type("exit\r")
	if r := x.Wait(); r.Exit != 0 {
		t.Errorf("exit %d", r.Exit)
	}
	at := 0
	for i := 1; i <= 60; i++ {
		line := fmt.Sprintf("line-%d.\r\n", i)
		if n := strings.Count(x.Screen(), line); n != 1 {
			t.Errorf("%q is there %d times", line, n)
		}
		if next := strings.Index(x.Screen(), line); next < at {
			t.Errorf("%q is out of order", line)
		} else {
			at = next
		}
	}
	if typed := host.ShAs(lab.Me, "cat typed"); typed != "typed in the cut\n" {
		t.Errorf("typed: %q", typed)
	}
	if !strings.Contains(x.Screen(), "\x1b[23;2t") {
		t.Error("the title does not go")
	}
}

// A host without the relay is told to, and ends nothing.
func TestShell_NeedsTheRelay(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Host("gpu1").Hide("python3")
	x := l.Pty("shell", "gpu1")
	r := x.Wait()
	if says := x.Screen(); r.Exit != 255 || !strings.Contains(says, "needs the relay") || !strings.Contains(says, "ssh -t gpu1") {
		t.Errorf("exit %d\n%s", r.Exit, says)
	}
}

// The window shows Jupyter's log; neither Ctrl-C nor leaving it ends Jupyter.
func TestAttach_ShowsAndLeaves(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	o := open(t, l, "gpu1")
	env := []string{"TERM=xterm-256color"}
	for _, c := range []struct{ before, says, keys string }{
		{"true", "Ctrl-b d leaves it running", "\x02d"},
		{"tmux -f /dev/null new-session -d -s mine \\; set-option -g prefix C-a", "Ctrl-a d leaves it running", "\x01d"},
	} {
		host.ShAs(lab.Me, c.before)
		x := l.PtyEnv(env, "attach", "gpu1")
		before := x.Modes()
		x.Expect(c.says, 30*time.Second)
		x.Expect("Jupyter Server", 10*time.Second)
		x.Type("\x03\x03")
		x.Type(c.keys)
		if r := x.Wait(); r.Exit != 0 {
			t.Errorf("exit %d\n%s", r.Exit, x.Screen())
		}
		if x.Modes() != before {
			t.Error("the terminal is not as it was")
		}
		if code := status(t, l, o, "/api/status", o.Token); code != http.StatusOK {
			t.Errorf("Jupyter answers %d", code)
		}
	}
	host.Hide("tmux")
	x := l.PtyEnv(env, "attach", "gpu1/main")
	x.Expect("there is no tmux", 30*time.Second)
	x.Expect("Jupyter Server", 10*time.Second)
	x.Type("\x03")
	if r := x.Wait(); r.Exit != 130 {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
}
