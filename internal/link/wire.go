package link

import (
	"encoding/binary"
	"errors"
	"fmt"
)

type kind uint8

// Kinds of frames; those below ack are in the log. See PROTOCOL.md.
const (
	kindOpen kind = iota + 1
	kindOpened
	kindData
	kindFin
	kindReset
	kindWindow
	kindSize
	kindSignal
	kindExit
)

const (
	kindAck kind = iota + 16
	kindPing
	kindPong
	kindBye
)

const (
	headSize   = 16
	maxPayload = 64 << 10
	version    = 1
)

const magic = "nbrL"

// Messages of the handshake.
const (
	msgHello = iota + 1
	msgWelcome
	msgTake
	msgTaken
)

const (
	helloSize   = 56
	welcomeSize = 40
	takeSize    = 24
)

// Statuses of a welcome and a taken.
const (
	statusOK = iota
	statusVersion
	statusUnknown
	statusReplaced
	statusStale
	statusBusy
	statusPosition
)

// Kinds of streams, their flags, and the tags of their fields.
const (
	streamTCP  = 1
	streamUnix = 2
	streamExec = 3
	// streamBeyond is streamTCP to other machines alone.
	streamBeyond = 4
	streamListen = 5
	streamAccept = 6

	flagAlways = 1
	flagPty    = 2
	flagOwn    = 4

	tagHost   = 1
	tagPort   = 2
	tagPath   = 3
	tagArg    = 4
	tagEnv    = 5
	tagDir    = 6
	tagSize   = 7
	tagRange  = 8
	tagNumber = 9
)

const byeReplaced = 1

var be = binary.BigEndian

func putHead(b []byte, k kind, size int, stream uint32, pos uint64) {
	be.PutUint32(b, uint32(k)<<24|uint32(size))
	be.PutUint32(b[4:], stream)
	be.PutUint64(b[8:], pos)
}

// hello asks for a link. Whoever sends it may take the link once welcome.
type hello struct {
	create       bool
	laptop, link ID
	epoch        uint64
}

func (h hello) bytes() []byte {
	b := make([]byte, helloSize)
	copy(b, magic)
	b[4], b[5], b[6] = msgHello, version, version
	if h.create {
		b[7] = 1
	}
	copy(b[8:], h.laptop[:])
	copy(b[24:], h.link[:])
	be.PutUint64(b[40:], h.epoch)
	be.PutUint16(b[50:], 1) // channels; this one is number 0
	return b
}

// welcome answers a hello.
type welcome struct {
	status uint8
	relay  ID
	epoch  uint64
}

func parseWelcome(b []byte) (w welcome, err error) {
	if len(b) != welcomeSize || string(b[:4]) != magic || b[4] != msgWelcome {
		return w, errors.New("what answers is no relay")
	}
	copy(w.relay[:], b[8:24])
	w.status, w.epoch = b[6], be.Uint64(b[24:])
	if b[5] != version && w.status == statusOK {
		return w, fmt.Errorf("the relay speaks version %d", b[5])
	}
	return w, nil
}

// take takes the link over, and says what has been received of it; the same
// goes back.
type take struct {
	status uint8
	epoch  uint64
	pos    uint64
}

func (t take) bytes() []byte {
	b := make([]byte, takeSize)
	copy(b, magic)
	b[4], b[5], b[6] = msgTake, version, t.status
	be.PutUint64(b[8:], t.epoch)
	be.PutUint64(b[16:], t.pos)
	return b
}

func parseTaken(b []byte) (t take, err error) {
	if len(b) != takeSize || string(b[:4]) != magic || b[4] != msgTaken || b[5] != version {
		return t, errors.New("what answers is no relay")
	}
	return take{status: b[6], epoch: be.Uint64(b[8:]), pos: be.Uint64(b[16:])}, nil
}

// opening is the payload of an open frame.
type opening struct {
	kind, flags uint8
	fields      []field
}

type field struct {
	tag   uint8
	value string
}

func (o opening) bytes() ([]byte, error) {
	b := []byte{o.kind, o.flags, 0, 0}
	for _, f := range o.fields {
		if len(f.value) > 1<<16-1 {
			return nil, fmt.Errorf("open a stream: %d bytes in one value are too many", len(f.value))
		}
		b = append(b, f.tag, byte(len(f.value)>>8), byte(len(f.value)))
		b = append(b, f.value...)
	}
	if len(b) > maxPayload {
		return nil, fmt.Errorf("open a stream: %d bytes of command and environment are too many", len(b))
	}
	return b, nil
}
