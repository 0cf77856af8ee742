package sshx

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// watched is the byte stream under a connection. It knows how far the greeting
// has come, how much has been read, and that reading has failed.
type watched struct {
	net.Conn
	received atomic.Int64
	greeted  atomic.Bool // a version line has come
	failed   atomic.Bool // nothing more will be read
	once     sync.Once
	closeErr error

	mu    sync.Mutex
	err   error
	lines []byte // what came before the version line, bounded

	writing sync.Mutex
	first   []byte // of a packet whose rest comes
	due     *time.Timer
	late    error // of a write that nobody waited for
}

const (
	firstSize = 4096 // of a packet's pieces: the buffer of x/crypto's writer
	firstWait = time.Millisecond
)

func watch(conn net.Conn) *watched { return &watched{Conn: conn} }

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.received.Add(int64(n))
		if !w.greeted.Load() {
			w.listen(b[:n])
		}
	}
	if err != nil {
		w.fail(err)
	}
	return n, err
}

// Write joins the two pieces in which x/crypto writes a packet of more than 4
// KiB: each costs a call, a segment and a waking of the host.
func (w *watched) Write(b []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	switch {
	case w.late != nil:
		return 0, w.late
	case len(w.first) > 0:
		w.due.Stop()
		pieces := net.Buffers{w.first, b}
		w.first = w.first[:0]
		if _, err := pieces.WriteTo(w.Conn); err != nil {
			return 0, err
		}
		return len(b), nil
	case len(b) != firstSize:
		return w.Conn.Write(b)
	}
	w.first = append(w.first, b...)
	if w.due == nil {
		w.due = time.AfterFunc(firstWait, w.alone)
	} else {
		w.due.Reset(firstWait)
	}
	return len(b), nil
}

// alone writes what was a whole packet after all.
func (w *watched) alone() {
	w.writing.Lock()
	defer w.writing.Unlock()
	if len(w.first) > 0 {
		_, w.late = w.Conn.Write(w.first)
		w.first = w.first[:0]
	}
}

// listen looks for the end of the version line; RFC 4253 section 4.2 allows
// other lines before it.
func (w *watched) listen(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) < 4096 {
		w.lines = append(w.lines, b...)
	}
	for line := range bytes.Lines(w.lines) {
		if bytes.HasPrefix(line, []byte("SSH-")) && line[len(line)-1] == '\n' {
			w.greeted.Store(true)
		}
	}
}

func (w *watched) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.failed.Store(true)
}

// failure is why reading failed.
func (w *watched) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// said is the first line that came instead of a version line, or "".
func (w *watched) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	first, _, _ := bytes.Cut(w.lines, []byte("\n"))
	return oneLine(string(bytes.ToValidUTF8(first, []byte("?"))))
}

func (w *watched) Close() error {
	w.once.Do(func() {
		w.fail(net.ErrClosed)
		w.closeErr = w.Conn.Close()
	})
	return w.closeErr
}
