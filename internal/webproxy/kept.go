package webproxy

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// outLimit is how much of what a page says waits for the far server.
	outLimit = 64 << 20
	// lastWords is how long one reads on from a socket that another replaced.
	lastWords = 50 * time.Millisecond
)

// kept is the websocket of one kernel to one page. The far one lives while the
// page's is away.
type kept struct {
	keeper *keeper
	key    string
	kernel string
	turn   chan struct{} // held by the handshake under way
	users  int           // handshakes; under keeper.mu
	in     *queue        // for the page
	out    *queue        // for the far server

	protocol string // changed by whoever holds turn

	mu      sync.Mutex
	far     *websocket.Conn // nil: none
	page    *pageSocket     // nil: away
	away    time.Time
	timer   *time.Timer
	over    bool // nothing is kept any more
	bade    bool // because the page has said that it ends, with end
	end     websocket.CloseError
	dropped Drop
	pending map[string]Drop // to be said, by reason
}

func newKept(ks *keeper, key, kernel string) *kept {
	k := &kept{keeper: ks, key: key, kernel: kernel, turn: make(chan struct{}, 1), pending: map[string]Drop{}}
	store := ks.proxy.Store
	k.in, k.out = newQueue(store, k.say), newQueue(store, k.say)
	return k
}

func (k *kept) leave() {
	<-k.turn
	k.keeper.left(k)
}

func (k *kept) connected() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.far != nil
}

func (k *kept) isOver() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.over
}

func (k *kept) awaySince() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.away
}

// idle says that nothing would be lost.
func (k *kept) idle() bool {
	n, _, _ := k.in.waiting()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.over || k.far == nil && k.page == nil && n == 0
}

// connectTo takes a new far websocket.
func (k *kept) connectTo(conn *websocket.Conn) {
	k.mu.Lock()
	k.far, k.protocol = conn, conn.Subprotocol()
	over := k.over
	k.mu.Unlock()
	if over {
		conn.CloseNow()
		return
	}
	k.in.setEnded(false)
	k.out.setEnded(false)
	k.out.read(conn)
	go k.hear(conn)
	go k.speak(conn)
}

// hear takes all that the far server says.
func (k *kept) hear(conn *websocket.Conn) {
	for {
		kind, r, err := conn.Reader(context.Background())
		if err == nil {
			err = k.in.receive(kind, r)
		}
		if err != nil {
			conn.CloseNow()
			k.lost(conn, err)
			return
		}
	}
}

// speak tells the far server all that the page says, and that it has ended.
func (k *kept) speak(conn *websocket.Conn) {
	for {
		m, seq, _, err := k.out.next(conn)
		if err != nil {
			break
		}
		if send(conn, &m, nil) != nil {
			conn.CloseNow() // hear sees it
			return
		}
		k.out.acknowledge(conn, seq)
	}
	k.mu.Lock()
	bade, end := k.bade, k.end
	k.mu.Unlock()
	if bade { // else Jupyter goes on keeping for it
		conn.Close(end.Code, end.Reason)
	}
}

// lost is the end of the far websocket. The page gets what is kept, and then
// the close frame: that of the far server, or one that makes it come back.
func (k *kept) lost(conn *websocket.Conn, err error) {
	k.out.leave(conn)
	k.mu.Lock()
	if k.far != conn {
		k.mu.Unlock()
		return
	}
	k.far = nil
	k.end = websocket.CloseError{Code: websocket.StatusServiceRestart}
	errors.As(err, &k.end)
	k.mu.Unlock()
	k.out.discard() // never later, to another websocket
	k.in.setEnded(true)
	k.keeper.mu.Lock()
	defer k.keeper.mu.Unlock()
	k.keeper.tidy(k)
}

// disconnect ends the far websocket; what was kept of it stays.
func (k *kept) disconnect() {
	k.mu.Lock()
	conn := k.far
	k.far, k.end = nil, websocket.CloseError{Code: websocket.StatusServiceRestart}
	k.mu.Unlock()
	if conn != nil {
		conn.CloseNow()
		k.out.leave(conn)
		k.out.discard()
		k.in.setEnded(true)
	}
}

// attach gives the page that has come all that no page has acknowledged. One
// that was there is ended, when what it has said has been read. False: nothing
// is kept any more.
func (k *kept) attach(p *pageSocket) bool {
	k.mu.Lock()
	if k.over {
		k.mu.Unlock()
		return false
	}
	old := k.page
	k.page, k.away = p, time.Time{}
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	if old != nil {
		old.finish()
	}
	k.in.read(p)
	return true
}

// detach is the end of a page's socket without a close frame.
func (k *kept) detach(p *pageSocket) {
	k.in.leave(p)
	k.mu.Lock()
	if k.page != p {
		k.mu.Unlock()
		return
	}
	k.page, k.away = nil, time.Now()
	if !k.over {
		k.timer = time.AfterFunc(cmp.Or(k.keeper.proxy.keepFor, KeepFor), func() {
			if !k.awaySince().IsZero() {
				k.giveUp("the page did not come back")
			}
		})
	}
	k.mu.Unlock()
	k.keeper.mu.Lock()
	k.keeper.tidy(k)
	k.keeper.mu.Unlock()
	k.keeper.crowd()
}

// bye is a page that says that it has ended.
func (k *kept) bye(p *pageSocket, end websocket.CloseError) {
	k.mu.Lock()
	if k.page != p {
		k.mu.Unlock()
		return
	}
	k.page, k.over, k.bade, k.end = nil, true, true, end
	k.mu.Unlock()
	k.in.close()
	k.out.setEnded(true) // then speak says it to the far server
	k.forgotten()
}

// giveUp ends everything; what was kept is lost.
func (k *kept) giveUp(why string) {
	k.mu.Lock()
	was := k.over
	k.over = true
	p, conn := k.page, k.far
	k.mu.Unlock()
	if !was {
		d := k.in.close()
		d.Why = why
		k.say(d)
	}
	k.close()
	if p != nil {
		p.reset()
	}
	if conn != nil {
		conn.CloseNow()
	}
	k.forgotten()
}

func (k *kept) forgotten() {
	k.keeper.mu.Lock()
	defer k.keeper.mu.Unlock()
	if k.keeper.all[k.key] == k {
		delete(k.keeper.all, k.key)
	}
}

// close lets go of what is held.
func (k *kept) close() {
	k.mu.Lock()
	k.over = true
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	k.in.close()
	k.out.close()
}

// say tells of what is lost, what comes together at once.
func (k *kept) say(d Drop) {
	if d.Messages == 0 {
		return
	}
	d.Kernel = k.kernel
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped.add(d)
	k.dropped.Kernel, k.dropped.Why = d.Kernel, d.Why
	all, known := k.pending[d.Why]
	all.add(d)
	all.Kernel, all.Why = d.Kernel, d.Why
	k.pending[d.Why] = all
	if !known {
		time.AfterFunc(sayTogether, func() {
			k.mu.Lock()
			all := k.pending[d.Why]
			delete(k.pending, d.Why)
			k.mu.Unlock()
			if dropped := k.keeper.proxy.Dropped; dropped != nil {
				dropped(all)
			}
		})
	}
}

func (k *kept) stat() Kept {
	messages, bytes, oldest := k.in.waiting()
	k.mu.Lock()
	defer k.mu.Unlock()
	return Kept{Kernel: k.kernel, Messages: messages, Bytes: bytes, Oldest: oldest, Away: k.away, Dropped: k.dropped}
}
