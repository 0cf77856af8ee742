package link

import (
	"sync"
	"sync/atomic"
)

// big is the memory of a full frame. It goes back to the pool when the log and
// the writers of all carriers have let go of it.
type big struct {
	refs atomic.Int32
	b    [maxPayload]byte // head and payload: two full packets of SSH
}

var bigs = sync.Pool{New: func() any { return new(big) }}

func newBig() *big {
	m := bigs.Get().(*big)
	m.refs.Store(1)
	return m
}

func (m *big) hold() {
	if m != nil {
		m.refs.Add(1)
	}
}

func (m *big) release() {
	if m != nil && m.refs.Add(-1) == 0 {
		bigs.Put(m)
	}
}

// entry is one frame in the log.
type entry struct {
	end uint64 // its position and its length
	b   []byte
	mem *big // of b; nil: it has its own
}

// sendLog is what was handed to carriers or waits for one, until the peer has
// acknowledged it.
type sendLog struct {
	entries []entry
	sent    int    // of entries, handed to the present carrier
	base    uint64 // acknowledged up to here
	end     uint64
	bytes   int
	unsent  int // bytes
}

func (g *sendLog) add(e entry) {
	g.end += uint64(len(e.b))
	e.end = g.end
	g.entries = append(g.entries, e)
	g.bytes += len(e.b)
	g.unsent += len(e.b)
}

// sentEnd is the position up to which the present carrier has been given.
func (g *sendLog) sentEnd() uint64 {
	if g.sent == 0 {
		return g.base
	}
	return g.entries[g.sent-1].end
}

// take hands out at most size bytes, at least one frame if there is one. The
// memory of each is held.
func (g *sendLog) take(into []entry, size int) []entry {
	for g.sent < len(g.entries) && size > 0 {
		e := g.entries[g.sent]
		e.mem.hold()
		into = append(into, e)
		g.sent++
		g.unsent -= len(e.b)
		size -= len(e.b)
	}
	return into
}

// ack forgets what ends at pos or before; false: it was never sent.
func (g *sendLog) ack(pos uint64) bool {
	if pos > g.sentEnd() {
		return false
	}
	n := 0
	for n < g.sent && g.entries[n].end <= pos {
		e := &g.entries[n]
		g.bytes -= len(e.b)
		g.base = e.end
		e.mem.release()
		*e = entry{}
		n++
	}
	g.entries, g.sent = g.entries[n:], g.sent-n
	return true
}

// resume makes everything after pos unsent again; false: pos is not the end of
// a frame that was sent.
func (g *sendLog) resume(pos uint64) bool {
	if !g.ack(pos) || g.base != pos {
		return false
	}
	g.sent, g.unsent = 0, g.bytes
	return true
}

func (g *sendLog) reset() {
	for _, e := range g.entries {
		e.mem.release()
	}
	*g = sendLog{}
}
