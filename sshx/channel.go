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
// an error.
type stream struct {
	chunks chan []byte
	spare  chan []byte
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex // held by one Read at a time
	rest []byte     // of the chunk being read
	full []byte     // that chunk's memory
	err  error      // set before chunks is closed
}

const chunkSize = 32 << 10 // what a packet carries

// newStream reads r until it ends or the stream is closed; end turns the error
// that r ended with into the stream's.
func newStream(r io.Reader, end func(error) error) *stream {
	s := &stream{chunks: make(chan []byte), spare: make(chan []byte, 2), closed: make(chan struct{})}
	s.spare <- make([]byte, chunkSize)
	s.spare <- make([]byte, chunkSize)
	go s.pump(r, end)
	return s
}

// pump may outlive close until the host has answered it or the connection has
// ended: a channel has no other way to give up a read.
func (s *stream) pump(r io.Reader, end func(error) error) {
	defer close(s.chunks)
	for {
		var buf []byte
		select {
		case buf = <-s.spare:
		case <-s.closed:
			return
		}
		n, err := r.Read(buf[:chunkSize])
		if n > 0 {
			select {
			case s.chunks <- buf[:n]:
			case <-s.closed:
				return
			}
		} else {
			s.spare <- buf
		}
		if err != nil {
			s.err = end(err)
			return
		}
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
				return 0, s.ended()
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

func (s *stream) ended() error {
	if s.err == nil {
		return os.ErrClosed
	}
	return s.err
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

// channelConn is a channel as a net.Conn.
type channelConn struct {
	*stream
	ch     ssh.Channel
	remote channelAddr
	ending sync.Once
}

func newChannelConn(c *Conn, ch ssh.Channel, network, addr string) *channelConn {
	return &channelConn{stream: newStream(ch, c.endOf), ch: ch, remote: channelAddr{network, addr}}
}

func (c *channelConn) Write(b []byte) (int, error) {
	n, err := c.ch.Write(b)
	if err == io.EOF {
		err = net.ErrClosed
	}
	return n, err
}

// CloseWrite ends the writing half.
func (c *channelConn) CloseWrite() error { return c.ch.CloseWrite() }

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
