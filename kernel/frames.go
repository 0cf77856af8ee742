package kernel

import (
	"encoding/binary"
	"errors"
	"net"
)

// framesMost is the most bytes that one frame may have where messages are read
// whole: the library makes room for what a peer says before it comes.
var framesMost = map[string]uint64{"hb": 64 << 10, "control": 64 << 20, "shell": 256 << 20, "iopub": 256 << 20, "stdin": 64 << 20}

var errLongFrame = errors.New("a frame of ZeroMQ is too long")

// limited refuses frames of more bytes (ZMTP 3, section 3.2), before they are
// read.
type limited struct {
	net.Conn
	most uint64
	skip uint64 // bytes until the next head
	head []byte
}

const greeting = 64 // bytes, in front of the first frame

func limit(conn net.Conn, channel string) *limited {
	return &limited{Conn: conn, most: framesMost[channel], skip: greeting}
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if !l.scan(b[:n]) {
		return 0, errLongFrame
	}
	return n, err
}

// Of a frame's first byte.
const (
	flagMore = 1 << iota
	flagLong
	flagCommand
)

// headOf is the length that a frame's head gives, once that is whole.
func headOf(head []byte) (size uint64, ok bool) {
	long := head[0]&flagLong != 0
	switch {
	case long && len(head) == 9:
		return binary.BigEndian.Uint64(head[1:]), true
	case !long && len(head) == 2:
		return uint64(head[1]), true
	}
	return 0, false
}

// scan follows the frames; false: one is too long.
func (l *limited) scan(b []byte) bool {
	for len(b) > 0 {
		if l.skip > 0 {
			n := min(l.skip, uint64(len(b)))
			l.skip, b = l.skip-n, b[n:]
			continue
		}
		l.head, b = append(l.head, b[0]), b[1:]
		size, ok := headOf(l.head)
		if !ok {
			continue
		}
		l.skip = size
		if l.skip > l.most {
			return false
		}
		l.head = l.head[:0]
	}
	return true
}
