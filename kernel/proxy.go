package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	endTime     = 2 * time.Second // that what the kernel said last has to arrive
	connections = 64              // of one channel
	resumeTries = 3
	resumePause = 200 * time.Millisecond
)

// Proxy is the kernel that an editor here sees: it listens on the ports of the
// connection file and joins each connection to the kernel on the host. Shell,
// iopub and stdin are passed on byte for byte, so that a link under them that
// loses nothing makes channels that lose nothing. Heartbeats are answered here
// as long as the kernel is known to live; a cut line is no death.
type Proxy struct {
	Host       Host
	Window     Window
	Connection Connection
	// Say tells a person what there is to know; nil: nobody.
	Say func(string)
	// Begun is told the kernel's session on the host; nil: nobody.
	Begun func(session string)
	// On is the host's name, for people.
	On string
	// Patience is how long what ends or interrupts the kernel waits for the
	// host to answer; 0 = 15 s.
	Patience time.Duration

	kernel *supervised
	proofs proofs
	up     chan struct{}             // closed when the kernel listens
	wanted atomic.Pointer[time.Time] // when it was asked to end; nil: it was not
	ctx    context.Context           // of connections
	joins  sync.WaitGroup

	mu   sync.Mutex
	taps map[*tap]bool
}

// Run starts the kernel, or adopts the one that this window had, and serves it
// until it ends: nil when it was asked to, else *DiedError or *LostError. When
// ctx ends the kernel is left for its window to come back, unless it was asked
// to end. Each of interrupts is a Ctrl-C.
func (p *Proxy) Run(ctx context.Context, interrupts <-chan struct{}) error {
	if p.Connection.Scheme != hmacSHA256 && p.Connection.Key != "" {
		return &UsageError{What: fmt.Sprintf("read the connection file: its messages are signed by %.40q, not %s", p.Connection.Scheme, hmacSHA256), Try: "leave Session.signature_scheme of Jupyter's settings as it is"}
	}
	p.Window.Key, p.Window.Scheme = p.Connection.Key, p.Connection.Scheme
	p.up, p.taps = make(chan struct{}), map[*tap]bool{}
	serving, stop := context.WithCancel(ctx)
	p.ctx = serving
	defer p.joins.Wait()
	defer stop()
	listeners, err := p.listen()
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if p.kernel, err = p.Window.begin(ctx, p.Host); err != nil {
		return err
	}
	defer p.kernel.close()
	if p.kernel.State == "adopted" {
		p.say("kernel " + p.Window.Name + " ran on without a window: this is it again, with all that it has in memory")
	}
	if p.Begun != nil {
		p.Begun(p.kernel.Session)
	}
	for i, l := range listeners {
		go p.accept(l, channels[i])
	}
	return p.watch(ctx, interrupts)
}

func (p *Proxy) listen() (all []net.Listener, err error) {
	for _, channel := range channels {
		network, addr := p.Connection.Addr(channel)
		l, err := net.Listen(network, addr)
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("listen on the ports of the connection file: %w", err)
		}
		all = append(all, l)
	}
	return all, nil
}

// watch waits for the end. After ctx the supervisor is still heard.
func (p *Proxy) watch(ctx context.Context, interrupts <-chan struct{}) error {
	heard := make(chan error, 1)
	hearing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() { heard <- p.hear(hearing) }()
	for {
		select {
		case err := <-heard:
			p.drain()
			return err
		case <-interrupts:
			at := time.Now()
			p.joins.Go(func() { p.interrupt(at, p.kernel.interrupt) })
		case <-ctx.Done():
			if at := p.wanted.Load(); at != nil {
				p.end(hearing, *at, p.kernel.stop)
			}
			stop()
			p.kernel.close()
			<-heard
			return context.Cause(ctx)
		}
	}
}

// hear takes what the supervisor says, up to the kernel's end.
func (p *Proxy) hear(ctx context.Context) error {
	up := false
	for {
		t, err := p.kernel.next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			if err := p.resume(ctx); err != nil {
				return err
			}
		case t.Event == "pong":
			p.proofs.hear(t.N)
		case t.Event == "up" && !up:
			up = true
			close(p.up)
		case t.Event == "end":
			return t.died(p.Window.Name)
		}
	}
}

// resume finds the kernel again when its stream was lost: without a relay each
// cut does that. What is just ending may answer half: the last try counts.
func (p *Proxy) resume(ctx context.Context) (err error) {
	for range resumeTries {
		again := &supervised{Session: p.kernel.Session, sock: p.kernel.sock}
		if err = again.hello(ctx, p.Host, &p.Window, true); err == nil {
			return p.goOn(again)
		}
		var died *DiedError
		if errors.As(err, &died) {
			return err
		}
		select {
		case <-time.After(resumePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return &LostError{Kernel: p.Window.Name, Err: err}
}

// goOn takes another stream of the same kernel.
func (p *Proxy) goOn(again *supervised) error {
	if again.State != "new" {
		again.conn.Close()
		return &LostError{Kernel: p.Window.Name}
	}
	p.kernel.mu.Lock()
	defer p.kernel.mu.Unlock()
	p.kernel.conn.Close()
	p.kernel.conn, p.kernel.in = again.conn, again.in
	return nil
}

// drain lets what the kernel has said arrive.
func (p *Proxy) drain() {
	done := make(chan struct{})
	go func() { p.joins.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(endTime):
	}
}

// accept serves one channel's port.
func (p *Proxy) accept(l net.Listener, channel string) {
	places := make(chan struct{}, connections)
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case places <- struct{}{}:
		default:
			near.Close()
			continue
		}
		p.joins.Add(1)
		go func() {
			defer p.joins.Done()
			defer func() { <-places }()
			defer near.Close()
			p.serve(near, channel)
		}()
	}
}

// serve joins one connection to the kernel, once that listens.
func (p *Proxy) serve(near net.Conn, channel string) {
	select {
	case <-p.up:
	case <-p.ctx.Done():
		return
	}
	if channel == "iopub" {
		t := newTap(near)
		defer p.tapped(t)()
		near = t
	}
	defer context.AfterFunc(p.ctx, func() { near.Close() })()
	if channel == "hb" {
		echo(near)
		return
	}
	switch {
	case channel == "control":
		p.splice(near, channel, &look{p.wants, p.control})
	case p.kernel.State == "adopted":
		p.splice(near, channel, nil)
	default:
		p.join(near, channel)
	}
}

// dial connects to one of the kernel's channels, once it can be reached.
func (p *Proxy) dial(ctx context.Context, channel string) (net.Conn, error) {
	if at := p.kernel.Sockets; at != "" {
		return p.Host.Dial(ctx, "unix", fmt.Sprintf("%s-%d", at, p.kernel.Ports[channel]))
	}
	return p.Host.Dial(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", p.kernel.Ports[channel]))
}

// join passes bytes on.
func (p *Proxy) join(near net.Conn, channel string) {
	far, err := p.dial(p.ctx, channel)
	if err != nil {
		return // the editor's side comes again
	}
	defer far.Close()
	defer context.AfterFunc(p.ctx, func() { far.Close() })()
	join(near, far)
}

// tapped has t told what the editor is to know, until the function is called.
func (p *Proxy) tapped(t *tap) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taps[t] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.taps, t)
	}
}
