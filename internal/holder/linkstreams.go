package holder

import (
	"context"
	"errors"
	"io"
	"net"

	"nbremote/internal/link"
)

// linkDial opens a stream to a server of this account on the host: a port that
// another user has taken meanwhile gets no byte. Or to one Elsewhere.
func linkDial(ctx context.Context, l *link.Link, name, network, addr string, options ...link.Option) (net.Conn, error) {
	kind := plainNetwork(network)
	if network != Elsewhere {
		options = append(options, link.Own)
	}
	conn, err := l.Dial(ctx, kind, addr, options...)
	return conn, linkError(name, err)
}

// linkError gives an error of the link the class that the line's have.
func linkError(name string, err error) error {
	var down *link.DownError
	if errors.As(err, &down) {
		return &Error{Text: "reach " + name + ": " + down.Error(), ClassName: "line", CauseText: errText(down.Err)}
	}
	return err
}

// shells are sessions on the link: they outlive connections too.
func (k *linked) shells() *shells {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over == nil {
		k.over = newShells(k.session)
	}
	return k.over
}

// session is a shell on the link.
func (k *linked) session(ctx context.Context) (*session, error) {
	l, why := k.now()
	if l == nil {
		return nil, why
	}
	p, err := l.Exec(ctx, link.Command{Argv: []string{"/bin/sh", "-s"}})
	if err != nil {
		return nil, linkError(k.h.spec.Target.Name, err)
	}
	go io.Copy(io.Discard, p.Stderr)
	return &session{stdin: p.Stdin, stdout: p.Stdout, close: p.Close, done: p.Done()}, nil
}

// session is a shell on the host, by the link where there is one.
func (h *holder) session(ctx context.Context) (*session, error) {
	if _, err := h.runner(ctx); err != nil { // has the link begun
		return nil, err
	}
	if l, _ := h.linked.get(ctx); l != nil {
		return h.linked.session(ctx)
	}
	conn, err := h.line.wait(ctx)
	if err != nil {
		return nil, err
	}
	p, err := directSession(ctx, conn)
	if !noSession(err) {
		return p, err
	}
	sh := h.shellsOn(conn)
	sh.pause(ctx) // a server with one session
	defer sh.resume()
	err = whileRefused(ctx, func() error {
		p, err = directSession(ctx, conn)
		return err
	})
	return p, err
}

// status is nil until the link has begun.
func (k *linked) status() *Link {
	k.mu.Lock()
	l, on, why, begun := k.link, k.on, k.why, k.decided != nil
	k.mu.Unlock()
	if !begun {
		return nil
	}
	out := &Link{On: on, Why: errText(why)}
	if !on {
		return out
	}
	st := l.Status()
	out.RTTMS, out.Here, out.There = float64(st.RTT.Microseconds())/1000, st.Here, st.There
	out.Spool, out.Quota, out.Lost = st.Spool, st.Quota, st.Lost
	for _, c := range st.Cuts {
		out.Cuts = append(out.Cuts, Cut{c.From, c.To})
	}
	return out
}

// prove waits until the host has answered now: what is sent next arrives now
// or, should the line die that very moment, not at all or late.
func (h *holder) prove(ctx context.Context) error {
	if l, _ := h.linked.get(ctx); l != nil {
		return linkError(h.spec.Target.Name, l.Prove(ctx))
	}
	conn, err := h.line.wait(ctx)
	if err != nil {
		return err
	}
	return conn.Alive(ctx)
}
