package holder

import (
	"context"
	"net"
	"path/filepath"
	"strings"
)

// Direct is a Client that leaves no trace on the host: what it runs and dials
// goes by channels of the connection, and no relay is started for it.
type Direct struct{ *Client }

// Run is remote.Runner.
func (d Direct) Run(ctx context.Context, script string) ([]byte, error) {
	return d.run(ctx, scriptRequest{Script: script, Direct: true})
}

// Dial connects to an address as the host's SSH server reaches it.
func (d Direct) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.dial(ctx, dialRequest{Network: network, Addr: addr, Direct: true})
}

// runDirect runs a script by the connection, unless all goes by the relay
// already.
func (h *holder) runDirect(ctx context.Context, script string) ([]byte, error) {
	if l, _ := h.linked.now(); l != nil {
		return h.run(ctx, script)
	}
	conn, err := h.line.wait(ctx)
	if err != nil {
		return nil, err
	}
	return h.shellsOn(conn).run(ctx, script)
}

// OwnPorts are the local ports that are remembered for the sessions of a
// target. Nothing is written.
func OwnPorts(place Place, key string) map[string]int { return loadMemory(place, key).data.Ports }

// LastKey is the fingerprint of the key that signed in to a target last, or "".
func LastKey(place Place, key string) string { return loadMemory(place, key).data.LastKey }

// NeededPerson says whether somebody had to do something for the last sign-in to
// a target.
func NeededPerson(place Place, key string) bool { return loadMemory(place, key).data.Person }

// Key is that of the client's target.
func (c *Client) Key() string { return strings.TrimSuffix(filepath.Base(c.Sock), ".sock") }
