package lab

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// network is the lab's wiring: a machine without accounts whose bridges are
// the segments. Each machine hangs on a segment by a veth pair.
type network struct {
	*Machine
	ports   int
	members []*Machine
}

// link is one network card of a machine: its port on the network's side, and
// where that is plugged in.
type link struct {
	net     *network
	card    string
	port    string
	segment int
	addr    string
	mac     string
	wire    *Wire
}

func newNetwork(t testing.TB, segments int) *network {
	t.Helper()
	n := &network{Machine: newMachine(t, "network")}
	n.Sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
	for s := range segments {
		n.ip("link add %s type bridge", bridge(s))
		n.ip("link set %s up", bridge(s))
	}
	return n
}

func bridge(segment int) string { return fmt.Sprintf("seg%d", segment) }

// Address is a machine's place on a segment.
func address(segment, place int) string { return fmt.Sprintf("10.77.%d.%d", segment, place) }

// ip runs one ip command in the machine's network. It runs with this
// process's view of processes, so that "netns PID" means what we know.
func (m *Machine) ip(format string, args ...any) {
	m.t.Helper()
	line := fmt.Sprintf(format, args...)
	cmd := exec.Command("/usr/bin/env", append([]string{"ip"}, strings.Fields(line)...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	err := m.within(cmd.Start, "net")
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		m.t.Fatalf("on %s: ip %s: %v: %s", m.Name, line, err, trouble.String())
	}
}

// connect gives a machine a card on a segment with the address of a place.
func (n *network) connect(m *Machine, segment, place int) {
	n.t.Helper()
	n.ports++
	l := link{net: n, card: fmt.Sprintf("eth%d", len(m.links)), port: fmt.Sprintf("p%d", n.ports),
		segment: segment, addr: address(segment, place), mac: fmt.Sprintf("02:00:00:00:00:%02x", n.ports)}
	n.ip("link add %s type veth peer name %s address %s netns %d", l.port, l.card, l.mac, m.pid)
	n.ip("link set %s master %s up", l.port, bridge(segment))
	m.ip("address add %s/24 dev %s", l.addr, l.card)
	m.ip("link set %s up", l.card)
	m.links = append(m.links, l)
	m.Addr = l.addr
	n.introduce(m, l)
	n.members = append(n.members, m)
}

// introduce tells the machines of a segment of a new neighbour, and it of them,
// for good. Nobody has to ask who has an address, so a cut is as silent as one
// far away: packets are lost and no kernel says "no route to host".
func (n *network) introduce(m *Machine, l link) {
	n.t.Helper()
	for _, other := range n.members {
		for _, o := range other.links {
			if o.segment == l.segment && o.port != l.port {
				other.ip("neighbour replace %s lladdr %s dev %s nud permanent", l.addr, l.mac, o.card)
				m.ip("neighbour replace %s lladdr %s dev %s nud permanent", o.addr, o.mac, l.card)
			}
		}
	}
}

// Cut takes the machine off every network, silently: nobody is told, and what
// it sends is lost.
func (m *Machine) Cut() {
	m.t.Helper()
	for _, l := range m.links {
		if l.wire != nil {
			l.wire.Cut(true)
			continue
		}
		l.net.ip("link set %s nomaster", l.port)
	}
}

// Mend ends a Cut.
func (m *Machine) Mend() {
	m.t.Helper()
	for _, l := range m.links {
		if l.wire != nil {
			l.wire.Cut(false)
			continue
		}
		l.net.ip("link set %s master %s", l.port, bridge(l.segment))
	}
}

// Delay makes everything to and from the machine's first card take d longer
// each way. The first call puts a wire in.
func (m *Machine) Delay(d time.Duration) {
	m.t.Helper()
	m.wire().SetDelay(d)
}

// Spoil makes the machine's first card one on a bad line: of a thousand packets
// so many are lost each way, and so many bits a second pass, 0 for no limit. What
// was connected before the first call is told of larger packets than there are.
func (m *Machine) Spoil(loss, bits int) {
	m.t.Helper()
	w, l := m.wire(), m.links[0]
	for _, other := range l.net.members {
		for _, o := range other.links {
			if o.segment == l.segment { // a frame is to be one packet
				other.ip("link set %s gso_max_segs 1", o.card)
			}
		}
	}
	w.SetLoss(loss)
	w.SetRate(bits)
}

// MTU sets how much one packet of the machine's first card may hold, on both of
// its ends. With that of a loopback, 65536 less one, small messages are all in
// one packet that is not full.
func (m *Machine) MTU(bytes int) {
	m.t.Helper()
	l := &m.links[0]
	m.ip("link set %s mtu %d", l.card, bytes)
	l.net.ip("link set %s mtu %d", l.port, bytes)
}

// Stall lets nothing pass the machine's first card for d: it comes after that.
func (m *Machine) Stall(d time.Duration) {
	m.t.Helper()
	m.wire().Stall(d)
}

func (m *Machine) wire() *Wire {
	m.t.Helper()
	l := &m.links[0]
	if l.wire == nil {
		near, far := l.port+"w", l.port+"x"
		l.net.ip("link add %s type veth peer name %s", near, far)
		l.net.ip("link set %s nomaster", l.port)
		l.net.ip("link set %s master %s up", far, bridge(l.segment))
		l.net.ip("link set %s up", near)
		w, err := newWire(l.net.Machine, l.port, near)
		must(m.t, err, "put a wire into %s", m.Name)
		m.t.Cleanup(w.Close)
		l.wire = w
	}
	return l.wire
}

// Roam gives the machine's first card another address; what was connected
// from the old one is left hanging.
func (m *Machine) Roam(place int) {
	m.t.Helper()
	l := &m.links[0]
	m.ip("address del %s/24 dev %s", l.addr, l.card)
	m.ip("address add %s/24 dev %s", address(l.segment, place), l.card)
	l.addr = address(l.segment, place)
	m.Addr = l.addr
	l.net.introduce(m, *l)
}
