package webproxy

import (
	"encoding/binary"
	"io"
	"os"
	"time"

	"github.com/coder/websocket"
)

// message is one message of a websocket: in memory, or in a file.
type message struct {
	kind websocket.MessageType
	at   time.Time // when it came
	size int64
	data []byte   // nil: in file
	file *segment // counts the message as one of its users
	off  int64
}

// read copies what begins at off.
func (m *message) read(p []byte, off int64) (int, error) {
	if m.file == nil {
		return copy(p, m.data[off:]), nil
	}
	return m.file.f.ReadAt(p[:min(int64(len(p)), m.size-off)], m.off+off)
}

const recordHead = 1 + 8 + 8 // kind, time, size

// segment is a file of messages, one after the other. It is closed when no
// message is in it that anybody wants.
type segment struct {
	store *Store
	f     *os.File
	to    int64 // the end of what is whole
	next  int64 // where the first message begins that nobody has taken
	users int   // messages taken and not let go

	count, bytes int64 // of messages not taken
	first, last  time.Time
	closed       bool
	taken        int64 // room on disk
}

func (s *segment) close() {
	if !s.closed {
		s.closed = true
		s.f.Close()
		os.Remove(s.f.Name()) // where an open file cannot be removed
		s.store.unclaim(s.taken)
	}
}

// segments are messages in files, the oldest first. It is used with the
// queue's lock held, but for append.
type segments struct {
	store *Store
	all   []*segment // the last is written to
}

// waiting says whether there is one to take.
func (l *segments) waiting() bool { return l.oldest(nil) != nil }

func (l *segments) bytes() (n int64) {
	for _, s := range l.all {
		n += s.bytes
	}
	return n
}

// oldest is the first segment but except with something that nobody has taken.
func (l *segments) oldest(except *segment) *segment {
	for _, o := range l.all {
		if o != except && o.count > 0 {
			return o
		}
	}
	return nil
}

// drop gives up what nobody has taken yet of a segment.
func (l *segments) drop(s *segment) Drop {
	d := Drop{From: s.first, To: s.last, Messages: s.count, Bytes: s.bytes}
	s.next, s.count, s.bytes = s.to, 0, 0
	return d
}

// tidy closes segments that nobody needs; but not the one being written to,
// unless writing is nil.
func (l *segments) tidy(writing *segment) {
	kept := l.all[:0]
	for _, s := range l.all {
		if s.count == 0 && s.users == 0 && s != writing {
			s.close()
			continue
		}
		kept = append(kept, s)
	}
	clear(l.all[len(kept):])
	l.all = kept
}

// last is the segment to write to, or nil when a new one is due.
func (l *segments) last() *segment {
	if n := len(l.all); n > 0 && l.all[n-1].to < l.store.segmentSize() {
		return l.all[n-1]
	}
	return nil
}

// take gives the first message. Small ones come into memory.
func (l *segments) take() (message, error) {
	for _, s := range l.all {
		if s.count == 0 {
			continue
		}
		var buf [4 << 10]byte
		n, err := s.f.ReadAt(buf[:min(int64(len(buf)), s.to-s.next)], s.next)
		if n < recordHead {
			return message{}, err
		}
		m := message{
			kind: websocket.MessageType(buf[0]),
			at:   time.Unix(0, int64(binary.BigEndian.Uint64(buf[1:]))),
			size: int64(binary.BigEndian.Uint64(buf[9:])),
			off:  s.next + recordHead,
		}
		s.next = m.off + m.size
		s.count--
		s.bytes -= m.size
		if m.size <= int64(n-recordHead) {
			m.data = append(make([]byte, 0, m.size), buf[recordHead:recordHead+m.size]...)
		} else {
			m.file = s
			s.users++
		}
		return m, nil
	}
	return message{}, io.EOF
}

func putHead(b []byte, kind websocket.MessageType, at time.Time, size int64) {
	b[0] = byte(kind)
	binary.BigEndian.PutUint64(b[1:], uint64(at.UnixNano()))
	binary.BigEndian.PutUint64(b[9:], uint64(size))
}
