package link

import (
	"io"
	"os"
)

// Write sends b. It returns when all of it is in the log: it will arrive unless
// the stream is reset.
func (s *Stream) Write(b []byte) (int, error) {
	s.writeTurn.Lock()
	defer s.writeTurn.Unlock()
	total := 0
	for first := true; first || len(b) > 0; first = false {
		s.l.mu.Lock()
		n, err := s.waitWrite(len(b))
		if err == nil && n > 0 {
			s.add(newFrame(b[:n]))
		}
		s.l.mu.Unlock()
		total += n
		if err != nil {
			return total, err
		}
		b = b[n:]
	}
	return total, nil
}

// newFrame is a data frame whose head is not filled in.
func newFrame(b []byte) entry {
	var e entry
	if size := headSize + len(b); size <= 4<<10 {
		e.b = make([]byte, size)
	} else {
		e.mem = newBig()
		e.b = e.mem.b[:size]
	}
	copy(e.b[headSize:], b)
	return e
}

// add puts a data frame into the log. l.mu is held.
func (s *Stream) add(e entry) {
	size := len(e.b) - headSize
	putHead(e.b, kindData, size, s.id, s.sent)
	s.sent += uint64(size)
	s.l.log.add(e)
	s.l.active()
	s.l.out.Signal()
}

// waitWrite waits until some of want bytes may be added to the log, and says
// how many. l.mu is held.
func (s *Stream) waitWrite(want int) (int, error) {
	for {
		switch {
		case s.noWrite != nil:
			return 0, s.noWrite
		case s.wdead.passed:
			return 0, os.ErrDeadlineExceeded
		}
		if s.isOpen && s.limit > s.sent && s.l.hasRoom() || want == 0 {
			return int(min(uint64(want), s.limit-s.sent, maxPayload-headSize)), nil
		}
		if s.isOpen && s.limit > s.sent {
			s.l.room[s] = struct{}{}
		}
		s.canWrite.Wait()
	}
}

// ReadFrom copies from r up to its end.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		m := newBig()
		n, rerr := r.Read(m.b[headSize:])
		var err error
		if n == maxPayload-headSize {
			n, err = s.writeBig(m, n)
		} else {
			n, err = s.Write(m.b[headSize : headSize+n])
			m.release()
		}
		total += int64(n)
		switch {
		case err != nil:
			return total, err
		case rerr == io.EOF:
			return total, nil
		case rerr != nil:
			return total, rerr
		}
	}
}

// writeBig sends a full frame without copying it, if the window allows.
func (s *Stream) writeBig(m *big, n int) (int, error) {
	s.writeTurn.Lock()
	s.l.mu.Lock()
	can, err := s.waitWrite(n)
	if err == nil && can == n {
		s.add(entry{b: m.b[:headSize+n], mem: m})
	}
	s.l.mu.Unlock()
	s.writeTurn.Unlock()
	if err == nil && can == n {
		return n, nil
	}
	defer m.release()
	if err != nil {
		return 0, err
	}
	return s.Write(m.b[headSize : headSize+n])
}
