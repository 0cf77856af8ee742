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

// scan follows the frames; false: one is too long.
func (l *limited) scan(b []byte) bool {
	for len(b) > 0 {
		if l.skip > 0 {
			n := min(l.skip, uint64(len(b)))
			l.skip, b = l.skip-n, b[n:]
			continue
		}
		l.head, b = append(l.head, b[0]), b[1:]
		long := l.head[0]&2 != 0
		switch {
		case long && len(l.head) == 9:
			l.skip = binary.BigEndian.Uint64(l.head[1:])
		case !long && len(l.head) == 2:
			l.skip = uint64(l.head[1])
		default:
			continue
		}
		if l.skip > l.most {
			return false
		}
		l.head = l.head[:0]
	}
	return true
}
