package link

import (
	"io"
	"strconv"
	"time"
)

// receive takes what a carrier gave. An error is the peer's fault.
func (l *Link) receive(c *carrier, b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.carrier != c {
		return nil // fenced: what it still gives comes again
	}
	if l.life.hear(l.clock.Now()) {
		l.wake()
	}
	if err := c.parser.feed(b, l); err != nil {
		return err
	}
	l.owe()
	return nil
}

// owe sees to it that what was received is acknowledged. l.mu is held.
func (l *Link) owe() {
	switch {
	case l.received-l.acked >= ackBytes:
		l.ackNow = true
		l.out.Signal()
	case l.received > l.acked && l.ackTimer == nil:
		l.ackTimer = time.AfterFunc(ackTime, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ackTimer = nil
			l.ackNow = l.received > l.acked
			l.out.Signal()
		})
	}
}

// data implements frames. l.mu is held.
func (l *Link) data(id uint32, pos uint64, b []byte, counted int) error {
	l.received += uint64(counted)
	l.life.activity = l.life.heard
	s := l.streams[id]
	if s == nil {
		return l.known(id)
	}
	end := pos + uint64(len(b))
	switch {
	case pos > s.got || s.eof || !s.isOpen && s.id%2 == 0:
		return badf("stream %d: data at %d, expected at %d", id, pos, s.got)
	case end > s.granted || end < pos:
		return badf("stream %d: data beyond its window", id)
	case end <= s.got:
		return nil // a frame that a carrier had delivered in part
	}
	s.in.add(b[s.got-pos:])
	s.got = end
	s.canRead.Broadcast()
	return nil
}

// known accepts frames for streams that have ended. l.mu is held.
func (l *Link) known(id uint32) error {
	if id < 2 || id >= l.next {
		return badf("stream %d was never opened", id)
	}
	return nil
}

// frame implements frames. l.mu is held.
func (l *Link) frame(k kind, id uint32, pos uint64, payload []byte) error {
	switch k {
	case kindAck:
		if !l.log.ack(pos) {
			return badf("position %d is acknowledged, %d was sent", pos, l.log.sentEnd())
		}
		l.freed()
		return nil
	case kindPing:
		if len(l.pongs) < 16 {
			l.pongs = append(l.pongs, pos)
			l.out.Signal()
		}
		return nil
	case kindPong:
		return l.pong(pos, payload)
	case kindBye:
		return byeError{code: pos, text: string(payload)}
	}
	l.received += uint64(headSize + len(payload))
	s := l.streams[id]
	if s == nil {
		return l.known(id)
	}
	return s.frame(k, pos, payload)
}

// byeError says that the relay has given the link up.
type byeError struct {
	code uint64
	text string
}

func (e byeError) Error() string { return "the relay ended the link: " + e.text }

// frame takes a frame of the stream's own. l.mu is held.
func (s *Stream) frame(k kind, pos uint64, payload []byte) error {
	switch k {
	case kindOpened:
		if s.isOpen || s.id%2 == 1 {
			return badf("stream %d is opened twice", s.id)
		}
		s.isOpen, s.limit = true, pos
		s.open()
		s.canWrite.Broadcast()
	case kindFin:
		if pos != s.got || s.eof {
			return badf("stream %d: its end is at %d, not at %d", s.id, s.got, pos)
		}
		s.eof = true
		s.canRead.Broadcast()
		s.done()
	case kindReset:
		if len(payload) > 1024 {
			payload = payload[:1024]
		}
		err := &ResetError{Code: ResetCode(pos), Text: string(payload)}
		if err.Code == ResetSpoolFull {
			s.l.lose(1, err)
		}
		s.over(err)
	case kindWindow:
		s.limit = max(s.limit, pos)
		s.canWrite.Broadcast()
	case kindExit:
		return s.exited(pos, payload)
	default:
		return badf("a frame of kind %d does not come here", k)
	}
	return nil
}

// exited is the end of a process. l.mu is held.
func (s *Stream) exited(code uint64, signal []byte) error {
	if s.exec == nil {
		return badf("stream %d is no process", s.id)
	}
	var err error
	if code != 0 || len(signal) > 0 {
		err = &ExitError{Code: int(min(code, 255)), Signal: name(signal)}
	}
	s.exec.ended(err)
	s.stopWrite(io.ErrClosedPipe)
	s.done()
	return nil
}

// name makes a signal's name from what a host sent.
func name(b []byte) string {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return strconv.Quote(string(b[:min(len(b), 32)]))
		}
	}
	return string(b[:min(len(b), 32)])
}

// pong takes the answer to a ping and what the relay says of itself. l.mu is
// held.
func (l *Link) pong(token uint64, payload []byte) error {
	at, ok := l.pinged[token]
	if !ok {
		return nil
	}
	for t := range l.pinged {
		if t <= token {
			delete(l.pinged, t)
		}
	}
	l.proven(token)
	l.life.measured(at, l.clock.Now())
	if len(payload) < 24 {
		return badf("a pong of %d bytes", len(payload))
	}
	l.far.waiting, l.far.spool, l.far.quota = be.Uint64(payload), be.Uint64(payload[8:]), be.Uint64(payload[16:])
	half := l.far.spool > l.far.quota/2
	if half && !l.far.warned {
		l.notify(Event{Kind: SpoolHalfFull, State: l.life.state, Spool: int64(l.far.spool), Quota: int64(l.far.quota)})
	}
	l.far.warned = half
	return nil
}
