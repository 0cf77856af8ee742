package test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// sleeper is a laptop with an open page whose cell prints.
type sleeper struct {
	*lab.Lab
	t     *testing.T
	page  *labPage
	lines int
}

func newSleeper(t *testing.T, lines int) *sleeper {
	t.Helper()
	l := lab.New(t, lab.Chain{})
	o := open(t, l, "gpu1")
	s := &sleeper{Lab: l, t: t, page: newPage(t, l, o.Port, o.Token), lines: lines}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s.page.run(ctx, counting(lines, 0, tick))
	lab.Wait(t, 20*time.Second, "lines", func() bool { lost, _, _ := s.page.got(lines); return lost < lines-20 })
	return s
}

// sleep stops the holder, as a laptop that is suspended stops all.
func (s *sleeper) sleep() {
	s.t.Helper()
	if n := s.Laptop.Kill("nbremote holder", syscall.SIGSTOP); n != 1 {
		s.t.Fatalf("%d holders", n)
	}
}

func (s *sleeper) wake() { s.Laptop.Kill("nbremote holder", syscall.SIGCONT) }

func (s *sleeper) signIns() int {
	return strings.Count(s.Host("gpu1").SSHDLog(), "Accepted publickey")
}

// back waits for lines to come again and for the end of the cell; it checks
// that nothing was lost, and that one sign-in was enough.
func (s *sleeper) back(before, signedIn int, limit time.Duration) {
	s.t.Helper()
	woke := time.Now()
	lab.Wait(s.t, 30*time.Second, "lines to come again", func() bool { lost, _, _ := s.page.got(s.lines); return lost < before })
	took := time.Since(woke)
	lost, wrong, idle := s.page.finished(s.lines, time.Duration(s.lines)*tick+30*time.Second)
	signIns := s.signIns() - signedIn
	s.t.Logf("lines again %v after; %d lost, %d wrong, finished %v, %d websockets, %d sign-ins", took.Round(10*time.Millisecond), lost, wrong, idle, s.page.opened, signIns)
	if took > limit {
		s.t.Errorf("lines came again after %v", took)
	}
	if lost != 0 || wrong != 0 || !idle || s.page.opened != 1 {
		s.t.Errorf("%d lost, %d wrong, finished %v, %d websockets", lost, wrong, idle, s.page.opened)
	}
	if signIns > 1 {
		s.t.Errorf("%d sign-ins", signIns)
	}
}

// A laptop that slept, and wakes on another network: it dials at once, once.
func TestN13_WakesElsewhere(t *testing.T) {
	t.Parallel()
	s := newSleeper(t, 900)
	signedIn := s.signIns()
	s.sleep()
	s.Laptop.Roam(102)
	time.Sleep(20 * time.Second) // so long it sleeps
	before, _, _ := s.page.got(s.lines)
	s.wake()
	s.back(before, signedIn, 5*time.Second)
}

// A laptop that wakes for moments without a network, and sleeps on: no dial of
// those moments is in the way when it wakes for good.
func TestN13_DarkWakes(t *testing.T) {
	t.Parallel()
	s := newSleeper(t, 1000)
	signedIn := s.signIns()
	s.sleep()
	s.Laptop.Cut()
	time.Sleep(8 * time.Second)
	for range 3 {
		s.wake()
		time.Sleep(1500 * time.Millisecond) // so long it is awake
		s.sleep()
		time.Sleep(6 * time.Second)
	}
	before, _, _ := s.page.got(s.lines)
	s.Laptop.Mend()
	s.wake()
	s.back(before, signedIn, 5*time.Second)
}

// A desktop notice comes after 30 s of a cut with a page waiting, and at the
// mend; notify = false ends them. A fake notify-send on PATH stands for the
// desktop.
func TestNotice_OfACut(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{"on": "", "off": "notify = false\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{})
			l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", settings)
			l.Laptop.WriteMode("root", "/usr/local/bin/notify-send", "#!/bin/sh\necho \"$1: $2\" >>/home/me/notices\n", 0o755)
			o := open(t, l, "gpu1")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			newPage(t, l, o.Port, o.Token).run(ctx, "print(1)")
			told := func() string { return l.Laptop.ReadFile("/home/me/notices") }
			l.Laptop.Cut()
			cut := time.Now()
			if name == "off" {
				time.Sleep(38 * time.Second) // the other's notice has come by now
			} else {
				lab.Wait(t, 50*time.Second, "a notice", func() bool { return strings.Contains(told(), "The line to gpu1 is down: Since ") })
				if waited := time.Since(cut); waited < 28*time.Second {
					t.Errorf("told after %v", waited)
				}
			}
			l.Laptop.Mend()
			lab.Wait(t, 30*time.Second, "the line", func() bool { return strings.Contains(l.Run("status", "gpu1").Stdout, "up since") })
			if name == "off" {
				if told() != "" {
					t.Errorf("told %q", told())
				}
				return
			}
			lab.Wait(t, 10*time.Second, "a notice of the mend", func() bool { return strings.Contains(told(), "The line to gpu1 is back: After ") })
			if n := strings.Count(told(), "\n"); n != 2 {
				t.Errorf("%d notices: %q", n, told())
			}
		})
	}
}
