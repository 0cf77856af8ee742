package sshx

import (
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// pipeConn is a running ProxyCommand as a connection.
type pipeConn struct {
	io.WriteCloser // its stdin
	out            io.ReadCloser
	cmd            *exec.Cmd
	words          tail // its stderr
	once           sync.Once
	over           chan struct{} // it has ended
}

// dialCommand starts the target's ProxyCommand. Close ends it and all that it
// started.
func dialCommand(t *Target) (net.Conn, error) {
	line, err := t.proxyCommand()
	if err != nil {
		return nil, err
	}
	p := &pipeConn{cmd: shellCommand(line), over: make(chan struct{})}
	p.cmd.Stderr = &p.words
	p.cmd.WaitDelay = time.Second
	if p.WriteCloser, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it before the last bytes are read.
	r, w := io.Pipe()
	p.out, p.cmd.Stdout = r, w
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		w.Close()
		close(p.over)
	}()
	return p, nil
}

func (p *pipeConn) Read(b []byte) (int, error) { return p.out.Read(b) }

// Close ends the command: politely, and a second later for certain.
func (p *pipeConn) Close() error {
	p.once.Do(func() {
		p.WriteCloser.Close()
		p.out.Close()
		endGroup(p.cmd, false)
		limit := time.NewTimer(time.Second)
		defer limit.Stop()
		select {
		case <-p.over:
		case <-limit.C:
		}
		endGroup(p.cmd, true)
		<-p.over
	})
	return nil
}

// said is the last line that the command wrote on stderr.
func (p *pipeConn) said() string {
	if last := p.words.lastLine(); last != "" {
		return "ProxyCommand said: " + last
	}
	return ""
}

// ended is said, or how the command ended. It is for a connection that was
// closed.
func (p *pipeConn) ended() string {
	select {
	case <-p.over:
	default:
		return p.said()
	}
	if said := p.said(); said != "" {
		return said
	}
	return "ProxyCommand ended: " + p.cmd.ProcessState.String()
}

func (p *pipeConn) LocalAddr() net.Addr  { return pipeAddr{} }
func (p *pipeConn) RemoteAddr() net.Addr { return pipeAddr{} }

var errNoDeadline = errors.New("deadline not supported")

func (p *pipeConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (p *pipeConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (p *pipeConn) SetWriteDeadline(time.Time) error { return errNoDeadline }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "ProxyCommand" }

// tail keeps the last 4 KiB of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b[max(0, len(b)-4096):]...)
	t.kept = t.kept[max(0, len(t.kept)-4096):]
	return len(b), nil
}

func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	return oneLine(strings.ToValidUTF8(lines[len(lines)-1], "?"))
}
