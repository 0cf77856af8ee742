package sshd

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	dialLimit  = 30 * time.Second
	drainLimit = 5 * time.Second // to write what a client has left behind
)

// peer is a signed-in client.
type peer struct {
	server   *Server
	conn     *ssh.ServerConn
	wire     *wire
	sessions atomic.Int64
}

// global answers keepalives as OpenSSH does: with no, which is an answer.
func (p *peer) global(requests <-chan *ssh.Request) {
	for r := range requests {
		if !p.server.faults().SwallowKeepalives && r.WantReply {
			r.Reply(false, nil)
		}
	}
}

func (p *peer) channels(channels <-chan ssh.NewChannel) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for n := range channels {
		faults := p.server.faults()
		if faults.Hang == HangAtOpen {
			continue
		}
		if r, refused := faults.refusal(n.ChannelType()); refused {
			n.Reject(r.Reason, r.Text)
			continue
		}
		switch n.ChannelType() {
		case Session:
			p.openSession(n, faults.MaxSessions)
		case TCP, Unix:
			p.server.running.Go(func() { p.forward(ctx, n) })
		default:
			n.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

// openSession counts before it accepts, so that MaxSessions is exact.
func (p *peer) openSession(n ssh.NewChannel, limit int) {
	if limit != 0 && p.sessions.Load() >= int64(limit) {
		n.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	p.sessions.Add(1)
	p.server.running.Go(func() {
		defer p.sessions.Add(-1)
		p.session(ch, requests)
	})
}

// forward joins a channel with a socket on this machine (RFC 4254 section 7.2
// and OpenSSH's PROTOCOL section 2.4).
func (p *peer) forward(ctx context.Context, n ssh.NewChannel) {
	network, addr, err := forwardTarget(n)
	if err != nil {
		n.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	dialer := net.Dialer{Timeout: dialLimit}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		n.Reject(ssh.ConnectionFailed, reason(err))
		return
	}
	defer conn.Close()
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	sent := make(chan struct{})
	p.server.running.Go(func() { p.endForward(conn, requests, sent) })
	p.server.running.Go(func() {
		defer close(sent)
		toSocket(conn.(halfCloser), ch)
	})
	toClient(ch, conn)
	<-sent
}

// endForward closes the socket when the client has closed its channel, or has
// gone, once what it had sent is written.
func (p *peer) endForward(conn net.Conn, requests <-chan *ssh.Request, sent <-chan struct{}) {
	for r := range requests {
		r.Reply(false, nil)
	}
	limit := time.NewTimer(drainLimit)
	defer limit.Stop()
	select {
	case <-sent:
	case <-limit.C:
	case <-p.server.done:
	}
	conn.Close()
}

type halfCloser interface {
	io.Writer
	CloseWrite() error
}

// toSocket goes on reading when the socket takes no more, so that what the
// far server still has to say is not held up.
func toSocket(conn halfCloser, ch ssh.Channel) {
	if _, err := io.Copy(conn, ch); err != nil {
		io.Copy(io.Discard, ch)
	}
	conn.CloseWrite()
}

func toClient(ch ssh.Channel, conn net.Conn) {
	if _, err := io.Copy(ch, conn); err != nil {
		ch.Close()
		conn.Close()
		return
	}
	ch.CloseWrite()
}

func forwardTarget(n ssh.NewChannel) (network, addr string, err error) {
	if n.ChannelType() == Unix {
		var m struct {
			Path     string
			Reserved string
			Port     uint32
		}
		err = ssh.Unmarshal(n.ExtraData(), &m)
		return "unix", m.Path, err
	}
	var m struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	err = ssh.Unmarshal(n.ExtraData(), &m)
	return "tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port))), err
}

// reason is the text OpenSSH gives.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
