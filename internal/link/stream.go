package link

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// ResetCode says why a stream was reset.
type ResetCode uint64

// The first are on the wire, see PROTOCOL.md.
const (
	ResetClosed     ResetCode = iota // by its user
	ResetAborted                     // likewise, at once
	ResetFar                         // by the far socket
	ResetRefused                     // it could not be opened
	ResetSpoolFull                   // what came after is lost
	ResetLimit                       // too many streams
	ResetNotAllowed                  // the address is the host's own
	ResetGone       ResetCode = 100  // the relay has ended, or the link
)

// ResetError says why a stream ended before its end.
type ResetError struct {
	Code ResetCode
	Text string
}

func (e *ResetError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("the stream was reset (%d)", e.Code)
	}
	return e.Text
}

// Stream is a connection to a far socket or process. It is a net.Conn that can
// be half-closed, and outlives every carrier.
type Stream struct {
	l  *Link
	id uint32
	to addr

	// All else is guarded by l.mu.
	canRead  sync.Cond
	canWrite sync.Cond
	opened   chan struct{} // closed when it is open or has failed
	isOpen   bool

	in      queue
	got     uint64 // from the peer
	used    uint64 // of it by the reader
	granted uint64
	window  int
	tuned   time.Time // when the window was last looked at
	eof     bool
	deaf    bool // what comes is dropped: Close was called

	sent    uint64
	limit   uint64
	finSent bool
	noWrite error // why Write fails

	err          error // a reset; Read gives it after what has come
	rdead, wdead deadline
	exec         *Process
	writeTurn    sync.Mutex // one Write at a time, so that each is whole
	readTurn     sync.Mutex
}

type addr string

func (a addr) Network() string { return "link" }
func (a addr) String() string  { return string(a) }

// newStream makes one that is not yet known to the link, with a window that was
// granted. l.mu is held.
func (l *Link) newStream(id uint32, to string, window int) *Stream {
	s := &Stream{l: l, id: id, to: addr(to), opened: make(chan struct{})}
	s.canRead.L, s.canWrite.L = &l.mu, &l.mu
	s.window, s.granted = window, uint64(window)
	l.streams[id] = s
	return s
}

// LocalAddr names the link.
func (s *Stream) LocalAddr() net.Addr { return addr("link") }

// RemoteAddr is what was dialled.
func (s *Stream) RemoteAddr() net.Addr { return s.to }

// Read reads what the far side sent. A *ResetError comes after all that had
// arrived before it.
func (s *Stream) Read(b []byte) (int, error) {
	s.readTurn.Lock()
	defer s.readTurn.Unlock()
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	if err := s.wait(); err != nil {
		return 0, err
	}
	n := s.in.read(b)
	s.consumed(n)
	return n, nil
}

// wait waits until there is something to read. l.mu is held.
func (s *Stream) wait() error {
	for s.in.n == 0 {
		switch {
		case s.deaf:
			return net.ErrClosed
		case s.eof:
			return io.EOF
		case s.err != nil:
			return s.err
		case s.rdead.passed:
			return os.ErrDeadlineExceeded
		}
		s.canRead.Wait()
	}
	if s.rdead.passed {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// WriteTo copies to w up to the end.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	s.readTurn.Lock()
	defer s.readTurn.Unlock()
	var total int64
	for {
		s.l.mu.Lock()
		if err := s.wait(); err != nil {
			s.l.mu.Unlock()
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		var held [4]*block
		blks, out, size := held[:0], net.Buffers(nil), s.in.n
		for s.in.n > 0 && len(blks) < len(held) {
			blk := s.in.pop()
			blks, out = append(blks, blk), append(out, blk.bytes())
		}
		size -= s.in.n
		s.l.mu.Unlock()
		n, err := out.WriteTo(w) // one write, where w is a socket
		for _, blk := range blks {
			blk.free()
		}
		s.l.mu.Lock()
		s.consumed(size)
		s.l.mu.Unlock()
		total += n
		if err != nil {
			return total, err
		}
	}
}

// consumed opens the window by what was read. l.mu is held.
func (s *Stream) consumed(n int) {
	s.used += uint64(n)
	if (s.eof || s.err != nil) && s.in.n == 0 {
		s.release() // nothing more comes
	}
	if s.eof || s.err != nil || s.deaf || s.granted-s.used > uint64(s.window/4*3) {
		return
	}
	s.tune()
	if limit := s.used + uint64(s.window); limit > s.granted {
		s.granted = limit
		s.l.push(kindWindow, s.id, limit, nil)
	}
}

// tune doubles the window of a stream that is read as fast as it comes and
// that comes as fast as the window lets it; one that trickles gives back what
// it once got. l.mu is held.
func (s *Stream) tune() {
	now := time.Now()
	took := now.Sub(s.tuned)
	s.tuned = now
	switch {
	case took < max(25*time.Millisecond, 2*s.l.life.rtt) && s.in.n == 0 && s.window < maxWindow:
		if s.l.windows+s.window <= allWindows {
			s.l.windows += s.window
			s.window *= 2
		}
	case took > 10*time.Second && s.window > firstWindow:
		s.window /= 2
		s.l.windows -= s.window
	}
}

// CloseWrite ends this direction; the other stays open.
func (s *Stream) CloseWrite() error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.noWrite != nil {
		return s.noWrite
	}
	s.fin()
	s.done()
	return nil
}

// fin says that no more comes. l.mu is held.
func (s *Stream) fin() {
	s.finSent = true
	s.stopWrite(net.ErrClosed)
	s.l.push(kindFin, s.id, s.sent, nil)
}

func (s *Stream) stopWrite(err error) {
	if s.noWrite == nil {
		s.noWrite = err
	}
	s.canWrite.Broadcast()
}

// Close ends the stream. What was written still arrives.
func (s *Stream) Close() error { return s.leave(ResetClosed) }

// Abort ends the stream at once: what has not arrived is dropped, and the far
// socket sees a reset.
func (s *Stream) Abort() error { return s.leave(ResetAborted) }

func (s *Stream) leave(code ResetCode) error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.deaf {
		return nil
	}
	s.deaf = true
	s.stopWrite(net.ErrClosed)
	s.in.clear()
	s.canRead.Broadcast()
	if s.l.streams[s.id] == s {
		s.l.push(kindReset, s.id, uint64(code), nil)
		s.forget()
	}
	s.rdead.set(s, &s.canRead, time.Time{})
	s.wdead.set(s, &s.canWrite, time.Time{})
	s.release()
	return nil
}

// forget ends what the link knows of the stream. l.mu is held.
func (s *Stream) forget() {
	if s.l.streams[s.id] == s {
		delete(s.l.streams, s.id)
	}
	delete(s.l.room, s)
	if s.in.n == 0 {
		s.release()
	}
}

// release gives the window back to the budget. l.mu is held.
func (s *Stream) release() {
	s.l.windows -= s.window
	s.window = 0
}

// done forgets the stream if both directions have ended. l.mu is held.
func (s *Stream) done() {
	over := s.finSent || s.id%2 == 1
	if s.exec != nil {
		over = s.exec.isDone()
	}
	if s.eof && over {
		s.forget()
	}
}

// over ends the stream because of err. l.mu is held.
func (s *Stream) over(err error) {
	if s.err == nil {
		s.err = err
	}
	s.stopWrite(err)
	s.open()
	s.canRead.Broadcast()
	if s.exec != nil {
		s.exec.ended(err)
	}
	s.forget()
}

// open ends the waiting of Dial. l.mu is held.
func (s *Stream) open() {
	select {
	case <-s.opened:
	default:
		close(s.opened)
	}
}
