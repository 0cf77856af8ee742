package holder

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"nbremote/internal/socks"
)

// Kinds of tunnels.
const (
	Proxy   = "proxy"   // SOCKS into the host's network
	Forward = "forward" // one address there
	Remote  = "remote"  // a port or a socket there that leads here
)

// TunnelSpec asks for a local port whose connections go on from the host.
type TunnelSpec struct {
	Kind string `json:"kind"`
	// Name of a proxy: the same again is the same proxy.
	Name string `json:"name,omitempty"`
	// Port here; of a proxy 0 is its own, else a free one. Remote: there.
	Port int `json:"port,omitempty"`
	// Sock is a forward's unix socket here, instead of a port. Remote: there.
	Sock    string `json:"sock,omitempty"`
	Network string `json:"network,omitempty"` // of a forward: "unix" or "tcp" of the account, or Elsewhere; remote: "unix", or "" for tcp
	Addr    string `json:"addr,omitempty"`    // where it leads
	// Domains are what a proxy's PAC script sends to it; none: there is no script.
	Domains []string `json:"domains,omitempty"`
	// Allow is what a proxy may reach though it is the host's own.
	Allow []string `json:"allow,omitempty"`
	// Followed: nobody asked for this forward; a session's program listens there.
	Followed bool   `json:"followed,omitempty"`
	Program  string `json:"program,omitempty"` // its name, as the host says
	// Script is the script with whose end it ends too.
	Script string `json:"script,omitempty"`
	// Kernel whose channel it is, one of several, and the connection file.
	Kernel     string `json:"kernel,omitempty"`
	Connection string `json:"connection,omitempty"`
	// Again is the command that opens it again.
	Again string `json:"again,omitempty"`
}

// Tunnel is one local port other than that of a page.
type Tunnel struct {
	TunnelSpec
	PAC     string `json:"pac,omitempty"` // the address of the PAC script
	Open    int    `json:"open"`          // connections
	Reused  bool   `json:"reused,omitempty"`
	Moved   int    `json:"moved,omitempty"` // its own port, which somebody else has
	TakenBy string `json:"taken_by,omitempty"`
	// Unchecked is why no name can be looked up on the host, so that none is
	// passed on but what is allowed by name.
	Unchecked string `json:"unchecked,omitempty"`
}

// Local is the end here: an address, or the path of a socket.
func (s TunnelSpec) Local() string {
	if s.Sock != "" {
		return s.Sock
	}
	return "127.0.0.1:" + itoa(s.Port)
}

// ID tells a holder's tunnels apart.
func (s TunnelSpec) ID() string {
	if s.Kind == Proxy {
		return Proxy + " " + s.Name
	}
	return s.Kind + " " + s.Local()
}

// tunnels are the local ports of one holder that are no pages.
type tunnels struct {
	h      *holder
	adding sync.Mutex // one at a time; locked before mu
	mu     sync.Mutex
	all    map[string]*tunnel
	ended  bool
}

type tunnel struct {
	h    *holder
	gate *gate

	mu   sync.Mutex
	is   Tunnel
	rule *socks.Rule
	pac  *http.Server
}

// add opens a tunnel, or gives the one that is open.
func (ts *tunnels) add(ctx context.Context, spec TunnelSpec) (Tunnel, error) {
	rule, err := socks.ParseRule(spec.Allow)
	if err != nil {
		return Tunnel{}, &Error{Text: "read --allow: " + err.Error(), ClassName: "usage"}
	}
	ts.adding.Lock()
	defer ts.adding.Unlock()
	ts.mu.Lock()
	old := ts.all[spec.ID()]
	ts.mu.Unlock()
	switch {
	case spec.Followed: // it finds a port of its own
		old = nil
	case old != nil && old.is.Followed: // from now on it is the person's
		ts.remove(old)
		old = nil
	}
	if old != nil {
		if done, err := old.again(spec, rule); done || err != nil {
			return old.public(true), err
		}
		ts.remove(old)
	}
	t := &tunnel{h: ts.h, rule: rule, is: Tunnel{TunnelSpec: spec}}
	if err := t.open(ctx); err != nil {
		return Tunnel{}, err
	}
	if !ts.keep(t) {
		t.close()
		return Tunnel{}, &Error{Text: "open a local port: this connection is being closed", ClassName: "line"}
	}
	return t.public(false), nil
}

// keep adds a tunnel that is open; false: all are being closed.
func (ts *tunnels) keep(t *tunnel) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if !ts.ended {
		ts.all[t.is.ID()] = t
	}
	return !ts.ended
}

// again takes what is new of a spec; false: the tunnel is to be opened anew.
func (t *tunnel) again(spec TunnelSpec, rule *socks.Rule) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if spec.Kind != Proxy && (spec.Network != t.is.Network || spec.Addr != t.is.Addr) {
		return false, &Error{
			Text: fmt.Sprintf("listen on %s: it leads to %s already", t.is.Local(), t.is.Addr), ClassName: "other",
			HintText: "nbremote close " + t.is.end(),
		}
	}
	if spec.Kind != Proxy {
		return true, nil
	}
	if spec.Port != 0 && spec.Port != t.is.Port {
		return false, nil
	}
	if spec.Allow != nil {
		t.is.Allow, t.rule = spec.Allow, rule
	}
	if spec.Domains != nil {
		t.is.Domains = spec.Domains
		t.servePAC()
	}
	return true, nil
}

// end is the local end as close takes it.
func (s TunnelSpec) end() string {
	if s.Sock != "" {
		return s.Sock
	}
	return itoa(s.Port)
}

// open listens and begins to take connections.
func (t *tunnel) open(ctx context.Context) error {
	var l net.Listener
	var err error
	handle := t.forward
	switch {
	case t.is.Kind == Proxy:
		handle = t.proxy
		l, err = t.proxyPort()
	case t.is.Kind == Remote:
		handle = t.backward
		l, err = t.remotePort(ctx)
	case t.is.Sock != "":
		l, err = listenSock(t.is.Sock)
	case t.is.Followed:
		l, err = t.followedPort()
	default:
		l, err = t.forwardPort()
	}
	if err != nil {
		return err
	}
	t.gate = openGate(l, handle)
	if t.is.Kind == Proxy {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.servePAC()
	}
	return nil
}

func (t *tunnel) public(reused bool) Tunnel {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.is
	out.Open, out.Reused = t.gate.count(), reused
	return out
}

func (t *tunnel) close() {
	t.gate.close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pac != nil {
		t.pac.Close()
	}
}

// greetingTime is how long a client of a proxy has to say what it wants; long,
// since a laptop with much to do stands still for seconds.
const greetingTime = time.Minute

// proxy answers one client of SOCKS.
func (t *tunnel) proxy(near net.Conn, r *bufio.Reader) {
	q, err := socks.Read(near, r, greetingTime)
	if err != nil {
		return
	}
	t.mu.Lock()
	rule := t.rule
	t.mu.Unlock()
	far, err := whilePresent(near, r, 0, func(ctx context.Context) (net.Conn, error) {
		return t.h.outward(ctx, rule, q.Host, q.Port)
	})
	if err == nil {
		defer far.Close()
	}
	if q.Answer(near, err) == nil {
		join(near, r, far)
	}
}

// forward joins one connection to the address there.
func (t *tunnel) forward(near net.Conn, r *bufio.Reader) {
	const grace = 5 * time.Second
	far, err := whilePresent(near, r, grace, func(ctx context.Context) (net.Conn, error) {
		if _, err := t.h.runner(ctx); err != nil { // has the link begun
			return nil, err
		}
		return t.h.far(ctx, t.is.Network, t.is.Addr)
	})
	if err != nil {
		t.h.log.Printf("forward to %s: %v", t.is.Addr, err)
		abort(near)
		return
	}
	defer far.Close()
	join(near, r, far)
}

func (ts *tunnels) list() []Tunnel {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var out []Tunnel
	for _, t := range ts.all {
		out = append(out, t.public(false))
	}
	slices.SortFunc(out, func(a, b Tunnel) int { return cmp.Compare(a.ID(), b.ID()) })
	return out
}

func (ts *tunnels) count() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.all)
}

// removeByID ends a tunnel and gives it, nil = there is none.
func (ts *tunnels) removeByID(id string) *tunnel {
	ts.mu.Lock()
	t := ts.all[id]
	ts.mu.Unlock()
	if t != nil {
		ts.remove(t)
	}
	return t
}

// removeOf ends those of a script.
func (ts *tunnels) removeOf(script string) {
	ts.mu.Lock()
	all := slices.Collect(maps.Values(ts.all))
	ts.mu.Unlock()
	for _, t := range all {
		if script != "" && t.is.Script == script {
			ts.remove(t)
		}
	}
}

// remove ends a tunnel, if it has not ended.
func (ts *tunnels) remove(t *tunnel) {
	ts.mu.Lock()
	there := ts.all[t.is.ID()] == t
	delete(ts.all, t.is.ID())
	ts.mu.Unlock()
	if there {
		t.close()
	}
}

func (ts *tunnels) close() {
	ts.mu.Lock()
	all := ts.all
	ts.all, ts.ended = nil, true
	ts.mu.Unlock()
	for _, t := range all {
		t.close()
	}
}
