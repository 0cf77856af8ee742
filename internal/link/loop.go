package link

import (
	"context"
	"errors"
	"fmt"
)

// run keeps the line until the link is closed.
func (l *Link) run() {
	for id := 0; ; id++ {
		manual := l.cfg.Manual != nil && l.cfg.Manual()
		l.mu.Lock()
		l.life.manual = manual
		do := l.life.step(l.clock.Now(), l.clock.Wall(), l.waiting())
		if do.ping {
			l.ping = true
			l.out.Signal()
		}
		var start func()
		if do.dial {
			start = l.begin(id)
		}
		l.tell()
		over := l.closed != nil
		l.mu.Unlock()
		for _, d := range do.giveUp {
			d.cancel()
		}
		if over {
			l.cancel()
			return
		}
		if start != nil {
			go start()
		}
		due, stop := l.clock.After(do.wake.Sub(l.clock.Now()))
		select {
		case <-due:
		case <-l.poke:
		case r := <-l.results:
			l.landed(r)
		}
		stop()
	}
}

// waiting says whether somebody waits for the far side. l.mu is held.
func (l *Link) waiting() bool { return len(l.log.entries) > 0 }

// active notes that data goes by. l.mu is held.
func (l *Link) active() {
	now := l.clock.Now()
	if !l.life.busy() {
		l.wake()
	}
	l.life.activity = now
}

// begin makes a dial. l.mu is held.
func (l *Link) begin(id int) func() {
	ctx, cancel := context.WithCancel(l.ctx)
	l.life.dials = append(l.life.dials, &underway{id: id, start: l.life.lastDial, cancel: cancel})
	h := l.hello()
	l.tasks.Add(1)
	return func() {
		defer l.tasks.Done()
		l.land(l.dial(ctx, id, h))
	}
}

// hello is the greeting of the next epoch. l.mu is held.
func (l *Link) hello() hello {
	l.epoch++
	return hello{create: l.create, laptop: l.cfg.Laptop, link: l.id, epoch: l.epoch}
}

// land gives the loop the result of a dial.
func (l *Link) land(r result) {
	select {
	case l.results <- r:
	case <-l.ctx.Done():
		if r.rwc != nil {
			r.rwc.Close()
		}
	}
}

// landed looks at how a dial ended. It is the loop's.
func (l *Link) landed(r result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.taken {
		l.took(r)
		return
	}
	wanted := l.life.ended(r.id) && l.closed == nil
	healthy := l.life.onCarrier && !l.life.suspected && !l.life.declared
	if r.err == nil {
		r.err = l.judgeWelcome(r)
	}
	switch {
	case errors.Is(r.err, errUnknown) && wanted && (!l.life.onCarrier || l.life.declared):
		l.again(r)
	case errors.Is(r.err, ErrReplaced) && wanted:
		go func() { r.rwc.Close(); l.end(ErrReplaced) }()
	case r.err != nil || !wanted || healthy || l.life.taking:
		if r.err != nil && wanted {
			l.life.failed(r.err)
			l.notify(Event{Kind: DialFailed, State: l.life.state, Down: l.life.downAt, Err: r.err})
		}
		if r.rwc != nil {
			go r.rwc.Close()
		}
	default:
		l.life.taking = true
		l.tasks.Add(1)
		go func() {
			defer l.tasks.Done()
			r.err = l.takeOver(r)
			r.taken, r.rwc = true, nil
			l.land(r)
		}()
	}
}

var errUnknown = errors.New("the relay on the host has ended, and with it what it held")

// judgeWelcome makes an error of a refusal. l.mu is held.
func (l *Link) judgeWelcome(r result) error {
	switch r.welcome.status {
	case statusOK:
		if l.relay != (ID{}) && l.relay != r.welcome.relay && !r.hello.create {
			return errors.New("another relay answers")
		}
		return nil
	case statusUnknown:
		return errUnknown
	case statusReplaced:
		return ErrReplaced
	case statusVersion:
		return errors.New("the relay speaks another version")
	case statusBusy:
		return errors.New("the relay has too many links")
	}
	return fmt.Errorf("the relay answered %d", r.welcome.status)
}

// again begins a new link on a carrier whose relay does not know the old one.
// l.mu is held.
func (l *Link) again(r result) {
	if old := l.fence(); old != nil {
		go old.rwc.Close()
		l.life.lost(l.clock.Now(), errUnknown)
	}
	if r.hello.link == l.id {
		l.broken(errUnknown.Error())
	}
	ctx, cancel := context.WithCancel(l.ctx)
	l.life.dials = append(l.life.dials, &underway{id: r.id, start: l.clock.Now(), cancel: cancel})
	h := l.hello()
	l.tasks.Add(1)
	go func() {
		defer l.tasks.Done()
		l.land(l.greet(ctx, r.id, r.rwc, h))
	}()
}

// took is the end of a take-over. l.mu is held.
func (l *Link) took(r result) {
	l.life.taking = false
	if r.err != nil {
		l.life.failed(r.err)
		if l.carrier == nil && l.closed == nil {
			l.life.lost(l.clock.Now(), r.err)
		}
		return
	}
	for _, d := range l.life.abandon() {
		d.cancel()
	}
}
