package sshx

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

// masterProof is how long a ControlMaster of the user's may take to show that
// its line lives.
const masterProof = 2 * time.Second

// Attach gives a connection over the ControlMaster that the user has running
// for t: it asks nobody and signs in nowhere. nil: there is none whose line
// lives, or t.Engine is native.
func Attach(ctx context.Context, t *Target, opts Options) *Conn {
	if t.ControlPath == "" || t.Engine == EngineNative || !hasMasters {
		return nil
	}
	// Somebody else's socket, in /tmp say, would be told all that we send.
	info, err := os.Lstat(t.ControlPath)
	if err != nil || info.Mode().Type() != os.ModeSocket || !isOurs(info) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, masterProof)
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", t.ControlPath)
	if err != nil {
		return nil
	}
	c, err := muxConn(ctx, t.Name, opts.timeout(), raw, Signed{Method: "your ssh's connection"})
	if err != nil {
		return nil
	}
	if c.Alive(ctx) != nil {
		c.Close()
		return nil
	}
	return c
}

// muxConn is a connection over the socket of a ControlMaster. Nothing is asked
// of it but channels: a global request makes it hang up on us.
func muxConn(ctx context.Context, name string, timeout time.Duration, raw net.Conn, signed Signed) (*Conn, error) {
	w := watch(raw)
	closing := context.AfterFunc(ctx, func() { w.Close() })
	sc, chans, reqs, err := ssh.NewControlClientConn(w)
	if !closing() && err == nil {
		sc.Close()
		go ssh.DiscardRequests(reqs)
		for range chans {
		}
		err = context.Cause(ctx)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("use the connection of ssh: %w", err)
	}
	return newConn(name, timeout, w, signed, sc, chans, reqs, true), nil
}

// aliveByChannel asks for a sign of life by a channel that is closed at once.
// One that is refused is an answer too.
func (c *Conn) aliveByChannel(ctx context.Context) error {
	ch, reqs, err := c.open(ctx, "session", nil, "a session", nil)
	if err == nil {
		go ssh.DiscardRequests(reqs)
		return ch.Close()
	}
	if _, refused := err.(*OpenError); refused {
		return nil
	}
	return err
}
