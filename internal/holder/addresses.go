package holder

import (
	"context"
	"net"
	"slices"
	"time"
)

// settled is how long addresses are left to change before they are looked at:
// one network goes and another comes.
const settled = 200 * time.Millisecond

// watchAddresses calls changed whenever this computer's addresses are others
// than before, until ctx ends. Those of no other network (loopback, link-local)
// do not count.
func watchAddresses(ctx context.Context, changed func()) {
	known := addresses()
	hints := addressHints(ctx)
	for {
		select {
		case _, ok := <-hints:
			if !ok {
				return
			}
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(settled):
		case <-ctx.Done():
			return
		}
		if now := addresses(); now != nil && !slices.Equal(now, known) {
			known = now
			changed()
		}
	}
}

// addresses are those that others may know this computer by, in order; nil:
// the system does not tell.
func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	found := []string{}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			found = append(found, ip.String())
		}
	}
	slices.Sort(found)
	return found
}

// eachSoOften hints at a look.
func eachSoOften(ctx context.Context, d time.Duration) <-chan struct{} {
	hints := make(chan struct{})
	go func() {
		defer close(hints)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			select {
			case hints <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return hints
}

// addressesChanged has the line looked at: it may have been made from an
// address that is no longer ours, and no answer to that ever comes.
func (h *holder) addressesChanged() {
	h.log.Print("the addresses of this computer have changed")
	if l, _ := h.linked.now(); l != nil {
		l.Wake()
		return
	}
	if _, state, _, _ := h.line.now(); state == Up {
		h.line.prove(h.ctx)
	} else if !h.line.person() {
		h.line.wish()
	}
}
