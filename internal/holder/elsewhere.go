package holder

import (
	"context"

	"nbremote/internal/link"
)

// Elsewhere is the network of a TCP server on another machine, as the host
// reaches it: whose it is the host cannot say.
const Elsewhere = "far"

// linkFor is the link, nil = there is none. A server on another machine begins
// it: no script may ever run on a host that only leads there.
func (h *holder) linkFor(ctx context.Context, network string) *link.Link {
	if network == Elsewhere {
		h.runner(ctx)
	}
	l, _ := h.linked.get(ctx)
	return l
}

// plainNetwork is "unix" or "tcp".
func plainNetwork(network string) string {
	if network == "unix" {
		return network
	}
	return "tcp"
}
