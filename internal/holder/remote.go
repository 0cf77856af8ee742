package holder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"nbremote/internal/link"
)

// remotePort listens on a port or a socket of the host, by the relay there: on
// a plain connection it would not outlive a cut, and a new one would find it
// taken by the old.
func (t *tunnel) remotePort(ctx context.Context) (net.Listener, error) {
	r := &relisten{h: t.h, network: "tcp", at: t.is.Local()}
	if t.is.Sock != "" {
		r.network = "unix"
	}
	r.ctx, r.end = context.WithCancel(context.Background())
	var err error
	if r.now, err = r.listen(ctx); err != nil {
		r.end()
		return nil, err
	}
	return r, nil
}

// backward joins a connection that was made there to the address here.
func (t *tunnel) backward(near net.Conn, r *bufio.Reader) {
	far, err := whilePresent(near, r, time.Second, func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return new(net.Dialer).DialContext(ctx, plainNetwork(t.is.Network), t.is.Addr)
	})
	if err != nil {
		t.h.log.Printf("from %s there: %v", t.is.Local(), err)
		abort(near)
		return
	}
	defer far.Close()
	join(near, r, far)
}

// relisten is a port or a socket of the host that is listened on anew when the
// relay there has ended.
type relisten struct {
	h           *holder
	network, at string
	ctx         context.Context // ends with Close
	end         context.CancelFunc

	mu  sync.Mutex
	now *link.Listener
}

func (r *relisten) listen(ctx context.Context) (*link.Listener, error) {
	name := r.h.spec.Target.Name
	if _, err := r.h.runner(ctx); err != nil { // has the link begun
		return nil, err
	}
	l, why := r.h.linked.get(ctx)
	if l == nil {
		return nil, &Error{
			Text: "listen on " + r.at + " of " + name + ": it needs the relay, which " + name + " does not have", ClassName: "missing", CauseText: errText(why),
			HintText: fmt.Sprintf("ssh -N -R %s:… %s", strings.TrimPrefix(r.at, "127.0.0.1:"), name),
		}
	}
	now, err := l.Listen(ctx, r.network, r.at)
	if reset := new(link.ResetError); errors.As(err, &reset) {
		return nil, &Error{Text: fmt.Sprintf("listen on %s of %s: %s", r.at, name, reset.Text), ClassName: "other", HintText: "another one there"}
	}
	return now, linkError(name, err)
}

// Accept gives the next connection.
func (r *relisten) Accept() (net.Conn, error) {
	for {
		r.mu.Lock()
		now := r.now
		r.mu.Unlock()
		c, err := now.Accept()
		if err == nil {
			return c, nil
		}
		now.Close()
		if r.ctx.Err() != nil {
			return nil, net.ErrClosed
		}
		r.h.log.Printf("%s there: %v", r.at, err)
		if !r.again() {
			return nil, net.ErrClosed
		}
	}
}

// again listens anew, as often as it takes; false: not any more.
func (r *relisten) again() bool {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return false
		}
		now, err := r.listen(r.ctx)
		if err != nil {
			continue
		}
		r.mu.Lock()
		r.now = now
		closed := r.ctx.Err() != nil
		r.mu.Unlock()
		if closed {
			now.Close()
		}
		return !closed
	}
}

// Close frees the port there, once the line is up.
func (r *relisten) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end()
	return r.now.Close()
}

// Addr is the address there.
func (r *relisten) Addr() net.Addr { return r.now.Addr() }
