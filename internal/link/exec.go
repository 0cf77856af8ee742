package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Command is a process to be run on the host.
type Command struct {
	Argv []string
	Env  []string // NAME=VALUE, beside those of the sign-in that started the relay
	Dir  string   // "": the home directory
	// Pty gives it a terminal of Rows and Cols; stdout and stderr are one then.
	Pty        bool
	Rows, Cols uint16
}

func (c Command) opening() opening {
	o := opening{kind: streamExec}
	for _, a := range c.Argv {
		o.fields = append(o.fields, field{tagArg, a})
	}
	for _, e := range c.Env {
		o.fields = append(o.fields, field{tagEnv, e})
	}
	if c.Dir != "" {
		o.fields = append(o.fields, field{tagDir, c.Dir})
	}
	if c.Pty {
		o.flags |= flagPty
		size := []byte{byte(c.Rows >> 8), byte(c.Rows), byte(c.Cols >> 8), byte(c.Cols)}
		o.fields = append(o.fields, field{tagSize, string(size)})
	}
	return o
}

// Process is a command on the host. It outlives carriers; Close or the end of
// the link hangs it up.
type Process struct {
	Stdin  io.WriteCloser // Close is an end of file; on a terminal it does nothing
	Stdout io.Reader
	Stderr io.Reader // nil with a terminal

	main, err *Stream
	done      chan struct{}
	exit      error // guarded by the link's mu until done is closed
}

// ExitError is an end other than with status 0.
type ExitError struct {
	Code   int    // 255 after a signal
	Signal string // its name without SIG, or ""
}

func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "it was ended by signal " + e.Signal
	}
	return fmt.Sprintf("it ended with status %d", e.Code)
}

// Exec runs a command. It returns when the command has been started.
func (l *Link) Exec(ctx context.Context, c Command) (*Process, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("run a command: there is none")
	}
	return l.exec(ctx, strings.Join(c.Argv, " "), c.opening())
}

func (l *Link) exec(ctx context.Context, name string, o opening) (*Process, error) {
	p := &Process{done: make(chan struct{})}
	s, err := l.open(ctx, name, o, p)
	if err != nil {
		return nil, err
	}
	p.Stdin, p.Stdout = stdin{s}, s
	if p.err != nil {
		p.Stderr = p.err
	}
	return p, nil
}

type stdin struct{ s *Stream }

func (w stdin) Write(b []byte) (int, error) { return w.s.Write(b) }
func (w stdin) Close() error                { return w.s.CloseWrite() }

// ReadFrom is that of the stream, which has one copy less.
func (w stdin) ReadFrom(r io.Reader) (int64, error) { return w.s.ReadFrom(r) }

// Wait waits for the end of the process: nil for status 0, an *ExitError, or a
// *ResetError when it will not be known. It does not wait for the outputs.
func (p *Process) Wait() error {
	<-p.done
	return p.exit
}

// Done is closed when Wait would return.
func (p *Process) Done() <-chan struct{} { return p.done }

func (p *Process) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ended tells Wait. l.mu is held.
func (p *Process) ended(err error) {
	if !p.isDone() {
		p.exit = err
		close(p.done)
	}
}

// Resize tells a process on a terminal the terminal's new size.
func (p *Process) Resize(rows, cols uint16) {
	p.main.say(kindSize, uint64(rows)<<16|uint64(cols), nil)
}

// Signal sends a signal, named without SIG, to the process and its group.
func (p *Process) Signal(name string) { p.main.say(kindSignal, 0, []byte(name)) }

// say sends a frame unless the stream has ended.
func (s *Stream) say(k kind, pos uint64, payload []byte) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.l.streams[s.id] == s {
		s.l.push(k, s.id, pos, payload)
	}
}

// Close ends the use of the process: it is hung up if it still runs.
func (p *Process) Close() error {
	if p.err != nil {
		p.err.leave(ResetClosed)
	}
	p.main.leave(ResetClosed)
	p.main.l.mu.Lock()
	defer p.main.l.mu.Unlock()
	p.ended(ErrClosedProcess)
	return nil
}

// ErrClosedProcess is what Wait gives when Close came before the end.
var ErrClosedProcess = errors.New("the process was closed")
