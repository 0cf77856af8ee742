package holder

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"nbremote/internal/link"
	"nbremote/internal/webproxy"
)

const droppedMost = 10 // of what was lost, the last are told

// newStore is the room for what is kept of kernels while pages are away, in a
// directory of this target's own. What an earlier holder could not remove goes.
func newStore(place Place, key string) *webproxy.Store {
	dir := filepath.Join(place.State, "kept", key)
	os.RemoveAll(dir)
	if os.MkdirAll(dir, 0o700) != nil {
		return &webproxy.Store{}
	}
	return &webproxy.Store{Dir: dir}
}

// dial reaches a page's server.
func (p *page) dial(ctx context.Context, ps *pages, options ...link.Option) (net.Conn, error) {
	network, addr, proves := p.far()
	c, err := ps.h.far(ctx, network, addr, options...)
	if err == nil && proves != nil {
		c, err = proves.Client(ctx, c)
	}
	if err != nil {
		ps.wish()
		return nil, err
	}
	return &watched{Conn: c, ended: ps.wish}, nil
}

// lost notes messages that no page will get.
func (p *page) lost(h *holder, d webproxy.Drop) {
	h.log.Printf("kernel %s: %d messages (%d bytes) from %v to %v are lost: %s", d.Kernel, d.Messages, d.Bytes, d.From, d.To, d.Why)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = append(p.dropped, Dropped{Kernel: d.Kernel, Messages: d.Messages, Bytes: d.Bytes, From: d.From, To: d.To, Why: d.Why})
	if n := len(p.dropped); n > droppedMost {
		p.dropped = p.dropped[n-droppedMost:]
	}
}

func keptOf(p *webproxy.Proxy) []Kept {
	var out []Kept
	for _, k := range p.Kept() {
		out = append(out, Kept{Kernel: k.Kernel, Messages: k.Messages, Bytes: k.Bytes, Oldest: k.Oldest, Away: k.Away})
	}
	return out
}
