package holder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"nbremote/internal/link"
)

// ExecSpec is a command to be run on the host, at a terminal of its own.
type ExecSpec struct {
	Argv   []string `json:"argv,omitempty"`
	Script string   `json:"script,omitempty"` // instead of Argv: a text for the host's sh
	Env    []string `json:"env,omitempty"`    // NAME=VALUE, beside those of the sign-in
	Dir    string   `json:"dir,omitempty"`    // "": the home directory
	Pty    bool     `json:"pty"`              // must be set: there is no other way yet
	Rows   uint16   `json:"rows"`
	Cols   uint16   `json:"cols"`
}

func (s ExecSpec) command() link.Command {
	c := link.Command{Argv: s.Argv, Env: s.Env, Dir: s.Dir, Pty: s.Pty, Rows: s.Rows, Cols: s.Cols}
	if s.Script != "" {
		c.Argv = []string{"/bin/sh", "-c", s.Script}
	}
	return c
}

// ExitError is the end of a command other than with status 0.
type ExitError = link.ExitError

// After POST /v1/exec both sides send frames: a byte that says what it is,
// four of a length, and the payload. Others than these are skipped.
const (
	execData = 0 // what was typed, or printed
	execSize = 1 // to the holder: u16 rows, u16 columns
	execExit = 2 // from the holder, the last: JSON of execEnd
)

const maxExecFrame = 64 << 10

// execEnd is how a command ended.
type execEnd struct {
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	Error  *Error `json:"error,omitempty"` // it is not known how
}

func (e execEnd) err() error {
	switch {
	case e.Error != nil:
		return e.Error
	case e.Code != 0 || e.Signal != "":
		return &ExitError{Code: e.Code, Signal: e.Signal}
	}
	return nil
}

func writeFrame(w io.Writer, kind byte, payload []byte) error {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	_, err := w.Write(append(b, payload...))
	return err
}

// frameHeader reads what comes next; an end between two frames is io.EOF.
func frameHeader(r io.Reader) (kind byte, n int, err error) {
	var b [5]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, err
	}
	size := binary.BigEndian.Uint32(b[1:])
	if size > maxExecFrame {
		return 0, 0, fmt.Errorf("a frame of %d bytes", size)
	}
	return b[0], int(size), nil
}

// exec runs a command on the host for as long as the connection of the one who
// asked lasts. It goes by the link: on a plain connection it would not outlive
// a cut.
func (h *holder) exec(w http.ResponseWriter, r *http.Request) {
	spec, ok := read[ExecSpec](w, r)
	if !ok {
		return
	}
	defer h.hold(&h.busy)()
	p, err := h.start(r.Context(), spec)
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer p.Close()
	near, first, ok := switched(w)
	if !ok {
		return
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feed(p, first)
	}()
	tellOutput(near, p, h.spec.Target.Name)
	near.Close()
	<-fed
}

// start starts a command on the link.
func (h *holder) start(ctx context.Context, spec ExecSpec) (*link.Process, error) {
	name := h.spec.Target.Name
	if !spec.Pty {
		return nil, &Error{Text: "run a command without a terminal: not known", ClassName: "other"}
	}
	if _, err := h.runner(ctx); err != nil { // has the link begun
		return nil, err
	}
	l, why := h.linked.get(ctx)
	if l == nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &Error{
			Text: "it needs the relay, which " + name + " does not have", ClassName: "missing",
			CauseText: errText(why), HintText: "ssh -t " + name,
		}
	}
	p, err := l.Exec(ctx, spec.command())
	return p, linkError(name, err)
}

// maxTyped is how many frames wait for a process that does not take them, or
// for the line.
const maxTyped = 256

// feed gives a process what comes for it, up to the end of what comes, which
// ends the process: nobody is there any more. That is seen also while the
// process takes nothing.
func feed(p *link.Process, r io.Reader) {
	typed, done := make(chan []byte, maxTyped), make(chan struct{})
	go func() {
		defer close(done)
		for b := range typed {
			p.Stdin.Write(b)
		}
	}()
	defer func() {
		p.Close()
		close(typed)
		<-done
	}()
	for {
		kind, n, err := frameHeader(r)
		if err != nil {
			return
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		switch {
		case kind == execData:
			typed <- payload
		case kind == execSize && n == 4:
			p.Resize(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]))
		}
	}
}

// tellOutput passes on what a process prints, and how it ended.
func tellOutput(near io.Writer, p *link.Process, name string) {
	buf := make([]byte, 32<<10)
	for {
		n, err := p.Stdout.Read(buf)
		if n > 0 && writeFrame(near, execData, buf[:n]) != nil {
			p.Close()
			return
		}
		if err != nil {
			break
		}
	}
	end, err := execEnd{}, p.Wait()
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		end.Code, end.Signal = exit.Code, exit.Signal
	case err != nil:
		end.Error = &Error{Text: "how it ended on " + name + " is not known", ClassName: "line", CauseText: err.Error()}
	}
	if raw, err := json.Marshal(end); err == nil {
		writeFrame(near, execExit, raw)
	}
}

// Process is a command on the host, at a terminal of its own. It outlives cut
// lines, and is hung up by Close and by the end of this process.
type Process struct {
	conn net.Conn
	r    *bufio.Reader
	left int        // of the frame that Read is in
	mu   sync.Mutex // one frame at a time is written
	end  error      // written by Read before its last answer
}

// Exec starts a command on the host, once the line is up.
func (c *Client) Exec(ctx context.Context, spec ExecSpec) (*Process, error) {
	conn, err := c.upgrade(ctx, "/v1/exec", spec)
	if err != nil {
		return nil, err
	}
	return &Process{conn: conn, r: conn.r}, nil
}

// Read gives what the command prints. Any error is the last word: after
// io.EOF, and only then, Wait knows how it ended.
func (p *Process) Read(b []byte) (int, error) {
	for p.left == 0 {
		kind, n, err := frameHeader(p.r)
		switch {
		case err != nil:
			return 0, p.lost(err)
		case kind == execData:
			p.left = n
		case kind == execExit:
			return 0, p.readEnd(n)
		default:
			if _, err := p.r.Discard(n); err != nil {
				return 0, p.lost(err)
			}
		}
	}
	n, err := p.r.Read(b[:min(len(b), p.left)])
	p.left -= n
	if err != nil {
		err = p.lost(err)
	}
	return n, err
}

func (p *Process) readEnd(n int) error {
	raw, end := make([]byte, n), execEnd{}
	_, err := io.ReadFull(p.r, raw)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(raw)).Decode(&end)
	}
	if err != nil {
		return p.lost(err)
	}
	p.end = end.err()
	return io.EOF
}

// lost: the holder went before the command ended.
func (p *Process) lost(err error) error {
	e := &Error{Text: "the line was closed on this computer", ClassName: "line"}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		e.CauseText = err.Error()
	}
	p.end = e
	return e
}

// Wait gives how it ended, once Read has given an error: nil for status 0, an
// *ExitError, or an *Error when it is not known.
func (p *Process) Wait() error { return p.end }

// Write types b.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for done := 0; done < len(b); {
		n := min(len(b)-done, maxExecFrame)
		if err := writeFrame(p.conn, execData, b[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(b), nil
}

// Resize tells the terminal's new size.
func (p *Process) Resize(rows, cols uint16) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := binary.BigEndian.AppendUint16(nil, rows)
	return writeFrame(p.conn, execSize, binary.BigEndian.AppendUint16(b, cols))
}

// Close hangs the command up if it still runs. It may be called at any time.
func (p *Process) Close() error { return p.conn.Close() }
