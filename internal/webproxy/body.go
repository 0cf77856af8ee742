package webproxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	spoolMemory = 1 << 20
	spoolDisk   = 1 << 30
)

var errEnded = errors.New("the request has ended")

// body is the body of a request. It passes through unless the request has to
// wait: then it is spooled, because the browser's giving up is seen only by
// who reads, and a save that was given up must not overwrite a newer one.
type body struct {
	from   io.ReadCloser
	broken func() // called when the browser gave up in the middle

	mu       sync.Mutex
	changed  *sync.Cond
	direct   bool // the far server is reading: nothing can be spooled any more
	spooling bool
	ended    bool
	err      error // what ended from
	spooled  spool
	filled   chan struct{} // closed when nothing more is spooled
}

func newBody(from io.ReadCloser, broken func()) *body {
	b := &body{from: from, broken: broken, filled: make(chan struct{})}
	b.changed = sync.NewCond(&b.mu)
	return b
}

func (b *body) Close() error { return nil }

func (b *body) Read(to []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.ended && b.spooling && b.spooled.empty() && b.err == nil {
		b.changed.Wait()
	}
	switch {
	case b.ended:
		return 0, errEnded
	case !b.spooling:
		b.direct = true
		b.mu.Unlock()
		defer b.mu.Lock()
		return b.from.Read(to)
	case b.spooled.empty():
		return 0, b.err
	}
	n, err := b.spooled.read(to)
	b.changed.Broadcast()
	return n, err
}

// spool starts reading, unless the far server does.
func (b *body) spool() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.direct && !b.spooling && !b.ended {
		b.spooling = true
		go b.fill()
	}
}

func (b *body) fill() {
	defer close(b.filled)
	buf := buffers{}.Get()
	defer buffers{}.Put(buf)
	for {
		n, err := b.from.Read(buf)
		if !b.put(buf[:n], err) {
			return
		}
	}
}

// put spools what was read, waiting for room. It is false when that was all.
func (b *body) put(p []byte, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 && !b.ended {
		n := b.spooled.write(p)
		if p = p[n:]; n == 0 {
			b.changed.Wait()
		}
		b.changed.Broadcast()
	}
	b.err = err
	b.changed.Broadcast()
	if err != nil && err != io.EOF {
		b.broken()
	}
	return err == nil && !b.ended
}

// end is for when the request has its answer. From then on the browser's
// bytes are the next request's.
func (b *body) end(w http.ResponseWriter) {
	b.mu.Lock()
	b.ended = true
	waiting := b.spooling && b.err == nil
	b.changed.Broadcast()
	b.mu.Unlock()
	if waiting && http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) == nil {
		<-b.filled
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spooled.drop()
}

// spool is bytes in the order they came: the first in memory, then on disk.
type spool struct {
	memory   []byte
	file     *os.File // nil until needed
	from, to int64    // what of file is not read yet
	failed   bool     // no file, or no room on the disk
}

func (s *spool) empty() bool { return len(s.memory) == 0 && s.from == s.to }

// write takes what there is room for.
func (s *spool) write(p []byte) int {
	if s.from == s.to {
		if n := min(len(p), spoolMemory-len(s.memory)); n > 0 {
			s.memory = append(s.memory, p[:n]...)
			return n
		}
	}
	if s.failed || s.to+int64(len(p)) > spoolDisk {
		return 0
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "nbremote-")
		if err != nil {
			s.failed = true
			return 0
		}
		os.Remove(f.Name()) // where an open file can be removed
		s.file = f
	}
	n, err := s.file.WriteAt(p, s.to)
	s.to += int64(n)
	s.failed = err != nil
	return n
}

func (s *spool) read(p []byte) (int, error) {
	if len(s.memory) > 0 {
		n := copy(p, s.memory)
		s.memory = s.memory[n:]
		return n, nil
	}
	n, err := s.file.ReadAt(p[:min(int64(len(p)), s.to-s.from)], s.from)
	if s.from += int64(n); s.from == s.to {
		s.from, s.to = 0, 0
		s.file.Truncate(0)
	}
	if n > 0 {
		err = nil
	}
	return n, err
}

func (s *spool) drop() {
	s.memory = nil
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
	s.from, s.to = 0, 0
}
