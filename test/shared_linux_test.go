package test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// second is another person at the laptop, with the same account on the hosts.
type second struct {
	t *testing.T
	l *lab.Lab
}

func newAnn(t *testing.T, l *lab.Lab) second {
	t.Helper()
	account := l.Laptop.AddAccount(lab.Account{Name: "ann"})
	for _, name := range []string{"id_ed25519", "config", "known_hosts"} {
		l.Laptop.WriteFile(account.Name, account.Home+"/.ssh/"+name, l.Laptop.ReadFile("/home/me/.ssh/"+name))
	}
	return second{t, l}
}

func (a second) run(args ...string) lab.Result {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), lab.Limit)
	defer cancel()
	cmd := a.l.Laptop.As(ctx, "ann", append([]string{"/usr/local/bin/nbremote"}, args...)...)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	_ = cmd.Run()
	return lab.Result{Stdout: out.String(), Stderr: said.String(), Exit: cmd.ProcessState.ExitCode()}
}

// In a shared account nobody's Jupyter is used, ended or started anew by
// somebody else, unless he says so.
func TestShared_NothingOfAnothersUnasked(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	a := newAnn(t, l)
	mine := open(t, l, "gpu1")

	fails(t, a.run("open", "gpu1", "--no-browser"), 2, "nobody can be asked whether to use gpu1/main, which me started", "--name ann")
	own := parseOpened(t, a.run("open", "gpu1", "--no-browser", "--json", "-y"))
	if own.Session != "ann" || own.Token == mine.Token || own.Reused {
		t.Errorf("got %+v", own)
	}
	for _, command := range [][]string{{"stop", "gpu1"}, {"stop", "gpu1/main"}, {"restart", "gpu1/main"}} {
		fails(t, a.run(command...), 2, "nobody can be asked whether to end gpu1/main, which me started", "nbremote stop gpu1/main -y")
	}
	fails(t, a.run("stop", "gpu1", "-y"), 2, "was started by another user (me)")
	fails(t, a.run("restart", "gpu1", "-y"), 2, "was started by another user (me)")
	fails(t, a.run("stop", "gpu1/main", "--idle", "1s", "-y"), 0, "left gpu1/main running: me started it")
	fails(t, a.run("stop", "gpu1", "--all", "-y"), 0, "left gpu1/main running: me started it", "gpu1/ann has ended")
	works(t, l, mine)

	a.l.Must("open", "--no-browser", "gpu1") // it is still the same
	if r := a.run("stop", "gpu1/main", "-y"); r.Exit != 0 {
		t.Errorf("said by name: exit %d\n%s", r.Exit, r.Stderr)
	}
	lab.Wait(t, 20*time.Second, "its end", func() bool { return len(host.Running("jupyter-lab")) == 0 })
	if r := a.run("close", "gpu1"); r.Exit != 0 {
		t.Errorf("close: %s", r.Stderr)
	}
}
