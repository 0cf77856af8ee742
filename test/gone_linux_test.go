package test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// tmuxServer is the argument of our own tmux server on a host.
const tmuxServer = "/tmux.sock"

// tmux is only the window: when its server is killed, Jupyter, its kernels and
// the line go on, `open` finds the same Jupyter, and `attach` has a new window.
func TestR10_TmuxKilled(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	first := open(t, l, "gpu1")
	page := newPage(t, l, first.Port, first.Token)
	page.run(t.Context(), counting(200, 0, tick))
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _, _ := page.got(200); return lost < 190 })
	jupyter := gpu1.Running("jupyter-lab")
	if gpu1.Kill(tmuxServer, syscall.SIGKILL) == 0 {
		t.Fatal("no tmux was found")
	}
	lab.Wait(t, 10*time.Second, "tmux to be gone", func() bool { return len(gpu1.Running(tmuxServer)) == 0 })
	second := open(t, l, "gpu1")
	if !second.Reused || second.Port != first.Port || second.Token != first.Token {
		t.Errorf("got %+v", second)
	}
	if now := gpu1.Running("jupyter-lab"); len(now) != 1 || now[0].PID != jupyter[0].PID {
		t.Errorf("Jupyter was %v and is %v", jupyter, now)
	}
	if lost, wrong, idle := page.finished(200, 30*time.Second); lost != 0 || wrong != 0 || !idle || page.opened != 1 {
		t.Errorf("%d lost, %d wrong, finished %v, %d websockets", lost, wrong, idle, page.opened)
	}
	if s := statusOf(t, l); s.State != "up" || len(s.Link.Cuts) != 0 {
		t.Errorf("%+v", s)
	}
	attaches(t, l)
	l.Must("close", "gpu1")
	again := open(t, l, "gpu1")
	if !again.Reused || again.Port != first.Port || again.Token != first.Token {
		t.Errorf("then %+v, was %+v", again, first)
	}
	works(t, l, again)
	l.Must("stop", "-y", "gpu1")
	if left := gpu1.Running("jupyter-lab"); len(left) != 0 {
		t.Errorf("left there: %v", left)
	}
}

// attaches checks that `attach` shows Jupyter's log.
func attaches(t *testing.T, l *lab.Lab) {
	t.Helper()
	x := l.Pty("attach", "gpu1")
	x.Expect("ServerApp", 20*time.Second)
	x.Type("\x02d")
	if r := x.Wait(); r.Exit != 0 {
		t.Errorf("attach: exit %d\n%s", r.Exit, x.Screen())
	}
}

// A cleaner of /tmp takes sockets away: tmux's is made again, and the relay's
// and Jupyter's are not missed by what is connected.
func TestR11_SocketsDeleted(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	first := open(t, l, "gpu1")
	windows := gpu1.Running(tmuxServer)
	gpu1.ShAs(lab.Me, "rm /dev/shm/nbr.*/tmux.sock /dev/shm/nbr.*/link/*.sock")
	works(t, l, first)
	if second := open(t, l, "gpu1"); !second.Reused || second.Token != first.Token {
		t.Errorf("got %+v", second)
	}
	attaches(t, l)
	if now := gpu1.Running(tmuxServer); len(now) == 0 || len(windows) == 0 || now[0].PID != windows[0].PID {
		t.Errorf("tmux was %v and is %v", windows, now)
	}
	gpu1.HangUp()
	works(t, l, first)
	l.Must("stop", "-y", "gpu1")
	lab.Wait(t, 10*time.Second, "Jupyter to be gone", func() bool { return len(gpu1.Running("jupyter-lab")) == 0 })
}

// reboot is what a host's reboot leaves: no process, no /dev/shm, /run or /tmp
// of before, and another boot id.
func reboot(l *lab.Lab, m *lab.Machine) {
	m.StopSSHD()
	m.HangUp()
	for _, p := range m.Processes() {
		if p.UID > 0 {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	m.Sh(`rm -rf /dev/shm/* /tmp/* /run/user/*/*
		cat /proc/sys/kernel/random/uuid >/run/lab/boot_id
		mount --bind /run/lab/boot_id /proc/sys/kernel/random/boot_id`)
	time.Sleep(5 * time.Second) // so long a very fast one takes
	m.StartSSHD()
}

// A host that was started again has no Jupyter and no relay. That is said, in
// words, and the next open starts them.
func TestN14_HostRebooted(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	first := open(t, l, "gpu1")
	stays := l.Start("open", "--foreground", "--no-browser", "--progress=plain", "gpu1")
	stays.Expect("Ctrl-C closes", 30*time.Second)
	ping := tab(t, l, first)
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	reboot(l, gpu1)
	stays.Expect("gpu1: line down", 20*time.Second)
	stays.Expect("gpu1 was started again: main is gone, and what its kernels had in memory; nbremote open starts it anew", 30*time.Second)
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "ended") || !strings.Contains(r.Stdout, "gpu1 was started again; nbremote open gpu1 starts it anew") {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	t.Logf("it said:\n%s", stays.Stderr())
	second := open(t, l, "gpu1")
	works(t, l, second)
	if second.Port != first.Port || second.Token != first.Token {
		t.Errorf("got %+v, before %+v", second, first)
	}
}
