package sshx

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
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
}

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
