package holder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

func (h *holder) addTunnel(w http.ResponseWriter, r *http.Request) {
	spec, ok := read[TunnelSpec](w, r)
	if !ok {
		return
	}
	defer h.hold(&h.busy)()
	t, err := h.tunnels.add(r.Context(), spec)
	if err == nil && spec.Kind == Proxy {
		t.Unchecked = h.unchecked(r.Context())
	}
	reply(w, t, err)
}

// unchecked says why no name can be looked up on the host, "" = they can. It
// begins the link.
func (h *holder) unchecked(ctx context.Context) string {
	if h.linkFor(ctx, Elsewhere) != nil {
		return ""
	}
	_, err := h.names.get(ctx, h, "localhost")
	if e := new(Error); errors.As(err, &e) && e.ClassName == "connect" {
		return ""
	}
	return errText(err)
}

func (h *holder) removeTunnel(w http.ResponseWriter, r *http.Request) {
	req, ok := read[TunnelSpec](w, r)
	if !ok {
		return
	}
	t := h.tunnels.removeByID(req.ID())
	if t != nil && t.is.Followed {
		h.follow.closed(t.is)
	}
	reply(w, map[string]bool{"removed": t != nil}, nil)
}

// AddTunnel opens a local port whose connections go on from the host, or gives
// the one that is open.
func (c *Client) AddTunnel(ctx context.Context, spec TunnelSpec) (t Tunnel, err error) {
	err = c.call(ctx, "POST", "/v1/tunnels", spec, &t)
	return t, err
}

// RemoveTunnel closes a tunnel.
func (c *Client) RemoveTunnel(ctx context.Context, t Tunnel) error {
	return c.call(ctx, "POST", "/v1/tunnels/remove", t.TunnelSpec, nil)
}

// notListening says why a port cannot be had, and what to try.
func notListening(err error, port int, hint string) error {
	text := err.Error()
	if errors.Is(err, fs.ErrPermission) && port < 1024 {
		text = fmt.Sprintf("listen on 127.0.0.1:%d: a port below 1024 needs root", port)
	}
	return &Error{Text: text, ClassName: "other", HintText: hint}
}
