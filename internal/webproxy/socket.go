package webproxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tabs counts the open websockets of pages.
type tabs struct {
	mu     sync.Mutex
	events int // JupyterLab and Notebook 7 keep exactly one of these per tab
	all    int
}

const eventsPath = "/api/events/subscribe"

func (t *tabs) add(path string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all += n
	if strings.HasSuffix(path, eventsPath) {
		t.events += n
	}
}

// Pages is how many tabs are connected: those that JupyterLab's socket for
// events tells, else one if there is any websocket at all.
func (p *Proxy) Pages() int {
	p.tabs.mu.Lock()
	defer p.tabs.mu.Unlock()
	return max(p.tabs.events, min(p.tabs.all, 1))
}

func isWebsocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// handshake is the answer to a websocket's handshake.
type handshake struct {
	http.ResponseWriter
	proxy  *Proxy
	path   string
	cancel func() // ends the connection to the far server
	socket *socket
}

func (h *handshake) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Hijack is called when the far server has said yes.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.socket = &socket{Conn: conn, limit: h.proxy.lingering, cancel: h.cancel}
	h.proxy.tabs.add(h.path, 1)
	return h.socket, buffered, nil
}

// done is called when both ways have ended, or there never was a websocket.
func (h *handshake) done() {
	if h.socket != nil {
		h.socket.done()
		h.proxy.tabs.add(h.path, -1)
	}
}

// socket is the connection to the page of an open websocket.
type socket struct {
	net.Conn
	limit  time.Duration // 0 = linger
	cancel func()

	mu    sync.Mutex
	timer *time.Timer
}

// WriteTo carries what the page says, in big pieces.
func (s *socket) WriteTo(far io.Writer) (int64, error) {
	n, err := carry(far, s.Conn)
	s.linger()
	return n, err
}

// ReadFrom carries what the far server says, in big pieces.
func (s *socket) ReadFrom(far io.Reader) (int64, error) { return carry(s.Conn, far) }

// CloseWrite passes on that the far server has nothing more to say.
func (s *socket) CloseWrite() error {
	s.linger()
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return s.Conn.Close()
}

// linger gives the other half some time: a websocket of which one half has
// ended is over, but not everybody says so.
func (s *socket) linger() {
	limit := s.limit
	if limit == 0 {
		limit = linger
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil {
		s.timer = time.AfterFunc(limit, func() {
			s.cancel()
			s.Conn.Close()
		})
	}
}

func (s *socket) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}

// carry copies with a big buffer, whatever shortcuts the two ends offer.
func carry(to io.Writer, from io.Reader) (int64, error) {
	buf := buffers{}.Get()
	defer buffers{}.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf)
}
