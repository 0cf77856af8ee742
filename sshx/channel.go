package sshx

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// stream is the reading half of a channel. Unlike the channel's own Read its
// Read ends at once when the stream is closed, and an end of the connection is
// an error. What had come before that can still be read.
type stream struct {
	r      io.Reader
	end    func(error) error // makes the error that r ended with the stream's
	done   <-chan struct{}   // of the connection: r does not block from then on
	chunks chan []byte
	spare  chan []byte
	most   int // of a chunk
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex // held by one Read at a time
	rest []byte     // of the chunk being read
	full []byte     // that chunk's memory
	left []byte     // a chunk that pump did not get rid of; set before chunks is closed
	err  error      // likewise
}

const (
	chunkSize = 32 << 10 // what a packet carries
	// bulkSize is that of a chunk where much comes. Each read of a channel
	// costs a message to the host, however little it was.
	bulkSize = 256 << 10
)

// newStream reads r, a channel of the connection, until it ends or the stream
// is closed; most is the size its two chunks may grow to.
func (c *Conn) newStream(r io.Reader, most int) *stream {
	s := &stream{
		r: r, end: c.endOf, done: c.done, most: most,
		chunks: make(chan []byte), spare: make(chan []byte, 2), closed: make(chan struct{}),
	}
	s.spare <- make([]byte, chunkSize)
	s.spare <- make([]byte, chunkSize)
	go s.pump()
	return s
}

// pump may outlive close until the host has answered it or the connection has
// ended: a channel has no other way to give up a read. It never outlives the
// connection, even if nobody reads.
func (s *stream) pump() {
	defer close(s.chunks)
	bulk := false
	for {
		var buf []byte
		select {
		case buf = <-s.spare:
		case <-s.closed:
			return
		case <-s.done:
			return
		}
		if bulk && cap(buf) < s.most {
			buf = make([]byte, s.most)
		}
		buf = buf[:cap(buf)]
		n, err := s.r.Read(buf)
		bulk = n == len(buf)
		if n == 0 {
			s.spare <- buf
		} else if !s.give(buf[:n]) {
			return
		}
		if err != nil {
			s.err = s.end(err)
			return
		}
	}
}

// give hands a chunk to Read; false: nobody wants it now.
func (s *stream) give(chunk []byte) bool {
	select {
	case s.chunks <- chunk:
		return true
	case <-s.closed:
		return false
	case <-s.done:
		s.left = chunk
		return false
	}
}

func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	for len(s.rest) == 0 {
		select {
		case <-s.closed:
			return 0, os.ErrClosed
		default:
		}
		select {
		case chunk, ok := <-s.chunks:
			if !ok {
				return s.readLeft(b)
			}
			s.rest, s.full = chunk, chunk
		case <-s.closed:
			return 0, os.ErrClosed
		}
	}
	n := copy(b, s.rest)
	if s.rest = s.rest[n:]; len(s.rest) == 0 {
		s.spare <- s.full
		s.full = nil
	}
	return n, nil
}

// readLeft reads when pump has ended: what it left, what the channel still
// holds, the error.
func (s *stream) readLeft(b []byte) (int, error) {
	if len(s.left) > 0 {
		n := copy(b, s.left)
		s.left = s.left[n:]
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	if n == 0 && err != nil {
		s.err = s.end(err)
		return 0, s.err
	}
	return n, nil
}

func (s *stream) close() { s.once.Do(func() { close(s.closed) }) }

// endOf tells the end of a channel, io.EOF, from the end of the connection,
// which x/crypto shows as io.EOF too: half of a file must not look like all of
// it.
func (c *Conn) endOf(err error) error {
	if err != io.EOF {
		return c.lost(err)
	}
	if c.net.failed.Load() {
		return c.lost(io.ErrUnexpectedEOF)
	}
	// When the host ended the connection with a message, or sent nonsense, the
	// channels close a moment before the connection does.
	moment := time.NewTimer(5 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-c.gone:
		return c.lost(io.ErrUnexpectedEOF)
	case <-moment.C:
		return io.EOF
	}
}

// channelConn is a channel as a net.Conn. What is written waits for the host, or
// for a line that takes nothing more, and a channel has no other way to give that
// up than the end of its connection: so it waits beside, and Close ends Write.
// Without that whatever has a connection through a gateway would be held up by it.
type channelConn struct {
	*stream
	ch     ssh.Channel
	remote channelAddr
	ending sync.Once

	writing sync.Mutex // held by one Write or CloseWrite at a time
	writes  chan []byte
	wrote   chan written
	copied  []byte // what is being written; not touched again once the conn is closed
}

type written struct {
	n   int
	err error
}

func newChannelConn(c *Conn, ch ssh.Channel, network, addr string) *channelConn {
	cc := &channelConn{
		stream: c.newStream(ch, chunkSize), ch: ch, remote: channelAddr{network, addr},
		writes: make(chan []byte), wrote: make(chan written, 1),
	}
	go cc.write()
	return cc
}

// write does what Write and CloseWrite want; nil is the end of what is written.
// It may outlive close as pump does, and never outlives the connection.
func (c *channelConn) write() {
	for {
		select {
		case b := <-c.writes:
			var w written
			if b == nil {
				w.err = c.ch.CloseWrite()
			} else {
				w.n, w.err = c.ch.Write(b)
			}
			c.wrote <- w
		case <-c.closed:
			return
		case <-c.done:
			return
		}
	}
}

// put has b written, or the writing half ended. c.writing is held.
func (c *channelConn) put(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	if b != nil {
		c.copied = append(c.copied[:0], b...)
		b = c.copied
	}
	select {
	case c.writes <- b:
	case <-c.closed:
		return 0, net.ErrClosed
	case <-c.done:
		return 0, net.ErrClosed
	}
	select {
	case w := <-c.wrote:
		if w.err == io.EOF {
			w.err = net.ErrClosed
		}
		return w.n, w.err
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *channelConn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(b) > n && err == nil {
		var more int
		more, err = c.put(b[n:min(len(b), n+bulkSize)])
		n += more
	}
	return n, err
}

// CloseWrite ends the writing half.
func (c *channelConn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.put(nil)
	return err
}

// Close ends both halves. It waits neither for the host nor for the line.
func (c *channelConn) Close() error {
	c.ending.Do(func() {
		c.close()
		go c.ch.Close()
	})
	return nil
}

func (c *channelConn) LocalAddr() net.Addr  { return channelAddr{c.remote.network, ""} }
func (c *channelConn) RemoteAddr() net.Addr { return c.remote }

func (c *channelConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (c *channelConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (c *channelConn) SetWriteDeadline(time.Time) error { return errNoDeadline }

type channelAddr struct{ network, addr string }

func (a channelAddr) Network() string { return a.network }
func (a channelAddr) String() string  { return a.addr }
