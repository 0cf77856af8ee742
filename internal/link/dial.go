package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// Option changes how a stream is opened.
type Option func(*opening)

// Always makes the relay read the far side also while the line is up and does
// not take what comes: for a peer whose memory would grow, as that of a Jupyter
// does behind a kernel's websocket. Otherwise it is held back then, as a
// download should be.
func Always(o *opening) { o.flags |= flagAlways }

// Own refuses a TCP port on which another user of the host listens, before a
// byte is sent there. It is asked of /proc, so of Linux only.
func Own(o *opening) { o.flags |= flagOwn }

// Beyond refuses, with ResetNotAllowed, a TCP address that is the host's own
// (loopback, link-local), also where a name leads to it there. What lies in one
// of the ranges, "127.0.0.1/32", is allowed all the same.
func Beyond(ranges ...string) Option {
	return func(o *opening) {
		if o.kind != streamTCP {
			return
		}
		o.kind = streamBeyond
		for _, r := range ranges {
			o.fields = append(o.fields, field{tagRange, r})
		}
	}
}

// Dial opens a stream: kind is tcp with HOST:PORT, unix with a path, or exec
// with a line for the host's sh, whose stderr is dropped. While the line is
// down it waits until ctx ends, which is then a *DownError. The *Stream it
// returns outlives ctx.
func (l *Link) Dial(ctx context.Context, kind, address string, options ...Option) (net.Conn, error) {
	o, err := parseAddress(kind, address)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(&o)
	}
	if o.kind == streamExec {
		p, err := l.exec(ctx, address, o)
		if err != nil {
			return nil, err
		}
		go io.Copy(io.Discard, p.err)
		return p.main, nil
	}
	s, err := l.open(ctx, address, o, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func parseAddress(kind, address string) (o opening, err error) {
	switch kind {
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if n, nerr := strconv.Atoi(port); err != nil || nerr != nil || n <= 0 || n > 65535 || host == "" {
			return o, fmt.Errorf("dial %s: it is no HOST:PORT", address)
		}
		return opening{kind: streamTCP, fields: []field{{tagHost, host}, {tagPort, port}}}, nil
	case "unix":
		return opening{kind: streamUnix, fields: []field{{tagPath, address}}}, nil
	case "exec":
		return Command{Argv: []string{"/bin/sh", "-c", address}}.opening(), nil
	}
	return o, fmt.Errorf("dial %s: streams of kind %q are not known", address, kind)
}

// DownError says that the line was down for as long as somebody waited.
type DownError struct {
	State State
	Err   error // why it is down, if that is known
	Ctx   error
}

func (e *DownError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("the line is %s: %v", e.State, e.Err)
	}
	return fmt.Sprintf("the line is %s", e.State)
}

func (e *DownError) Unwrap() []error { return []error{e.Ctx, e.Err} }

// open opens a stream and, for a process with pipes, the one for its stderr.
func (l *Link) open(ctx context.Context, name string, o opening, p *Process) (*Stream, error) {
	payload, err := o.bytes()
	if err != nil {
		return nil, err
	}
	if err := l.Wait(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	if l.closed != nil || len(l.streams) >= maxStreams {
		defer l.mu.Unlock()
		if l.closed != nil {
			return nil, l.closed
		}
		return nil, &ResetError{Code: ResetLimit, Text: fmt.Sprintf("%d streams are open", len(l.streams))}
	}
	window := l.first(p != nil)
	s := l.newStream(l.next, name, window)
	if s.exec = p; p != nil {
		p.main = s
		if o.flags&flagPty == 0 {
			l.windows += window // the relay takes both limits to be the same
			p.err = l.newStream(l.next+1, name, window)
		}
	}
	l.next += 2
	l.push(kindOpen, s.id, s.granted, payload)
	l.mu.Unlock()
	l.wake() // the line is busy now
	if err := s.await(ctx); err != nil {
		if p != nil && p.err != nil {
			p.err.leave(ResetClosed)
		}
		s.leave(ResetClosed)
		return nil, err
	}
	return s, nil
}

// await waits for the relay's answer.
func (s *Stream) await(ctx context.Context) error {
	select {
	case <-s.opened:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	var reset *ResetError
	if s.isOpen || !errors.As(s.err, &reset) {
		return nil
	}
	return reset
}
