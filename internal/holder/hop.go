package holder

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"nbremote/internal/remote"
	"nbremote/sshx"
)

// hop is our use of the gateway's holder while we dial: its steps and
// questions are told on as ours.
type hop struct {
	client *Client
	line   *Attachment
	done   sync.WaitGroup
}

// throughGateway finds or starts the holder of the gateway before our target
// and waits until its line is up.
// With fresh its line must have shown a sign of life just now.
func (h *holder) throughGateway(ctx context.Context, fresh bool) (*hop, error) {
	client, err := Ensure(ctx, Spec{Place: h.spec.Place, Target: h.spec.Target.Via, ConnectTimeout: h.spec.ConnectTimeout, NoNotices: h.spec.NoNotices})
	if err != nil {
		return nil, fmt.Errorf("start the connection to %s: %w", h.spec.Target.Via.Name, err)
	}
	a, err := client.Attach(ctx, AttachOptions{Ask: h.asks.canAsk(), Fresh: fresh})
	if err != nil {
		return nil, err
	}
	up := &hop{client: client, line: a}
	asking := map[int64]context.CancelFunc{}
	for {
		e, err := a.Next(ctx)
		if err != nil {
			a.Close()
			return nil, err
		}
		switch e.Kind {
		case "up":
			return up, nil
		case "error":
			a.Close()
			return nil, e.Error
		case "question":
			up.done.Add(1)
			asked, cancel := context.WithCancel(ctx)
			asking[e.ID] = cancel
			go func() {
				defer up.done.Done()
				defer cancel()
				text, err := h.ask(asked, *e.Question)
				if asked.Err() == nil {
					client.Answer(ctx, Answer{ID: e.ID, Text: text, Refused: err != nil})
				}
			}()
		case "answered": // or no longer to be
			if cancel := asking[e.ID]; cancel != nil {
				cancel()
				delete(asking, e.ID)
			}
		case "start", "done", "notice", "warning":
			h.tell(e)
		}
	}
}

// byGateway sets the way to the target in opts, once the line of the gateway is
// up and it is the turn of this dial. end is told whether that succeeded.
func (h *holder) byGateway(ctx context.Context, again bool, opts *sshx.Options) (end func(bool), err error) {
	mine, leave := h.crowd.join()
	up, err := h.throughGateway(ctx, again)
	h.mu.Lock()
	h.viaErr = err
	h.mu.Unlock()
	if err == nil {
		if err = h.crowd.turn(ctx, mine); err != nil {
			up.Close()
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	opts.Dial, opts.DialCommand = up.Dial, up.command(h.spec.Target.Address())
	return func(succeeded bool) {
		up.Close()
		if succeeded { // the others would be too many
			time.AfterFunc(dialAge, leave)
			return
		}
		leave()
	}, nil
}

// Dial connects to addr as the gateway reaches it.
func (u *hop) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return u.client.DialDirect(ctx, network, addr)
}

// command does what Dial does for a child of ours.
func (u *hop) command(addr string) string {
	program, err := os.Executable()
	if err != nil {
		return ""
	}
	return strings.Join([]string{remote.Quote(program), "stdio", "--through", remote.Quote(u.client.Sock), remote.Quote(addr)}, " ")
}

func (u *hop) Close() {
	u.line.Close()
	u.done.Wait()
}

// farHop is farDirect for the holder of a machine behind this one. What is
// silent may be its carrier, so it decides; by Fresh it has the line proved. A
// line that needs a person is not replaced by that: the keepalive ends it, so
// that this is said.
func (h *holder) farHop(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := h.line.wait(ctx)
	if err != nil {
		return nil, err
	}
	if !h.line.person() {
		conn.Patient()
	}
	return conn.Dial(ctx, network, addr)
}
