package holder

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// watch looks at every page that is used each minute, at the others each five,
// and when a connection to it ended: if that was because the line is down, when
// it is up again.
// The connection it keeps open in between is how a death is learned at once.
func (ps *pages) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		wished := false
		select {
		case <-tick.C:
		case <-ps.look:
			wished = true
		case <-ctx.Done():
			return
		}
		if !ps.awaitLine(ctx) {
			return
		}
		ps.mu.Lock()
		now := map[string]*page{}
		for session, p := range ps.all {
			if wished || p.due(time.Now()) {
				now[session] = p
			}
		}
		ps.mu.Unlock()
		if ps.boot == "" && anyHere(now) {
			ps.boot = ps.h.boot(ctx)
		}
		for session, p := range now {
			if p.watch(ctx) {
				ps.tellGone(ctx, session, p)
			}
		}
	}
}

// awaitLine waits until the line is up; false: ctx has ended.
func (ps *pages) awaitLine(ctx context.Context) bool {
	for {
		_, state, changed, _ := ps.h.line.now()
		if state == Up {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// watch asks the page's server for its watched paths; no answer at all while
// the line is up, or one that refuses the token, means that the server is gone.
// True: that is news.
func (p *page) watch(ctx context.Context) bool {
	if err := p.asked(ctx); err == nil || ctx.Err() != nil {
		return false
	}
	up := p.proxy.Up()
	p.mu.Lock()
	defer p.mu.Unlock()
	news := up && !p.gone
	p.gone = p.gone || up
	return news
}

// due says that the last report is old enough for the next.
func (p *page) due(now time.Time) bool {
	p.mu.Lock()
	reported, doors := p.reported, p.doors
	p.mu.Unlock()
	used := slices.ContainsFunc(doors, func(d *door) bool { return !d.unused(now, now.Sub(reported)) })
	return used || now.Sub(reported) >= restEvery
}

// asked is a report of the page's server.
func (p *page) asked(ctx context.Context) error {
	p.mu.Lock()
	spec := p.spec
	p.mu.Unlock()
	report := map[string]json.RawMessage{}
	for _, path := range spec.Watch {
		body, err := p.get(ctx, path, spec.Token)
		if err != nil {
			return err
		}
		report[path] = body
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.rebooted, p.report, p.reported = false, false, report, time.Now()
	return nil
}

const lookTime = 2 * time.Second

// lookNow looks at every page, if the line is up, and takes two seconds at most.
// Whether one has ended is left to watch.
func (ps *pages) lookNow(ctx context.Context) {
	if _, state, _, _ := ps.h.line.now(); state != Up {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ps.mu.Lock()
	all := slices.Collect(maps.Values(ps.all))
	ps.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(func() {
			if p.asked(ctx) != nil && ctx.Err() == nil {
				ps.wish()
			}
		})
	}
	wg.Wait()
}

// tellGone says that a server has ended, and whether the whole host has.
func (ps *pages) tellGone(ctx context.Context, session string, p *page) {
	name := ps.h.spec.Target.Name
	text := session + " has ended"
	if !p.here() {
		text = session + " does not answer, or not to its token any more"
		ps.h.log.Print(text)
		ps.h.tell(Event{Kind: "gone", Hop: name, Text: text + "; again: " + p.proxy.Command})
		return
	}
	if now := ps.h.boot(ctx); now != "" && ps.boot != "" && now != ps.boot {
		ps.boot = now
		text = name + " was started again: " + session + " is gone, and what its kernels had in memory"
		p.mu.Lock()
		p.rebooted = true
		p.mu.Unlock()
	}
	ps.h.log.Print(text)
	ps.h.tell(Event{Kind: "gone", Hop: name, Text: text + "; nbremote open starts it anew"})
}

// here: its server is on the host itself.
func (p *page) here() bool {
	network, _, _ := p.far()
	return network != Elsewhere
}

func anyHere(pages map[string]*page) bool {
	for _, p := range pages {
		if p.here() {
			return true
		}
	}
	return false
}

// bootScript prints what changes when a machine is started again.
const bootScript = "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.bootsessionuuid\n"

// boot is "" when it cannot be had.
func (h *holder) boot(ctx context.Context) string {
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := h.run(limited, bootScript)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
