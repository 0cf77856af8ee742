package test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

var awayRow = regexp.MustCompile(`the page of 1 kernel, since [\d:]+; (\d+) messages \([^)]+\) wait for it`)

// A browser that is killed and started again with its profile gets the page
// again, with its kernel. What the old page has not had is said by status, and
// nothing hangs.
func TestL12_KilledBrowser(t *testing.T) {
	t.Parallel()
	x := newBrowserLab(t, 4*time.Minute)
	const n = 150
	p := x.notebook("killed", x.o.Port, printing(n), "print('still', 'there', i)")
	p.run(0)
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _ := p.lines(n); return lost < n-20 })
	lacked, _ := p.lines(n)
	// All at once: the part of it that has the sockets would close them cleanly,
	// as those of a closed tab, if it saw the page's part die.
	if x.Laptop.Kill("chromium", syscall.SIGSTOP) == 0 {
		t.Fatal("no browser")
	}
	x.Laptop.Kill("chromium", syscall.SIGKILL)
	lab.Wait(t, 20*time.Second, "its end", func() bool { return len(x.Laptop.Running("chromium")) == 0 })
	lab.Wait(t, 20*time.Second, "status to say it", func() bool { return awayRow.MatchString(x.Must("status", "gpu1").Stdout) })

	x.browser = x.Chromium(3 * time.Minute)
	again := &labTab{Context: x.browser, x: x, name: p.name, address: p.address}
	again.visit(p.address + "?token=" + x.o.Token)
	again.run(1)
	await(t, again, "output of the same kernel", fmt.Sprintf(`(%s).includes("still there %d")`, outputs, n-1))
	if d := again.dialogs(); len(d) != 0 {
		t.Errorf("dialogs %q", d)
	}
	r := x.Must("status", "gpu1")
	t.Logf("status, after %v:\n%s", r.Took.Round(time.Millisecond), r.Stdout)
	said := x.Must("open", "--no-browser", "gpu1").Stderr
	t.Logf("open:\n%s", said)
	if !awayRow.MatchString(said) || !strings.Contains(said, "is another page") {
		t.Error("open does not say what the killed browser's page has not had")
	}
	var waits int64
	for _, k := range statusOf(t, x.Lab).Pages[0].Kept {
		if !k.Away.IsZero() {
			waits += k.Messages
		}
	}
	if waits < int64(lacked)/2 {
		t.Errorf("%d lines were not there yet; %d messages wait", lacked, waits)
	}
	if r := x.Must("close", "gpu1"); r.Took > 10*time.Second {
		t.Errorf("close took %v", r.Took)
	}
}
