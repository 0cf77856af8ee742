package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/test/lab"
)

// spoolDir is where the relay on a host keeps what waits.
const spoolDir = "/home/me/.local/share/nbremote/spool"

// spoolOf mounts a file system of a size for what waits on the host. A tenth of
// what is free there is the relay's.
func spoolOf(host *lab.Machine, size string) {
	host.Sh("install -d -o me -g me -m 700 /home/me/.local /home/me/.local/share /home/me/.local/share/nbremote " + spoolDir +
		" && mount -t tmpfs -o size=" + size + ",mode=700,uid=$(id -u me),gid=$(id -g me) spool " + spoolDir)
}

func fillSpool(host *lab.Machine) { host.Sh("cat /dev/zero >" + spoolDir + "/filler 2>/dev/null || :") }

// flooding is a cell that waits for the file go, prints so many messages of
// 20 kB, one each 10 ms, and leaves the file done.
func flooding(messages int) string {
	return fmt.Sprintf(`import os, time
while not os.path.exists("/home/me/go"):
    time.sleep(0.05)
for i in range(%d):
    print(i, "x" * 20000, flush=True)
    time.sleep(0.01)
open("/home/me/done", "w").close()
`, messages)
}

// flood has the cell of flooding print, and waits for its end.
func flood(t *testing.T, host *lab.Machine, limit time.Duration) {
	t.Helper()
	host.WriteFile(lab.Me, "/home/me/go", "")
	lab.Wait(t, limit, "the cell to have printed", func() bool { return host.ShAs(lab.Me, "ls /home/me/done 2>/dev/null || :") != "" })
}

// visibly checks that a page's websocket was lost so that JupyterLab opens it
// again: by none, or by 1012, which the page's proxy sends when it was all that
// could still be had.
func (p *labPage) visibly(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ends) != 1 {
		t.Fatalf("the websocket ended %d times: %v", len(p.ends), p.ends)
	}
	if code := websocket.CloseStatus(p.ends[0]); code != -1 && code != websocket.StatusServiceRestart {
		t.Errorf("the websocket was closed with %d: JupyterLab does not come back", code)
	}
}

// When there is no room for what waits, the stream that fills it ends, is seen
// to end and said to; the others and the kernels go on.
func TestR7_SpoolFull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, size string
		before     func(host *lab.Machine)
		during     func(host *lab.Machine)
	}{
		{name: "its share is used up", size: "40m"},
		{name: "no room from the start", size: "1m", before: fillSpool},
		{name: "the disk fills up in the cut", size: "100m", during: fillSpool},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{})
			host := l.Host("gpu1")
			spoolOf(host, c.size)
			if c.before != nil {
				c.before(host)
			}
			overflow(t, l, c.during)
		})
	}
}

func overflow(t *testing.T, l *lab.Lab, during func(host *lab.Machine)) {
	const messages, lines, every = 800, 120, 250 * time.Millisecond
	host := l.Host("gpu1")
	stays := l.Start("open", "--foreground", "--no-browser", "gpu1")
	stays.Expect("Ctrl-C closes", time.Minute)
	o := open(t, l, "gpu1")
	loud, quiet := newPage(t, l, o.Port, o.Token), newPage(t, l, o.Port, o.Token)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	quiet.run(ctx, counting(lines, 0, every))
	loud.run(ctx, flooding(messages))
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _, _ := quiet.got(lines); return lost < lines-4 })
	l.Laptop.Cut()
	if during != nil {
		time.AfterFunc(6*time.Second, func() { during(host) })
	}
	flood(t, host, time.Minute)
	l.Laptop.Mend()
	lost, wrong, idle := quiet.finished(lines, lines*every+30*time.Second)
	if lost != 0 || wrong != 0 || !idle || quiet.opened != 1 {
		t.Errorf("the other kernel: %d lost, %d wrong, finished %v, %d websockets", lost, wrong, idle, quiet.opened)
	}
	lab.Wait(t, 30*time.Second, "the page to come back", func() bool { loud.mu.Lock(); defer loud.mu.Unlock(); return loud.opened == 2 })
	loud.visibly(t)
	// Often few: Jupyter keeps what comes after the end that it sees.
	lost, wrong, _ = loud.got(messages)
	t.Logf("the loud kernel: %d of %d messages lost", lost, messages)
	if wrong != 0 {
		t.Errorf("the loud kernel: %d wrong", wrong)
	}
	stays.Expect("gpu1: the spool on the host is full: what came after ", 20*time.Second)
	if text := l.Must("status").Stdout; !strings.Contains(text, "1 stream lost: the relay ended, or its spool was full") {
		t.Errorf("status:\n%s", text)
	}
	goesOn(t, loud)
}

// goesOn checks that the page's kernel lives and knows what it knew.
func goesOn(t *testing.T, p *labPage) {
	t.Helper()
	p.mu.Lock()
	p.lines, p.idle = nil, false
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	again := &labPage{t: t, l: p.l, port: p.port, token: p.token, kernel: p.kernel, id: "again-" + p.kernel}
	again.run(ctx, "print(7 if i else 8, flush=True)") // i: what the cell before has left
	lab.Wait(t, 30*time.Second, "the kernel to answer", func() bool {
		again.mu.Lock()
		defer again.mu.Unlock()
		return again.idle && strings.Join(again.lines, "") == "7"
	})
}
