package sshx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// testOnlyKeepalive is after how long a silence the host is asked for a sign of
// life. Three more such times without one, and the line is lost.
var testOnlyKeepalive = 15 * time.Second

// Conn is one signed-in SSH connection. Its methods may be called at once.
type Conn struct {
	name    string
	timeout time.Duration // for a channel to open
	mux     bool          // it is over an ssh, which is asked for nothing but channels
	net     *watched
	ssh     ssh.Conn
	signed  Signed

	patient   atomic.Bool
	quickened sync.Once

	tasks sync.WaitGroup
	gone  chan struct{} // nothing more comes: the channels are closed
	done  chan struct{}

	mu     sync.Mutex
	err    error // why it ended; nil after Close
	ending bool  // err is decided
}

func newConn(name string, timeout time.Duration, w *watched, signed Signed, sc ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request, mux bool) *Conn {
	c := &Conn{
		name: name, timeout: timeout, mux: mux, net: w, ssh: sc, signed: signed,
		gone: make(chan struct{}), done: make(chan struct{}),
	}
	c.tasks.Add(2)
	go func() { defer c.tasks.Done(); ssh.DiscardRequests(reqs) }() // a no is an answer to a keepalive too
	go func() { defer c.tasks.Done(); c.rejectAll(chans) }()
	if !mux { // else it is ssh that sees to that
		c.tasks.Go(func() { c.keepAlive(testOnlyKeepalive) })
	}
	go c.wait()
	return c
}

// Signed says how the sign-in went.
func (c *Conn) Signed() Signed { return c.signed }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection was lost, a *LostError; nil while it is up, and
// after Close.
func (c *Conn) Err() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return nil
	}
	return &LostError{Name: c.name, Err: c.err}
}

// Close ends the connection and waits until all of it has ended.
func (c *Conn) Close() error {
	c.end(nil)
	<-c.done
	return nil
}

// end closes the connection because of err. The socket goes first: a writer
// that is stuck on a dead line lets go.
func (c *Conn) end(err error) {
	c.mu.Lock()
	if !c.ending {
		c.err, c.ending = err, true
	}
	c.mu.Unlock()
	c.net.Close()
	c.ssh.Close()
}

func (c *Conn) wait() {
	err := c.ssh.Wait()
	if err == nil {
		err = errors.New("the host ended it")
	}
	c.end(err)
	c.tasks.Wait()
	close(c.done)
}

func (c *Conn) rejectAll(chans <-chan ssh.NewChannel) {
	defer close(c.gone)
	for ch := range chans {
		ch.Reject(ssh.Prohibited, "not asked for")
	}
}

// Patient has silence no longer end the connection: who uses it decides.
func (c *Conn) Patient() { c.patient.Store(true) }

// keepAlive asks for a sign of life after each interval of silence; any byte is
// one. After three intervals without an answer the line is lost. A computer
// that slept asks on waking, and waits one interval only. After Patient it only
// asks, which also keeps a middlebox from forgetting the connection.
func (c *Conn) keepAlive(interval time.Duration) {
	const ticks = 5 // an interval
	tick := time.NewTicker(interval / ticks)
	defer tick.Stop()
	answered := make(chan struct{}, 1)
	answered <- struct{}{}
	quiet, limit, before, wall := 0, 4*ticks, c.net.received.Load(), time.Now().Round(0)
	for {
		select {
		case <-tick.C:
		case <-c.gone:
			return
		}
		quiet++
		if now := c.net.received.Load(); now != before {
			quiet, limit, before = 0, 4*ticks, now
		}
		slept := time.Now().Round(0).Sub(wall) > interval
		wall = time.Now().Round(0)
		if slept {
			quiet, limit = ticks, 2*ticks
		}
		if quiet > limit && !c.patient.Load() {
			c.end(fmt.Errorf("nothing came in %s, though it was asked for", seconds(time.Duration(quiet)*interval/ticks)))
			return
		}
		if quiet == 0 || quiet%ticks != 0 {
			continue
		}
		select {
		case <-answered:
			c.tasks.Add(1)
			go func() {
				defer c.tasks.Done()
				c.ssh.SendRequest("keepalive@openssh.com", true, nil)
				answered <- struct{}{}
			}()
		default: // the last one is still on its way
		}
	}
}

// Alive asks the host for a sign of life and waits for it until ctx ends.
func (c *Conn) Alive(ctx context.Context) error {
	if c.mux {
		return c.aliveByChannel(ctx)
	}
	answered := make(chan error, 1)
	go func() { // ends with the connection at the latest
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Dial connects to addr as the host reaches it. Network is tcp or unix. A host
// that does not open the connection is an *OpenError. The net.Conn has
// CloseWrite and no deadlines; an end of the line is an error of its Read, not
// io.EOF.
func (c *Conn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	kind, payload, err := openRequest(network, addr)
	if err != nil {
		return nil, err
	}
	c.quicken()
	ch, reqs, err := c.open(ctx, kind, payload, addr, nil)
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(reqs)
	return newChannelConn(c, ch, network, addr), nil
}

// openRequest is what RFC 4254 section 7.2, or PROTOCOL 2.4 of OpenSSH, wants
// to be told.
func openRequest(network, addr string) (kind string, payload []byte, err error) {
	if network == "unix" {
		return "direct-streamlocal@openssh.com", ssh.Marshal(struct {
			Path, Reserved string
			Port           uint32
		}{Path: addr}), nil
	}
	if !strings.HasPrefix(network, "tcp") {
		return "", nil, fmt.Errorf("dial %s: network %s", addr, network)
	}
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return "direct-tcpip", ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, uint32(port), "127.0.0.1", 0}), nil
}

// open opens a channel and, once it is there, calls first. It waits no longer
// than ctx and the connection's timeout; what comes of it later is closed.
func (c *Conn) open(ctx context.Context, kind string, payload []byte, what string, first func(ssh.Channel) error) (ssh.Channel, <-chan *ssh.Request, error) {
	type result struct {
		ch   ssh.Channel
		reqs <-chan *ssh.Request
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		ch, reqs, err := c.ssh.OpenChannel(kind, payload)
		if err == nil && first != nil {
			if err = first(ch); err != nil {
				ch.Close()
				go ssh.DiscardRequests(reqs)
			}
		}
		opened <- result{ch, reqs, err}
	}()
	limit := time.NewTimer(c.timeout)
	defer limit.Stop()
	var err error
	select {
	case r := <-opened:
		if r.err == nil {
			return r.ch, r.reqs, nil
		}
		return nil, nil, c.openFailed(r.err, what)
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-limit.C:
		err = &DialError{Name: c.name, Address: what, Phase: PhaseChannel, After: c.timeout}
	}
	go func() {
		if r := <-opened; r.err == nil {
			r.ch.Close()
			ssh.DiscardRequests(r.reqs)
		}
	}()
	return nil, nil, err
}

func (c *Conn) openFailed(err error, what string) error {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return &OpenError{What: what, Reason: refused.Reason, Text: oneLine(refused.Message)}
	}
	return c.lost(err)
}

// lost is the error of something that failed because the connection ended, or
// is just ending.
func (c *Conn) lost(err error) error {
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case <-c.done:
		if lost := c.Err(); lost != nil {
			return lost
		}
		return net.ErrClosed
	case <-limit.C:
		return &LostError{Name: c.name, Err: err}
	}
}
