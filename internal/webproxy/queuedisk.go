package webproxy

import (
	"errors"
	"io"
	"time"

	"github.com/coder/websocket"
)

// spool adds a message to the end of what is on disk: data, and then what rest
// has to say unless it is nil. The error is that of rest.
func (q *queue) spool(kind websocket.MessageType, at time.Time, data []byte, rest io.Reader) error {
	w := q.record()
	size := int64(len(data))
	var first [recordHead]byte
	putHead(first[:], kind, at, size)
	w.write(first[:])
	w.write(data)
	var broken error
	if rest != nil {
		var n int64
		n, broken = io.CopyBuffer(&w, struct{ io.Reader }{rest}, make([]byte, bufferSize))
		size += n
		if w.err == nil && broken == nil {
			putHead(first[:], kind, at, size)
			_, w.err = w.s.f.WriteAt(first[:], w.s.to)
		}
	}
	q.commit(&w, at, size, broken)
	return broken
}

// spoolWhole is spool for a message that is there with room for its head.
func (q *queue) spoolWhole(kind websocket.MessageType, at time.Time, record []byte) {
	w := q.record()
	size := int64(len(record) - recordHead)
	putHead(record, kind, at, size)
	w.write(record)
	q.commit(&w, at, size, nil)
}

func (q *queue) record() recordWriter {
	s, failed := q.begin()
	w := recordWriter{q: q, s: s, err: failed}
	if s != nil {
		w.off = s.to
	}
	return w
}

// begin gives the segment to write to.
func (q *queue) begin() (*segment, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.log.last()
	if s == nil {
		f, err := q.store.create()
		if err != nil {
			return nil, err
		}
		s = &segment{store: q.store, f: f}
		q.log.all = append(q.log.all, s)
	}
	q.writing = s
	return s, nil
}

// commit makes the message one to be read, or forgets it.
func (q *queue) commit(w *recordWriter, at time.Time, size int64, broken error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = nil
	s := w.s
	ok := w.err == nil && broken == nil && !q.closed
	if s != nil && !ok {
		s.f.Truncate(s.to)
		q.store.unclaim(s.taken - s.to)
		s.taken = s.to
	}
	if ok {
		if s.count == 0 {
			s.first = at
		}
		s.to, s.last = w.off, at
		s.count++
		s.bytes += size
	} else if broken == nil && !q.closed {
		q.say(Drop{From: at, To: at, Messages: 1, Bytes: size}, reason(w.err))
	}
	q.log.tidy(nil)
	q.changed.Broadcast()
}

func reason(err error) string {
	if errors.Is(err, errFull) {
		return "the room for kept messages is full"
	}
	return "the disk: " + err.Error()
}

// recordWriter writes one message. After an error it swallows the rest: what
// comes from the far server must be read on.
type recordWriter struct {
	q   *queue
	s   *segment
	off int64
	err error
}

func (w *recordWriter) Write(p []byte) (int, error) {
	w.write(p)
	return len(p), nil
}

func (w *recordWriter) write(p []byte) {
	if w.err != nil {
		return
	}
	if w.err = w.claim(int64(len(p))); w.err != nil {
		return
	}
	_, w.err = w.s.f.WriteAt(p, w.off)
	w.off += int64(len(p))
}

// claim makes room; the oldest has to go if there is none. What is newest says
// whether the cell has ended.
func (w *recordWriter) claim(n int64) error {
	for !w.q.store.claim(n) {
		w.q.mu.Lock()
		s := w.q.log.oldest(w.s)
		if s == nil {
			w.q.mu.Unlock()
			return errFull
		}
		w.q.say(w.q.log.drop(s), reason(errFull))
		w.q.log.tidy(w.s)
		w.q.mu.Unlock()
	}
	w.s.taken += n
	return nil
}
