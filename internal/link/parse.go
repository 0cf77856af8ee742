package link

import "fmt"

// protocolError says that the peer does not keep to PROTOCOL.md.
type protocolError string

func (e protocolError) Error() string { return "the relay breaks the protocol: " + string(e) }

func badf(format string, args ...any) error { return protocolError(fmt.Sprintf(format, args...)) }

// frames is told what a parser finds.
type frames interface {
	// data is a part of a data frame; counted is the length of the frame with
	// its head when this is its last part, else 0.
	data(stream uint32, pos uint64, b []byte, counted int) error
	// frame is any other frame, whole.
	frame(k kind, stream uint32, pos uint64, payload []byte) error
}

// parser cuts a carrier's bytes into frames. It keeps at most one frame that
// is no data.
type parser struct {
	part   []byte // a head or a frame that is not whole
	need   int    // of the payload of the data frame that has begun
	whole  int
	stream uint32
	pos    uint64
}

func (p *parser) feed(b []byte, to frames) error {
	for len(b) > 0 {
		n, err := p.step(b, to)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// step takes n bytes of b.
func (p *parser) step(b []byte, to frames) (n int, err error) {
	if p.need > 0 {
		return p.payload(b, to)
	}
	frame := b
	if len(p.part) > 0 {
		n = min(len(b), p.missing())
		p.part = append(p.part, b[:n]...)
		frame = p.part
	}
	if len(frame) < headSize {
		return p.keep(b, n), nil
	}
	k, size := kind(frame[0]), int(be.Uint32(frame)&0xffffff)
	if err := checkHead(k, size); err != nil {
		return 0, err
	}
	stream, pos := be.Uint32(frame[4:]), be.Uint64(frame[8:])
	if k == kindData {
		p.stream, p.pos, p.need, p.whole = stream, pos, size, headSize+size
		return p.done(n, headSize), nil
	}
	if len(frame) < headSize+size {
		return p.keep(b, n), nil
	}
	err = to.frame(k, stream, pos, frame[headSize:headSize+size])
	return p.done(n, headSize+size), err
}

// missing is how many bytes the part needs before it can be looked at again.
func (p *parser) missing() int {
	if len(p.part) < headSize {
		return headSize - len(p.part)
	}
	return headSize + int(be.Uint32(p.part)&0xffffff) - len(p.part)
}

// keep keeps what is not whole, unless it is already in the part.
func (p *parser) keep(b []byte, n int) int {
	if n > 0 {
		return n
	}
	p.part = append(p.part, b...)
	return len(b)
}

func (p *parser) done(fromPart, size int) int {
	if fromPart > 0 {
		p.part = p.part[:0]
		return fromPart
	}
	return size
}

func (p *parser) payload(b []byte, to frames) (int, error) {
	n, counted := min(len(b), p.need), 0
	if p.need -= n; p.need == 0 {
		counted = p.whole
	}
	err := to.data(p.stream, p.pos, b[:n], counted)
	p.pos += uint64(n)
	return n, err
}

func checkHead(k kind, size int) error {
	if !(k >= kindOpen && k <= kindExit || k >= kindAck && k <= kindBye) {
		return badf("a frame of unknown kind %d", k)
	}
	if size > maxPayload || k == kindData && size == 0 {
		return badf("a frame of kind %d is %d bytes long", k, size)
	}
	return nil
}
