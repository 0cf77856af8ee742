package holder

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"nbremote/internal/link"
	"nbremote/internal/remote"
	"nbremote/internal/socks"
)

// outward connects a client of a proxy to where it wants to, as the host reaches
// it. Names are looked up there, and what is the host's own is refused there, or
// by the addresses that the host has found.
func (h *holder) outward(ctx context.Context, rule *socks.Rule, host string, port int) (net.Conn, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	literal, err := netip.ParseAddr(host)
	isName := err != nil
	if isName && rule.Name(host, port) {
		return h.far(ctx, Elsewhere, addr)
	}
	if !isName && !rule.Addr(literal, port) {
		return nil, errOwn
	}
	l := h.linkFor(ctx, Elsewhere)
	switch {
	case l == nil && isName:
		return h.outwardByName(ctx, rule, host, port)
	case l == nil:
		return h.farDirect(ctx, Elsewhere, addr)
	}
	if err := h.line.passable(); err != nil {
		return nil, err
	}
	ranges := []string{}
	for _, r := range rule.Ranges(port) {
		ranges = append(ranges, r.String())
	}
	conn, err := linkDial(ctx, l, h.spec.Target.Name, Elsewhere, addr, link.Beyond(ranges...))
	if reset := new(link.ResetError); errors.As(err, &reset) && reset.Code == link.ResetNotAllowed {
		return nil, errOwn
	}
	return conn, err
}

var errOwn = &socks.Error{Code: socks.NotAllowed, Text: "it is the host's own, and not allowed"}

// outwardByName is outward without a relay: the host looks the name up, and its
// SSH server is given the addresses that are allowed, one after the other.
func (h *holder) outwardByName(ctx context.Context, rule *socks.Rule, host string, port int) (net.Conn, error) {
	addrs, err := h.names.get(ctx, h, host)
	if err != nil {
		return nil, err
	}
	err = errOwn
	for _, a := range addrs {
		if !rule.Addr(a, port) {
			continue
		}
		var conn net.Conn
		if conn, err = h.farDirect(ctx, Elsewhere, netip.AddrPortFrom(a, uint16(port)).String()); err == nil || ctx.Err() != nil {
			return conn, err
		}
	}
	return nil, err
}

// nameTime is how long a host may take to look a name up.
const nameTime = 20 * time.Second

// names are the addresses that a host without a relay has found, for a moment: a
// page has many connections to one name.
type names struct {
	mu    sync.Mutex
	found map[string]*found
}

type found struct {
	done  chan struct{} // closed when the rest is known
	until time.Time
	addrs []netip.Addr
	err   error
}

func (n *names) get(ctx context.Context, h *holder, name string) ([]netip.Addr, error) {
	n.mu.Lock()
	f := n.found[name]
	if f == nil || f.isOld() {
		if n.found == nil || len(n.found) > 256 {
			n.found = map[string]*found{}
		}
		f = &found{done: make(chan struct{})}
		n.found[name] = f
		go f.look(h, name)
	}
	n.mu.Unlock()
	select {
	case <-f.done:
		return f.addrs, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (f *found) isOld() bool {
	select {
	case <-f.done:
		return time.Now().After(f.until)
	default:
		return false
	}
}

func (f *found) look(h *holder, name string) {
	ctx, cancel := context.WithTimeout(h.ctx, nameTime)
	defer cancel()
	defer close(f.done)
	f.addrs, f.err = h.lookUp(ctx, name)
	f.until = time.Now().Add(30 * time.Second)
	if f.err != nil {
		f.until = time.Now().Add(3 * time.Second)
	}
}

// lookUpText prints the addresses of $1 among other words; 69: there is nothing
// to ask.
const lookUpText = `if command -v getent >/dev/null 2>&1; then
	getent ahosts "$1" || getent hosts "$1" || :
elif command -v dscacheutil >/dev/null 2>&1; then
	dscacheutil -q host -a name "$1" || :
else
	exit 69
fi
`

// lookUp has the host itself look a name up, where there is no relay.
func (h *holder) lookUp(ctx context.Context, name string) ([]netip.Addr, error) {
	out, err := h.run(ctx, "set -- "+remote.Quote(name)+"\n"+lookUpText)
	if ended := new(remote.ScriptError); errors.As(err, &ended) && ended.Exit == 69 {
		err = errors.New("it has neither Python nor getent to look names up")
	}
	if err != nil {
		return nil, &Error{Text: "look up " + name + " on " + h.spec.Target.Name + ": " + err.Error(), ClassName: "missing"}
	}
	addrs := addressesIn(string(out))
	if len(addrs) == 0 {
		return nil, &Error{Text: "look up " + name + " on " + h.spec.Target.Name + ": it does not know the name", ClassName: "connect"}
	}
	return addrs, nil
}

// addressesIn are the different addresses among the words of a text, in order,
// the first eight.
func addressesIn(text string) []netip.Addr {
	var out []netip.Addr
	known := map[netip.Addr]bool{}
	for words := bufio.NewScanner(strings.NewReader(text)); words.Scan() && len(out) < 8; {
		for word := range strings.FieldsSeq(words.Text()) {
			if a, err := netip.ParseAddr(word); err == nil && !known[a] {
				known[a] = true
				out = append(out, a)
			}
		}
	}
	return out
}
