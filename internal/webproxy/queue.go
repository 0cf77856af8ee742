package webproxy

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	smallMessage = 1 << 20 // what is longer goes to disk on the way
	messageCost  = 128     // of a message in memory, besides its bytes
	inFlight     = 256     // messages given to a reader and not acknowledged
)

// errNotYours: the queue has another reader now.
var errNotYours = errors.New("somebody else reads this queue")

// queue is messages on their way to one reader at a time, in order: those it
// has been given and not acknowledged, those that wait in memory, those that
// wait on disk. A next reader is given again what was not acknowledged.
//
// One goroutine adds; it alone touches writing's file beyond its end.
type queue struct {
	store *Store
	drop  func(Drop) // told what there was no room for; called with mu held

	mu       sync.Mutex
	changed  *sync.Cond
	held     []message // in memory or given
	given    int       // so many of held
	base     int64     // acknowledged before held
	heldSize int64
	log      segments
	writing  *segment
	reader   any
	frozen   bool // it is given nothing more
	ended    bool // when all is read it is over
	closed   bool // nothing is kept any more
}

func newQueue(store *Store, drop func(Drop)) *queue {
	q := &queue{store: store, drop: drop, log: segments{store: store}}
	q.changed = sync.NewCond(&q.mu)
	return q
}

// receive adds a message. The error is r's: then it was not whole, and is
// forgotten.
func (q *queue) receive(kind websocket.MessageType, r io.Reader) error {
	at := time.Now()
	buf := buffers{}.Get()
	defer buffers{}.Put(buf)
	n, err := io.ReadFull(r, buf[recordHead:])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		record := buf[:recordHead+n] // as it would be on disk
		if !q.hold(kind, at, record[recordHead:]) {
			q.spoolWhole(kind, at, record)
		}
		return nil
	}
	if err != nil {
		return err
	}
	data, whole, err := readOn(buf[recordHead:], r)
	if err != nil {
		return err
	}
	if !whole {
		return q.spool(kind, at, data, r)
	}
	if !q.hold(kind, at, data) {
		return q.spool(kind, at, data, nil)
	}
	return nil
}

// readOn reads the rest of a message, up to what is too long for memory.
func readOn(begun []byte, r io.Reader) (data []byte, whole bool, err error) {
	var b bytes.Buffer
	b.Grow(4 * len(begun))
	b.Write(begun)
	most := int64(smallMessage - len(begun))
	n, err := io.CopyN(&b, r, most)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	return b.Bytes(), n < most, nil
}

// hold keeps a copy of a message in memory if that is its turn and there is
// room.
func (q *queue) hold(kind websocket.MessageType, at time.Time, data []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return true
	}
	size := int64(len(data))
	if q.log.waiting() || !q.store.reserve(size+messageCost) {
		return false
	}
	q.push(message{kind: kind, at: at, size: size, data: append(make([]byte, 0, size), data...)})
	q.changed.Broadcast()
	return true
}

func (q *queue) push(m message) {
	q.held = append(q.held, m)
	q.heldSize += m.size
}

// next waits for a message that reader has not been given, and gives it. When
// seq is acknowledged it is forgotten, with all before it. More says whether
// the next is there already. The error is io.EOF at the end, errNotYours when
// another reader has come.
func (q *queue) next(reader any) (m message, seq int64, more bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.reader != reader || q.frozen:
			return m, 0, false, errNotYours
		case q.given >= inFlight: // wait
		case q.given < len(q.held) || q.refill():
			m = q.held[q.given]
			q.given++
			return m, q.base + int64(q.given), q.given < len(q.held) || q.log.waiting(), nil
		case q.ended:
			return m, 0, false, io.EOF
		}
		q.changed.Wait()
	}
}

// refill takes a message from disk.
func (q *queue) refill() bool {
	if !q.log.waiting() {
		return false
	}
	m, err := q.log.take()
	if err != nil { // the disk: what was there is lost
		for s := q.log.oldest(nil); s != nil; s = q.log.oldest(nil) {
			q.say(q.log.drop(s), "the disk cannot be read: "+err.Error())
		}
		q.log.tidy(q.writing)
		return false
	}
	if m.file == nil {
		q.store.force(m.size + messageCost)
	}
	q.push(m)
	q.log.tidy(q.writing)
	return true
}

// acknowledge forgets what comes before seq, if it is reader who says so.
func (q *queue) acknowledge(reader any, seq int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acknowledged(reader, seq)
}

func (q *queue) acknowledged(reader any, seq int64) {
	if q.reader == reader {
		q.forget(int(min(seq-q.base, int64(q.given))))
	}
}

// forget lets go of the first n. Called with mu held.
func (q *queue) forget(n int) {
	if n <= 0 {
		return
	}
	for _, m := range q.held[:n] {
		q.heldSize -= m.size
		if m.file == nil {
			q.store.release(m.size + messageCost)
		} else {
			m.file.users--
		}
	}
	clear(q.held[:n])
	q.held = q.held[n:]
	if len(q.held) == 0 && cap(q.held) > 1024 {
		q.held = nil
	}
	q.given = max(0, q.given-n)
	q.base += int64(n)
	q.log.tidy(q.writing)
	q.changed.Broadcast()
}

// read makes reader the one reader, who is given all that is not acknowledged.
func (q *queue) read(reader any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reader, q.given, q.frozen = reader, 0, false
	q.changed.Broadcast()
}

// freeze gives reader nothing more, but it may acknowledge what it has.
func (q *queue) freeze(reader any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frozen = q.frozen || q.reader == reader
	q.changed.Broadcast()
}

// leave is the end of a reader.
func (q *queue) leave(reader any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reader == reader {
		q.reader, q.given = nil, 0
		q.changed.Broadcast()
	}
}

// drained waits until reader has acknowledged all; false: it has left.
func (q *queue) drained(reader any) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.reader == reader && !q.frozen && len(q.held) > 0 {
		q.changed.Wait()
	}
	return q.reader == reader && !q.frozen
}

// room waits until at most so many bytes are waiting, the queue is closed, or
// somebody has set stop and woken all.
func (q *queue) room(bytes int64, stop *atomic.Bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && !stop.Load() && q.heldSize+q.log.bytes() > bytes {
		q.changed.Wait()
	}
}

func (q *queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
}

func (q *queue) setEnded(ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = ended
	q.changed.Broadcast()
}

// discard forgets all and says how much that was.
func (q *queue) discard() Drop {
	q.mu.Lock()
	defer q.mu.Unlock()
	var d Drop
	for _, m := range q.held {
		d.add(Drop{From: m.at, To: m.at, Messages: 1, Bytes: m.size})
	}
	q.given = len(q.held)
	q.forget(len(q.held))
	for s := q.log.oldest(nil); s != nil; s = q.log.oldest(nil) {
		d.add(q.log.drop(s))
	}
	q.log.tidy(q.writing)
	return d
}

// close keeps nothing from now on.
func (q *queue) close() Drop {
	q.mu.Lock()
	q.closed, q.reader = true, nil
	q.changed.Broadcast()
	q.mu.Unlock()
	return q.discard()
}

// waiting is what is kept, and since when the oldest of it is.
func (q *queue) waiting() (messages, bytes int64, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	messages, bytes = int64(len(q.held)), q.heldSize
	if len(q.held) > 0 {
		oldest = q.held[0].at
	}
	for _, s := range q.log.all {
		if s.count > 0 && oldest.IsZero() {
			oldest = s.first
		}
		messages += s.count
		bytes += s.bytes
	}
	return messages, bytes, oldest
}

// say tells of what is lost. Called with mu held.
func (q *queue) say(d Drop, why string) {
	d.Why = why
	q.drop(d)
}
