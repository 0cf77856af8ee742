package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// Without tmux it says so, and Jupyter outlives the line all the same.
func TestR1_NoTmux(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Host("gpu1").Hide("tmux")
	r := l.Must("open", "--no-browser", "gpu1")
	if !strings.Contains(r.Stderr, "without tmux") {
		t.Errorf("it does not say so:\n%s", r.Stderr)
	}
	first := open(t, l, "gpu1")
	l.Must("close", "gpu1")
	l.Host("gpu1").HangUp()
	if back := open(t, l, "gpu1"); !back.Reused || back.Token != first.Token {
		t.Errorf("it did not outlive the line: %+v", back)
	}
	l.Must("stop", "-y", "gpu1")
	lab.Wait(t, 10*time.Second, "Jupyter to be gone", func() bool { return len(l.Host("gpu1").Running("jupyter-lab")) == 0 })
}

func TestR2_NoJupyter(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Jupyter: "none"})
	fails(t, l.Run("open", "--no-browser", "gpu1"), 7, "error: find Jupyter on gpu1: none", "try:")
	x := l.Pty("open", "--no-browser", "gpu1")
	x.Expect("Install JupyterLab in ~/.local/share/nbremote/jupyter?", 20*time.Second)
	x.Type("n\r")
	if r := x.Wait(); r.Exit != 7 {
		t.Errorf("exit %d", r.Exit)
	}
	if found := l.Host("gpu1").ShAs(lab.Me, "ls .local/share/nbremote/jupyter 2>/dev/null || :"); found != "" {
		t.Errorf("installed without a yes: %s", found)
	}
	// An environment that is nowhere to be found is named by its path.
	works(t, l, open(t, l, "--env", lab.Jupyter, "gpu1"))
}

// Names of directories are data, on the way to the host, in tmux, and in the
// address.
func TestR8_F1_F3_NamesAreData(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	names := []string{
		"a b", "it's", `say "hi"`, "$(touch ~/pwned)", "`touch ~/pwned`", "#{pane_pid}", "#(touch ~/pwned)",
		"-n", "%s%n", "semi;touch ~/pwned", "gpu1:1", "trailing ", "back\\slash", "日本",
	}
	for i, name := range names {
		name = strings.ReplaceAll(name, "/", "")
		dir := fmt.Sprintf("/home/me/%d/%s", i, name)
		gpu1.WriteFile(lab.Me, dir+"/here", "")
		r := l.Run("open", "--json", "--no-browser", "gpu1:"+dir)
		if r.Exit != 0 {
			t.Errorf("%q: exit %d\n%s", dir, r.Exit, r.Stderr)
			continue
		}
		o := parseOpened(t, r)
		if o.Directory != dir {
			t.Errorf("%q: it is in %q", dir, o.Directory)
		}
		l.Must("stop", "-y", "gpu1/"+o.Session)
	}
	if found := gpu1.Sh("find /home /tmp /dev/shm /run -name 'pwned*' 2>/dev/null || true"); found != "" {
		t.Errorf("a name was run: %s", found)
	}
}

// Sockets have short names however long that of the directory is.
func TestR8_DeepDirectory(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	deep := "/home/me/" + strings.Repeat("deep/", 60) + "end"
	l.Host("gpu1").ShAs(lab.Me, "mkdir -p "+deep)
	o := open(t, l, "gpu1:"+deep)
	if o.Directory != deep {
		t.Errorf("got %+v", o)
	}
	works(t, l, o)
}

// A Jupyter that was killed is started anew, and its end is seen by ls.
func TestR9_KilledIsStartedAnew(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	first := open(t, l, "gpu1")
	l.Host("gpu1").Kill("jupyter-lab", 9)
	lab.Wait(t, 70*time.Second, "ls to tell", func() bool { return strings.Contains(l.Must("ls").Stdout, "ended") })
	second := open(t, l, "gpu1")
	if second.Reused || second.Port != first.Port {
		t.Errorf("got %+v", second)
	}
	works(t, l, second)
}

// A user's own settings can break any Jupyter; its last lines say so.
func TestR9_DiesAtStart(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.py", "import os; print('my own mistake', flush=True); os._exit(3)\n")
	fails(t, l.Run("open", "--no-browser", "gpu1"), 8, "start Jupyter on gpu1", "exit code 3", "my own mistake")
	gpu1.Sh("rm /home/me/.jupyter/*")
	works(t, l, open(t, l, "gpu1"))
}

// A Jupyter that does not listen in time is reported, not ended: it may only be
// slow. The next open waits for the same one, and stop ends it.
func TestR9_HangsAtStart(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.py", "import time; time.sleep(600)\n")
	for range 2 {
		r := l.Run("open", "--no-browser", "--start-timeout", "3s", "gpu1")
		fails(t, r, 8, "start Jupyter on gpu1", "not listening after", "--start-timeout")
		if running := gpu1.Running("jupyter-lab"); len(running) != 1 {
			t.Errorf("%d Jupyters: %+v", len(running), running)
		}
	}
	l.Must("stop", "-y", "gpu1")
	lab.Wait(t, 10*time.Second, "Jupyter to be gone", func() bool { return len(gpu1.Running("jupyter-lab")) == 0 })
}
