package holder

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"nbremote/internal/link"
	"nbremote/sshx"
)

// decisionTime is how long the relay on the host may take to answer for the
// first time. Then all goes by plain channels of the connection.
const decisionTime = 15 * time.Second

// linked is the link of a line to the relay on the host: its streams outlive
// connections. It begins with the first script, so a gateway has none. Once it
// is on it keeps the line: it has the connections dialled.
type linked struct {
	h *holder

	mu      sync.Mutex
	link    *link.Link
	decided chan struct{} // closed when on or why is known; nil: not begun
	on      bool
	why     error      // why there is none
	used    *sshx.Conn // by the newest carrier from before the decision
	alive   []*carrier // in the order of their sign-ins
	signIns signIns
	over    *shells // on the link
	python  string  // that was looked for and found for the relay
	at      *Node   // where the last relay was asked for
	boots   int     // that failed one after the other
	failing time.Time
}

// begin starts the link, once, on the connection that is up.
func (k *linked) begin() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.decided != nil {
		return
	}
	k.decided = make(chan struct{})
	k.link = link.New(link.Config{
		Carrier: k.carrier, Laptop: k.h.memory.laptop(), Notify: k.notify,
		Manual: func() bool { return k.h.line.person() && !k.h.asks.canAsk() },
	})
	time.AfterFunc(decisionTime, k.late)
}

// late ends the wait for the relay, unless it is the line that does not answer.
func (k *linked) late() {
	conn, _, _, _ := k.h.line.now()
	if k.h.ctx.Err() == nil && !k.h.line.stuck() && !lives(conn) {
		time.AfterFunc(decisionTime, k.late)
		return
	}
	k.decide(false, errors.New("its relay did not answer in time"))
}

// lives says whether a connection gives a sign of life now.
func lives(conn *sshx.Conn) bool {
	if conn == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), signOfLife)
	defer cancel()
	return conn.Alive(ctx) == nil
}

// get waits for the decision: nil, with the reason, when there is no link.
func (k *linked) get(ctx context.Context) (*link.Link, error) {
	k.mu.Lock()
	decided := k.decided
	k.mu.Unlock()
	if decided == nil {
		return nil, errors.New("it has not begun")
	}
	select {
	case <-decided:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return k.now()
}

// now is the link if it is on, without waiting.
func (k *linked) now() (*link.Link, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on {
		return nil, k.why
	}
	return k.link, nil
}

// decide settles, once, whether there is a link.
func (k *linked) decide(on bool, why error) {
	k.mu.Lock()
	select {
	case <-k.decided:
		k.mu.Unlock()
		return
	default:
	}
	k.on, k.why = on, why
	l := k.link
	for _, c := range k.alive {
		if on { // the link knows better than a keepalive when a line is lost
			c.conn.Patient()
		}
	}
	close(k.decided)
	k.mu.Unlock()
	if on {
		k.h.log.Print("link: on")
		k.h.line.handOver(func() { l.SignIn(); l.Kick() }, l.Wake)
		// Nobody needs sessions beside it, and a server may have few.
		go k.h.direct().pause(k.h.ctx)
		return
	}
	k.h.log.Printf("link: none: %v", why)
	k.h.direct().resume()
	go l.Close()
}

// giveUp ends the link for good: the line dials again, and all that comes goes
// by plain channels of its connections.
func (k *linked) giveUp(why error) {
	k.mu.Lock()
	if !k.on {
		k.mu.Unlock()
		return
	}
	k.on, k.why = false, why
	l := k.link
	k.mu.Unlock()
	k.h.log.Printf("link: given up: %v", why)
	k.warn("what went by the relay on the host has ended: " + why.Error())
	k.h.line.takeBack(why)
	go l.Close()
}

func (k *linked) close() {
	k.mu.Lock()
	l := k.link
	k.mu.Unlock()
	if l != nil {
		l.Close()
	}
	k.signIns.withdraw()
}

// carrier gives the link a session on a connection that no other carrier uses.
func (k *linked) carrier(ctx context.Context) (io.ReadWriteCloser, error) {
	conn, own, err := k.connection(ctx)
	if err != nil {
		return nil, err
	}
	p, err := conn.Exec(ctx, link.Shell)
	if refused := (*sshx.OpenError)(nil); errors.As(err, &refused) && !own {
		// A server with few sessions: those of the shells are given up for it.
		k.h.shellsOn(conn).pause(ctx)
		p, err = freedSession(ctx, conn)
		if k.isNone() {
			k.h.shellsOn(conn).resume() // it was decided meanwhile
		}
	}
	if err != nil {
		switch {
		case own:
			go conn.Close()
		case ctx.Err() == nil && lives(conn):
			k.decide(false, err)
		}
		return nil, err
	}
	go io.Copy(io.Discard, p.Stderr)
	c := &carrier{Process: p, conn: conn, k: k, own: own}
	k.mu.Lock()
	k.alive = append(k.alive, c)
	if k.on {
		conn.Patient()
	}
	k.mu.Unlock()
	return k.relayHost().Open(c), nil
}

// freedSession opens a session in the place of one that was just closed: the
// server counts that until its program has ended.
func freedSession(ctx context.Context, conn *sshx.Conn) (p *sshx.Process, err error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for limit := time.Now().Add(3 * time.Second); ; {
		p, err = conn.Exec(ctx, link.Shell)
		if refused := (*sshx.OpenError)(nil); !errors.As(err, &refused) || time.Now().After(limit) {
			return p, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (k *linked) isOn() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.on
}

// isNone: it was decided that there is no link.
func (k *linked) isNone() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.decided:
		return !k.on
	default:
		return false
	}
}

// errNotNow ends a dial of the link that would be one too many. It comes again.
var errNotNow = errors.New("no connection is to be made now")

// connection is that of the line as long as the line itself dials, then a new
// one, which is the link's own.
func (k *linked) connection(ctx context.Context) (conn *sshx.Conn, own bool, err error) {
	if k.isNone() {
		return nil, false, errNotNow
	}
	if !k.isOn() {
		conn, _, _, _ := k.h.line.now()
		k.mu.Lock()
		defer k.mu.Unlock()
		if conn == nil || conn == k.used {
			return nil, false, errNotNow
		}
		k.used = conn
		return conn, false, nil
	}
	// A dial may have begun before the line came up, and a person is not asked
	// because of a pause.
	if state := k.link.Status().State; state == link.Up || state == link.Suspect && k.h.line.person() {
		return nil, true, errNotNow
	}
	conn, err = k.signIns.connect(ctx, k.h.ctx, k.h.line.person, func(ctx context.Context) (*sshx.Conn, error) { return k.h.dial(ctx, true) })
	return conn, true, err
}

// notify passes on what becomes of the line.
func (k *linked) notify(e link.Event) {
	switch {
	case e.Kind == link.DialFailed:
		k.dialFailed(e.Err)
		return
	case e.Kind == link.SpoolHalfFull:
		k.h.log.Printf("spool on the host: %d of %d bytes", e.Spool, e.Quota)
		k.warn("what is kept on the host takes half of the room that it may take")
		return
	case e.Kind == link.StreamsLost:
		k.h.log.Printf("lost: %v", e.Err)
		k.warn(e.Err.Error())
		return
	case e.State == link.Closed:
		if !errors.Is(e.Err, link.ErrClosed) {
			k.giveUp(orSilent(e.Err))
		}
		return
	case e.State == link.Up:
		k.mu.Lock()
		k.boots = 0
		k.mu.Unlock()
		k.decide(true, nil)
		k.signIns.withdraw()
	}
	if k.isOn() {
		k.h.line.follow(e, k.newest())
	}
}

// warn tells whoever is connected what costs output, or may.
func (k *linked) warn(text string) {
	k.h.tell(Event{Kind: "warning", Hop: k.h.spec.Target.Name, Text: text})
}

func (k *linked) dialFailed(err error) {
	var boot *link.BootError
	isBoot := errors.As(err, &boot)
	switch {
	case !k.isOn():
		if isBoot {
			k.decide(false, err)
		}
		return
	case errors.Is(err, errNotNow) || errors.As(err, new(*sameError)):
		return
	case errors.As(err, new(*link.ElsewhereError)):
		k.elsewhere(err)
		return
	case isBoot && k.hopeless():
		k.giveUp(err)
		return
	}
	k.h.log.Printf("dial: %v", err)
	k.h.tell(Event{Kind: "error", Error: newError(err)})
}

// hopeless counts relays that could not be started though the host is reached.
// A person is not asked for the next try.
func (k *linked) hopeless() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.boots == 0 {
		k.failing = time.Now()
	}
	k.boots++
	return k.h.line.person() || k.boots >= 5 && time.Since(k.failing) > signOfLife
}

// newest is the connection under the newest carrier that still is one.
func (k *linked) newest() *sshx.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.alive) - 1; i >= 0; i-- {
		if c := k.alive[i]; c.answered {
			return c.conn
		}
	}
	return nil
}
