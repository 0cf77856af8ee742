package remote

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"sync"
	"time"
)

// Local runs scripts on this machine, as sshd would. The zero value works.
type Local struct {
	Shell string   // the login shell, which is given Command; "" = /bin/sh
	Env   []string // nil = this process's own
	Dir   string   // "" = this process's own
}

// Run is Runner.
func (l Local) Run(ctx context.Context, script string) ([]byte, error) {
	nonce := NewNonce()
	p, err := l.start(ctx, Frame(nonce, script))
	if err != nil {
		return nil, err
	}
	answer, err := ReadAnswer(bufio.NewReader(p), nonce)
	p.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return answer.Stdout, answer.Err()
}

// Stream is Streamer; the end of ctx closes it.
func (l Local) Stream(ctx context.Context, script string) (io.ReadCloser, error) {
	nonce := NewNonce()
	p, err := l.start(ctx, Frame(nonce, script))
	if err != nil {
		return nil, err
	}
	return NewStream(p, nonce), nil
}

// Pipe is Piper; the end of ctx closes it.
func (l Local) Pipe(ctx context.Context) (io.ReadWriteCloser, error) {
	p, err := l.start(ctx, "")
	if err != nil {
		return nil, err
	}
	return p, nil
}

// start gives the shell what to run and leaves its stdin open, as a connection
// does.
func (l Local) start(ctx context.Context, text string) (*process, error) {
	shell := l.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, shell, "-c", Command)
	cmd.Env, cmd.Dir = l.Env, l.Dir
	// What a script leaves running may hold its output open.
	cmd.WaitDelay = time.Second
	p := &process{cmd: cmd, cancel: cancel, written: make(chan struct{})}
	stdin, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		cancel()
		return nil, err
	}
	p.stdin, p.Reader = stdin, out
	p.unwatch = context.AfterFunc(ctx, func() { out.Close() })
	go func() {
		io.WriteString(stdin, text)
		close(p.written)
	}()
	return p, nil
}

// process is a running shell; Close ends it.
type process struct {
	io.Reader
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	cancel  func()
	unwatch func() bool
	written chan struct{}
	once    sync.Once
}

func (p *process) Write(b []byte) (int, error) { return p.stdin.Write(b) }

func (p *process) Close() error {
	p.once.Do(func() {
		p.stdin.Close()
		p.cancel()
		<-p.written
		p.cmd.Wait()
	})
	return nil
}
