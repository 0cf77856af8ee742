package sshx

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Process is a command that runs on the host. Both outputs must be read, or
// closed with the process: the host stops sending to one after 2 MiB.
type Process struct {
	Stdin  io.WriteCloser // Close is an end of file for the command
	Stdout io.Reader
	Stderr io.Reader

	conn     *Conn
	ch       ssh.Channel
	out, err *stream
	once     sync.Once
	closed   chan struct{} // Close was called
	ended    chan struct{} // exit is decided
	exit     error
}

// Exec runs a command by the user's login shell. It returns when the host has
// opened the session, one round trip; whether the command could be run shows in
// Wait only.
func (c *Conn) Exec(ctx context.Context, command string) (*Process, error) {
	exec := ssh.Marshal(struct{ Command string }{command})
	ch, reqs, err := c.open(ctx, "session", nil, "a session", func(ch ssh.Channel) error {
		_, err := ch.SendRequest("exec", false, exec)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.quickened.Do(func() {})
	p := &Process{
		Stdin: stdin{ch}, conn: c, ch: ch, out: c.newStream(ch, bulkSize), err: c.newStream(ch.Stderr(), chunkSize),
		closed: make(chan struct{}), ended: make(chan struct{}),
	}
	p.Stdout, p.Stderr = p.out, p.err
	go p.follow(reqs)
	return p, nil
}

// follow hears how the command ends (RFC 4254 section 6.10).
func (p *Process) follow(reqs <-chan *ssh.Request) {
	defer close(p.ended)
	said := false
	for req := range reqs {
		switch req.Type {
		case "exit-status":
			var m struct{ Code uint32 }
			if ssh.Unmarshal(req.Payload, &m) == nil && !said {
				if said = true; m.Code != 0 {
					p.exit = &ExitError{Code: int(m.Code)}
				}
			}
		case "exit-signal":
			var m struct {
				Signal       string
				Core         bool
				Message, Tag string
			}
			if ssh.Unmarshal(req.Payload, &m) == nil && !said {
				said, p.exit = true, &ExitError{Code: -1, Signal: oneLine(m.Signal), Message: oneLine(m.Message)}
			}
		}
		if req.WantReply {
			req.Reply(false, nil)
		}
	}
	if said {
		return
	}
	if p.exit = p.conn.endOf(io.EOF); p.exit == io.EOF {
		p.exit = &ExitError{Code: -1}
	}
}

// Wait waits for the end of the command: nil for exit code 0, else an
// *ExitError, or a *LostError when the connection ended first. It does not wait
// for the outputs to be read.
func (p *Process) Wait() error {
	select {
	case <-p.ended:
		return p.exit
	case <-p.closed:
	}
	select {
	case <-p.ended:
		return p.exit
	default:
		return errClosed
	}
}

var errClosed = errors.New("the process was closed")

// Close ends the use of the command: readers and Wait return. The host ends
// its input and output; a command that ignores that runs on.
func (p *Process) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.out.close()
		p.err.close()
		go p.ch.Close() // a dead line would hold us up
	})
	return nil
}

type stdin struct{ ch ssh.Channel }

func (s stdin) Write(b []byte) (int, error) { return s.ch.Write(b) }
func (s stdin) Close() error                { return s.ch.CloseWrite() }
