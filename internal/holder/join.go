package holder

import (
	"io"
	"net"
)

// join copies both ways until both are done and passes half-closes on. A side
// that breaks ends the other, so that half of something does not look like all.
func join(near net.Conn, nearReader io.Reader, far net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if broke, _ := pass(far, nearReader); broke != nil {
			far.Close() // nobody is there for what it still says
		}
	}()
	broke, full := pass(near, far)
	if broke != nil {
		abort(near)
	}
	if full != nil {
		far.Close()
		near.Close()
	}
	<-done
}

// pass copies what comes from one side, and its end: broke is an error of from,
// full one of to.
func pass(to net.Conn, from io.Reader) (broke, full error) {
	s := &sink{Writer: to}
	_, err := io.Copy(s, from) // a stream of the link gives its blocks as they are
	if err != nil && s.err == nil {
		return err, nil
	}
	closeWrite(to)
	return nil, s.err
}

// sink keeps the error of a writer.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.Writer.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	c.Close()
}

// abort ends a connection so that it does not look complete.
func abort(c net.Conn) {
	if tcp, ok := c.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
