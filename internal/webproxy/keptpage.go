package webproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// A page is asked with a ping whether it has what was written to it: after
// each message, or after so much when they come faster. At most flight bytes
// are on their way, so that a page that takes nothing does not block a write:
// the library gives a socket up when a control frame waits for 5 s.
const (
	batchMessages = 16
	batchBytes    = 32 << 10
	batchTime     = time.Millisecond
	flight        = 256 << 10
)

// pageSocket is the page's end of a kept websocket.
type pageSocket struct {
	kept     *kept
	conn     *websocket.Conn
	raw      net.Conn
	done     chan struct{} // closed when all it said has been read
	closes   atomic.Bool   // we have said that it ends
	replaced atomic.Bool   // by another

	written, acked int64 // bytes; under kept.in.mu

	// of the batch that is being written
	count int
	size  int64
	began time.Time
	seq   int64 // of the last message that is whole
}

// serve carries both ways until the page's socket has ended.
func (p *pageSocket) serve() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		p.write()
	}()
	err := p.read()
	close(p.done)
	var end websocket.CloseError
	switch isClose := errors.As(err, &end); {
	case isClose && p.closes.Load():
		// It has taken everything up to the close frame.
		p.kept.in.leave(p)
		p.kept.detach(p)
	case isClose:
		p.kept.bye(p, end)
	default:
		p.kept.detach(p)
	}
	p.reset()
	<-written
}

// finish is for a socket that another replaces: what it has said is read, and
// nothing more is given to it.
func (p *pageSocket) finish() {
	p.kept.in.freeze(p)
	p.replaced.Store(true)
	p.kept.out.wake()
	p.raw.SetReadDeadline(time.Now().Add(lastWords))
	<-p.done
}

// reset ends the socket without a close frame: a page that is told 1000 or
// 1001 does not come back.
func (p *pageSocket) reset() {
	if tcp, ok := p.raw.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	p.conn.CloseNow()
}

func (p *pageSocket) read() error {
	for {
		kind, r, err := p.conn.Reader(context.Background())
		if err != nil {
			return err
		}
		if err := p.kept.out.receive(kind, r); err != nil {
			return err
		}
		p.kept.out.room(outLimit, &p.replaced)
	}
}

func (p *pageSocket) write() {
	in := p.kept.in
	for {
		m, seq, more, err := in.next(p)
		if err == io.EOF {
			p.farewell()
			return
		}
		if err != nil || send(p.conn, &m, p) != nil {
			return // read sees it
		}
		if p.count == 0 {
			p.began = time.Now()
		}
		p.seq = seq
		p.count++
		if !more || p.count >= batchMessages || p.size >= batchBytes || time.Since(p.began) >= batchTime {
			if p.ping() != nil {
				return
			}
		}
	}
}

// farewell closes a websocket whose far server has ended, when the page has
// everything.
func (p *pageSocket) farewell() {
	if !p.kept.in.drained(p) {
		return
	}
	p.kept.mu.Lock()
	end := p.kept.end
	p.kept.mu.Unlock()
	p.closes.Store(true)
	p.conn.Close(end.Code, end.Reason)
}

// ping asks whether the page has what was written. The frame is written here,
// between two messages and in one piece: the library's Ping waits for the pong,
// so it would need a goroutine each, and come behind other messages.
func (p *pageSocket) ping() error {
	in := p.kept.in
	in.mu.Lock()
	frame := fmt.Appendf([]byte{pingFrame, 0}, "%d %d", p.seq, p.written)
	in.mu.Unlock()
	frame[1] = byte(len(frame) - 2)
	p.count, p.size = 0, 0
	_, err := p.raw.Write(frame)
	return err
}

const pingFrame = 0x89 // the only one, and of a server: no mask

// pong is called by the library while it reads.
func (p *pageSocket) pong(payload []byte) {
	var seq, written int64
	if n, _ := fmt.Sscanf(string(payload), "%d %d", &seq, &written); n != 2 {
		return
	}
	in := p.kept.in
	in.mu.Lock()
	defer in.mu.Unlock()
	in.acknowledged(p, seq)
	p.has(written)
}

// has notes that so many bytes have come. Called with in.mu held.
func (p *pageSocket) has(written int64) {
	p.acked = max(p.acked, min(written, p.written))
	p.kept.in.changed.Broadcast()
}

// poll is ping in the middle of a message.
func (p *pageSocket) poll() {
	in := p.kept.in
	in.mu.Lock()
	written := p.written
	in.mu.Unlock()
	p.size = 0
	go func() {
		err := p.conn.Ping(context.Background())
		for errors.Is(err, context.DeadlineExceeded) {
			err = p.conn.Ping(context.Background())
		}
		if err == nil {
			in.mu.Lock()
			defer in.mu.Unlock()
			p.has(written)
		}
	}()
}

// room waits until n bytes more may be on their way.
func (p *pageSocket) room(n int64, middle bool) error {
	in := p.kept.in
	in.mu.Lock()
	full := p.written != p.acked && p.written+n-p.acked > flight
	in.mu.Unlock()
	if full && p.size > 0 {
		if middle {
			p.poll()
		} else if err := p.ping(); err != nil {
			return err
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for p.written != p.acked && p.written+n-p.acked > flight {
		if in.reader != p || in.frozen {
			return errNotYours
		}
		in.changed.Wait()
	}
	p.written += n
	p.size += n
	return nil
}

// send writes a message, long ones in pieces. A page waits for room for each.
func send(conn *websocket.Conn, m *message, p *pageSocket) error {
	ctx := context.Background()
	if m.size <= batchBytes && m.file == nil {
		if p != nil {
			if err := p.room(m.size, false); err != nil {
				return err
			}
		}
		return conn.Write(ctx, m.kind, m.data)
	}
	w, err := conn.Writer(ctx, m.kind)
	if err != nil {
		return err
	}
	buf := buffers{}.Get()
	defer buffers{}.Put(buf)
	for off := int64(0); off < m.size; {
		n, err := m.read(buf[:batchBytes], off)
		if n == 0 {
			conn.CloseNow()
			return err
		}
		if p != nil {
			if err := p.room(int64(n), off > 0); err != nil {
				return err
			}
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if off += int64(n); p != nil && off < m.size {
			p.poll()
		}
	}
	return w.Close()
}

// hijacked keeps the connection that a handshake is taken from.
type hijacked struct {
	http.ResponseWriter
	raw  net.Conn
	page *pageSocket // set before anything is read
}

func (h *hijacked) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	conn.SetDeadline(time.Time{})
	h.raw = conn
	return &unendingConn{conn}, buffered, nil
}

// errCut is the end of a connection. The library takes an io.EOF in the middle
// of a message for the message's end.
var errCut = errors.New("the connection has ended")

func unending(n int, err error) (int, error) {
	if err != nil && errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

type unendingConn struct{ net.Conn }

func (c *unendingConn) Read(b []byte) (int, error) { return unending(c.Conn.Read(b)) }

// unendingBody does the same to the far websocket.
type unendingBody struct{ http.RoundTripper }

func (t unendingBody) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
			resp.Body = unendingStream{rwc}
		}
	}
	return resp, err
}

type unendingStream struct{ io.ReadWriteCloser }

func (s unendingStream) Read(b []byte) (int, error) { return unending(s.ReadWriteCloser.Read(b)) }
