// Package link carries streams to a host over carriers that may die at any
// byte: nothing is lost and nothing comes twice. PROTOCOL.md has the wire, the
// far half is in relay. How a carrier comes to be is its caller's business.
package link

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	maxLog      = 8 << 20 // sent and not acknowledged
	logExcess   = 1 << 20 // for what is no data
	maxUnsent   = 512 << 10
	ackBytes    = 1 << 20
	ackTime     = 100 * time.Millisecond
	maxStreams  = 1000
	firstWindow = 256 << 10
	bulkWindow  = 2 << 20 // as OpenSSH's for a channel
	maxWindow   = 4 << 20
	minWindow   = 16 << 10
	allWindows  = 40 << 20
)

// ID names a laptop or a link.
type ID [16]byte

// NewID is a random one.
func NewID() ID {
	var id ID
	rand.Read(id[:])
	return id
}

// Config is what a link is made of.
type Config struct {
	// Carrier opens a byte pipe to the relay. It is called for the first and
	// for every next one, also while an older one is silent, so it must not
	// use what that one stands on. Close of what it returns must make Read and
	// Write return. ctx is for opening it only, and its end must end that. An
	// error with a Class method that returns "sign-in" or "host-key" stops
	// dialling until SignIn.
	Carrier func(ctx context.Context) (io.ReadWriteCloser, error)
	// Laptop is the same for all links that replace each other: one per state
	// directory and target. A new link ends the others of its laptop.
	Laptop ID
	// Manual says that dialling now would need a person who is not there; nil:
	// never. It must not block.
	Manual func() bool
	// Notify is told each change of state, one after the other; nil: nobody.
	Notify func(Event)
	// Clock is the time that the life of the line goes by; nil: the real one.
	Clock Clock
}

// Link is one end of a link. Its methods may be called at once.
type Link struct {
	cfg     Config
	clock   Clock
	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	poke    chan struct{} // the loop has something to look at
	results chan result

	// mu is held for short: nothing that may block is done under it.
	mu      sync.Mutex
	life    life
	changed chan struct{} // closed and replaced when the state changes
	closed  error

	id       ID
	create   bool // the relay has not confirmed this id
	epoch    uint64
	carrier  *carrier
	received uint64 // position in the peer's log
	acked    uint64
	ackNow   bool
	ackTimer *time.Timer
	pongs    []uint64
	ping     bool
	pinged   map[uint64]time.Time
	pingID   uint64
	proofs   []proof
	log      sendLog
	out      sync.Cond // the writer of the carrier waits
	room     map[*Stream]struct{}

	streams map[uint32]*Stream
	next    uint32
	windows int
	far     far
	events  []Event
	telling bool
	told    State // the state that was last told
	relay   ID
	cut     time.Time // the beginning of the present one
	cuts    []Cut

	lostStreams int // see Status.Lost
}

// far is what the relay last said of itself.
type far struct {
	waiting, spool, quota uint64
	warned                bool
}

// New starts a link: it dials at once.
func New(cfg Config) *Link {
	l := &Link{
		cfg: cfg, clock: cfg.Clock, poke: make(chan struct{}, 1), results: make(chan result),
		changed: make(chan struct{}), streams: map[uint32]*Stream{}, room: map[*Stream]struct{}{},
		pinged: map[uint64]time.Time{}, next: 2, id: NewID(), create: true,
	}
	if l.clock == nil {
		l.clock = realClock{}
	}
	l.out.L = &l.mu
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.life.start(l.clock.Now(), l.clock.Wall())
	l.tasks.Add(1)
	go func() { defer l.tasks.Done(); l.run() }()
	return l
}

// ErrClosed says that Close was called.
var ErrClosed = errors.New("the link was closed")

// ErrReplaced says that the laptop has a newer link to this relay.
var ErrReplaced = errors.New("a newer link of this laptop has replaced this one")

// Close ends the link and its streams, and tells the relay so if the line is
// up. It waits for what the link had started.
func (l *Link) Close() error {
	l.end(ErrClosed)
	l.cancel()
	l.tasks.Wait()
	return nil
}

// end closes everything but the loop, because of err.
func (l *Link) end(err error) {
	l.mu.Lock()
	if l.closed == nil {
		l.closed = err
		l.resetAll(&ResetError{Code: ResetGone, Text: err.Error()})
		c := l.fence()
		l.life.close(err)
		l.tell()
		l.mu.Unlock()
		if c != nil {
			c.bye(err)
		}
		l.wake()
		return
	}
	l.mu.Unlock()
}

// wake makes the loop look.
func (l *Link) wake() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// broken gives up the link's state: the peer does not keep to the protocol, or
// has lost it. The next carrier begins a new link. l.mu is held.
func (l *Link) broken(text string) {
	err := &ResetError{Code: ResetGone, Text: text}
	l.lose(len(l.streams), err)
	l.resetAll(err)
	l.id, l.create, l.received, l.acked, l.ackNow = NewID(), true, 0, 0, false
	l.log.reset()
	l.next, l.relay = 2, ID{}
}

// lose counts streams that end before their time, and tells. l.mu is held.
func (l *Link) lose(n int, why error) {
	if n == 0 {
		return
	}
	l.lostStreams += n
	l.notify(Event{Kind: StreamsLost, State: l.life.state, Err: why})
}

// resetAll ends every stream with err. l.mu is held.
func (l *Link) resetAll(err error) {
	for id, s := range l.streams {
		s.over(err)
		delete(l.streams, id)
	}
}

// push puts a frame that is counted into the log. l.mu is held.
func (l *Link) push(k kind, stream uint32, pos uint64, payload []byte) {
	b := make([]byte, headSize+len(payload))
	putHead(b, k, len(payload), stream, pos)
	copy(b[headSize:], payload)
	l.log.add(entry{b: b})
	l.active()
	l.out.Signal()
}

// hasRoom says whether data may be added to the log. l.mu is held.
func (l *Link) hasRoom() bool {
	return l.log.bytes < maxLog && l.log.unsent < maxUnsent
}

// freed wakes the streams that wait for room in the log. l.mu is held.
func (l *Link) freed() {
	if len(l.room) == 0 || !l.hasRoom() {
		return
	}
	for s := range l.room {
		s.canWrite.Broadcast()
	}
	clear(l.room)
}

// first is the first window of a stream. A socket begins with as much as it
// would have in ssh, as long as few are open: growing costs round trips.
// l.mu is held.
func (l *Link) first(process bool) int {
	if !process && l.windows+bulkWindow <= allWindows/2 {
		return l.grant(bulkWindow)
	}
	return l.grant(firstWindow)
}

// grant takes from the budget of windows; l.mu is held.
func (l *Link) grant(n int) int {
	if l.windows+n > allWindows {
		n = min(n, minWindow)
		if l.windows+n > allWindows+maxStreams*minWindow {
			n = 0
		}
	}
	l.windows += n
	return n
}
