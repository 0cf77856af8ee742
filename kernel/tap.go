package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"slices"
	"sync"
)

const (
	tapParts = 8       // frames of a message that are looked at
	tapMost  = 8 << 10 // bytes of one
)

// tap is an editor's connection of iopub: what is written to it is passed on as
// it is, and between two messages there is room for one of ours.
type tap struct {
	net.Conn
	mu      sync.Mutex
	skip    uint64 // bytes until the next head
	head    []byte
	greeted bool
	within  bool // a message has begun, or none may be sent yet
	parts   [][]byte
	cell    []byte // header of what ran last
	key     string
	ours    []string // texts that wait for the message's end
}

func newTap(conn net.Conn) *tap { return &tap{Conn: conn, skip: greeting, within: true} }

// CloseWrite ends what the editor reads.
func (t *tap) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (t *tap) Write(b []byte) (written int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(b) > 0 && err == nil {
		n := t.follow(b)
		for n < len(b) && len(t.ours) == 0 {
			n += t.follow(b[n:])
		}
		n, err = t.Conn.Write(b[:n])
		written, b = written+n, b[n:]
		if err == nil {
			err = t.flush()
		}
	}
	return written, err
}

// flush sends what is ours, if this is the place for it.
func (t *tap) flush() error {
	if t.within {
		return nil
	}
	for _, text := range t.ours {
		frames, err := newMessage(t.key, "stream", t.cell, map[string]string{"name": "stderr", "text": text})
		if err != nil {
			continue // what the kernel calls a cell is none
		}
		if _, err := t.Conn.Write(wire(slices.Insert(frames, 0, []byte("stream")))); err != nil {
			return err
		}
	}
	t.ours = nil
	return nil
}

// tell sends a line of a cell's stderr, once it can.
func (t *tap) tell(key, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.key, t.ours = key, append(t.ours, text)
	t.flush()
}

// follow goes to the end of the next frame, or of b.
func (t *tap) follow(b []byte) (n int) {
	for n < len(b) {
		if t.skip == 0 {
			t.head = append(t.head, b[n])
			n++
			size, ok := headOf(t.head)
			if !ok {
				continue
			}
			t.skip, t.within = size, true
			t.parts = append(t.parts, nil)
		}
		k := min(t.skip, uint64(len(b)-n))
		t.take(b[n : n+int(k)])
		t.skip, n = t.skip-k, n+int(k)
		if t.skip == 0 {
			t.frame()
			return n
		}
	}
	return n
}

// take keeps what may be the header of a message's parent.
func (t *tap) take(b []byte) {
	i := len(t.parts) - 1
	if i >= 0 && i < tapParts && len(t.parts[i])+len(b) <= tapMost {
		t.parts[i] = append(t.parts[i], b...)
	}
}

// frame is the end of one.
func (t *tap) frame() {
	switch {
	case !t.greeted:
		t.greeted = true
		return
	case t.head[0]&flagCommand != 0:
		t.within = false
	case t.head[0]&flagMore == 0:
		t.within = false
		t.look()
	}
	t.head = t.head[:0]
	if !t.within {
		t.parts = t.parts[:0]
	}
}

func (t *tap) look() {
	i := slices.IndexFunc(t.parts, func(p []byte) bool { return bytes.Equal(p, delimiter) })
	if i < 0 || len(t.parts) < i+4 {
		return
	}
	if parent := t.parts[i+3]; bytes.Contains(parent, []byte(`"execute_request"`)) && json.Valid(parent) {
		t.cell = parent
	}
}

// wire is a message as ZeroMQ writes it (ZMTP 3, section 3.2).
func wire(frames [][]byte) (out []byte) {
	for i, f := range frames {
		flags := byte(0)
		if i < len(frames)-1 {
			flags = flagMore
		}
		if len(f) < 256 {
			out = append(out, flags, byte(len(f)))
		} else {
			out = binary.BigEndian.AppendUint64(append(out, flags|flagLong), uint64(len(f)))
		}
		out = append(out, f...)
	}
	return out
}
