package holder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"nbremote/sshx"
)

// firstTries is how often the first sign-in is tried where the server drops the
// connection before it: one with too many of them (MaxStartups) takes the next,
// maybe. A lost line is dialled again for ever, by others.
const firstTries = 4

// firstPause is the first of the pauses between those tries; each is twice the
// one before, and up to half of it more or less, lest all who were dropped come
// back at once.
const firstPause = time.Second

// dialLine is dial, which is tried again where that needs nobody. A refused
// sign-in is final: a server counts those.
func (h *holder) dialLine(ctx context.Context, again bool) (*sshx.Conn, error) {
	if again {
		return h.dial(ctx, true)
	}
	pause := firstPause
	for n := 2; ; n, pause = n+1, 2*pause {
		before := h.questions()
		conn, err := h.dial(ctx, false)
		var dial *sshx.DialError
		if !errors.As(err, &dial) || !dial.Dropped() || n > firstTries || h.questions() != before {
			return conn, err
		}
		rest := pause/2 + rand.N(pause)
		h.tell(Event{Kind: "warning", Hop: h.spec.Target.Name, Text: fmt.Sprintf(
			"it ended the connection before the sign-in; try %d of %d in %.1f s", n, firstTries, rest.Seconds())})
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// questions counts those that a person was asked for our own sign-ins.
func (h *holder) questions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ownAsks
}

// askOwn is ask for a sign-in of our own, not a gateway's.
func (h *holder) askOwn(ctx context.Context, q Question) (string, error) {
	h.mu.Lock()
	h.ownAsks++
	h.mu.Unlock()
	return h.ask(ctx, q)
}
