package test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/test/lab"
)

// A fifth of all packets is lost, 16 kbit/s pass, a second there and back, and
// now and then nothing comes for 5 s: all of it works, slowly, and nothing is
// given up for dead. The twin is `ssh -L` that is to notice a dead line as soon.
func TestN9_PoorLine(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Laptop.Spoil(0, 0)
	o := open(t, l, "gpu1")
	sock := strings.TrimSpace(l.Host("gpu1").ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	sshForward(t, l, 7001, sock, "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=1")
	want := bigFile(t, l, "small.bin", 1<<10)
	ours, twin := newPage(t, l, o.Port, o.Token), newPage(t, l, 7001, o.Token)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const lines, every = 24, 2 * time.Second
	ours.run(ctx, counting(lines, 0, every))
	twin.run(ctx, counting(lines, 0, every))
	for _, p := range []*labPage{ours, twin} {
		lab.Wait(t, 20*time.Second, "both to print", func() bool { lost, _, _ := p.got(lines); return lost < lines })
	}

	l.Laptop.Delay(500 * time.Millisecond)
	l.Laptop.Spoil(200, 16_000)
	since := time.Now()
	var suspect, down atomic.Int32
	go watchLine(ctx, holderOf(t, l), &suspect, &down)
	for range 3 {
		time.Sleep(5 * time.Second) // between two stalls
		l.Laptop.Stall(5 * time.Second)
		time.Sleep(5 * time.Second)
	}
	got, err := fetch(l, o, "small.bin")
	if err != nil {
		t.Error(err)
	}
	same(t, "small.bin", got, want)
	lost, wrong, idle := ours.finished(lines, 60*time.Second)
	t.Logf("nbremote: %d lost, %d wrong, finished %v, %d websockets, longest pause %v, %d times suspect, %d times down, in %v",
		lost, wrong, idle, ours.opened, ours.pause(), suspect.Load(), down.Load(), time.Since(since).Round(time.Second))
	if lost != 0 || wrong != 0 || !idle || ours.opened != 1 {
		t.Errorf("nbremote: %d lost, %d wrong, finished %v, %d websockets", lost, wrong, idle, ours.opened)
	}
	lost, _, _ = twin.got(lines)
	t.Logf("twin: %d lost", lost)
	if lost == 0 {
		t.Error("the twin lost nothing: the line was none that is poor")
	}
}

// watchLine counts how often the line is said to be suspect, and to be down.
func watchLine(ctx context.Context, c *holder.Client, suspect, down *atomic.Int32) {
	for last := holder.Up; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		s, err := c.Status(ctx)
		if err != nil || s.State == last {
			continue
		}
		switch last = s.State; last {
		case holder.Suspect:
			suspect.Add(1)
		case holder.Down:
			down.Add(1)
		}
	}
}
