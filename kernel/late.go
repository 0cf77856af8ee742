package kernel

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// Later than this it could hit what nobody meant; a page's requests wait as long.
	patience   = 15 * time.Second
	provePause = time.Second // after which the host is asked once more
	tellAfter  = time.Second // that an end waits before it is said that it waits
)

// proofs are the questions to the supervisor which it answers at once: what was
// answered after a moment shows that the line was up after it.
type proofs struct {
	mu     sync.Mutex
	asked  uint64
	heard  uint64
	answer chan struct{} // closed at the next answer
}

func (q *proofs) ask() (n uint64, answer <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	if q.answer == nil {
		q.answer = make(chan struct{})
	}
	return q.asked, q.answer
}

func (q *proofs) hear(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heard = max(q.heard, n)
	if q.answer != nil {
		close(q.answer)
		q.answer = nil
	}
}

func (q *proofs) has(n uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.heard >= n
}

// reached says whether the host answers, by end, what is asked of it now. A
// supervisor of before this was asked is believed to.
func (p *Proxy) reached(ctx context.Context, end time.Time) bool {
	if !p.kernel.Pings {
		return true
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for first := uint64(0); ctx.Err() == nil; {
		n, answer := p.proofs.ask()
		if first == 0 {
			first = n
		}
		p.kernel.ping(n) // an error is a lost stream's: the next try has another
		select {
		case <-answer:
		case <-time.After(provePause):
		case <-ctx.Done():
		}
		if p.proofs.has(first) {
			return true
		}
	}
	return false
}

// interrupt is a Ctrl-C that was pressed at a time; it says whether deliver did it.
func (p *Proxy) interrupt(at time.Time, deliver func()) bool {
	if p.reached(p.ctx, at.Add(p.patience())) {
		deliver()
		return true
	}
	if p.ctx.Err() == nil {
		p.tell(fmt.Sprintf("not interrupted: the line to %s has been down for %v since you pressed; press again when it is back", p.On, p.patience()))
	}
	return false
}

// end asks the kernel to end, if the host can be told in time, by one of the two
// ways; else the kernel is kept as if its window had gone.
func (p *Proxy) end(ctx context.Context, at time.Time, deliver func()) bool {
	waits := time.AfterFunc(tellAfter, func() {
		p.say(fmt.Sprintf("the line to %s is down: the kernel is ended if that is back within %v, else it runs on", p.On, p.patience()))
	})
	reached := p.reached(ctx, at.Add(p.patience()))
	waits.Stop()
	switch {
	case reached:
		deliver()
	case ctx.Err() == nil:
		p.wanted.Store(nil)
		p.tell(fmt.Sprintf("not ended: the line to %s has been down for %v since it was asked to; when it is back: nbremote stop %s/%s", p.On, p.patience(), p.On, p.kernel.Session))
	}
	return reached
}

func (p *Proxy) patience() time.Duration { return cmp.Or(p.Patience, patience) }

func (p *Proxy) say(text string) {
	if p.Say != nil {
		p.Say(text)
	}
}

// tell says it to a person at this program's own stderr, which few editors show,
// and as output of the cell that runs, which they do.
func (p *Proxy) tell(text string) {
	p.say(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.taps {
		p.joins.Go(func() { t.tell(p.Window.Key, "nbremote: "+text+"\n") })
	}
}
