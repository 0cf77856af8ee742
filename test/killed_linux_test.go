package test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// A holder that is killed while a person is asked: another one asks again, and
// nothing of the first goes on to be shown.
func TestKilled_HolderThatAsks(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: ann})
	byPassword(l, "gpu1")
	x := l.Pty("open", "gpu1:/none")
	x.Expect("gpu1 asks: password of ann", 30*time.Second)
	if l.Laptop.Kill("nbremote holder", syscall.SIGKILL) != 1 {
		t.Error("there was not one holder")
	}
	x.Expect("✗ gpu1", 30*time.Second)
	lab.Wait(t, 30*time.Second, "another question", func() bool { return strings.Count(x.Screen(), "gpu1 asks") == 2 })
	x.Type("deep water\r")
	if r := x.Wait(); r.Exit != 3 || strings.Contains(x.Screen(), "…") {
		t.Errorf("exit %d\n%s", r.Exit, x.Screen())
	}
}

// A relay that is killed takes its streams with it: that is seen and said, the
// page comes back by itself, and the cell runs to its end.
func TestFallbacks_RelayKilledWhilePrinting(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	stays := l.Start("open", "--foreground", "--no-browser", "gpu1")
	stays.Expect("Ctrl-C closes", time.Minute)
	o := open(t, l, "gpu1")
	const lines = 300
	page := newPage(t, l, o.Port, o.Token)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	page.run(ctx, counting(lines, 0, tick))
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _, _ := page.got(lines); return lost < lines-20 })
	if host.Kill("serve relay-", syscall.SIGKILL) != 1 {
		t.Fatal("no relay was found")
	}
	lab.Wait(t, 30*time.Second, "the cell's end", func() bool { _, _, idle := page.got(lines); return idle })
	page.visibly(t)
	lost, wrong, _ := page.got(lines)
	t.Logf("%d of %d lines lost", lost, lines)
	if lost == lines || wrong != 0 {
		t.Errorf("%d lost, %d wrong", lost, wrong)
	}
	stays.Expect("gpu1: the relay on the host has ended", 20*time.Second)
	if text := l.Must("status").Stdout; !strings.Contains(text, "lost: the relay ended, or its spool was full") {
		t.Errorf("status:\n%s", text)
	}
	goesOn(t, page)
}
