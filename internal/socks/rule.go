package socks

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Pattern is a name, all names below one (*.internal), all hosts (*), or a range
// of addresses.
type Pattern struct {
	name string // lower case; with a leading dot: all names below
	all  bool
	net  netip.Prefix
}

// ParsePattern reads a pattern: my-host, *.internal, 10.0.0.0/8, 10.1.2.3 or *.
func ParsePattern(s string) (Pattern, error) {
	if s == "*" {
		return Pattern{all: true}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Addr().Is4In6() {
			return Pattern{}, fmt.Errorf("%q: write the range as one of IPv4", s)
		}
		return Pattern{net: p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return Pattern{net: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	name, below := strings.CutPrefix(s, "*.")
	if name = strings.TrimSuffix(strings.ToLower(name), "."); !IsHost(name) {
		return Pattern{}, fmt.Errorf("%q is no name, *.name, address or range of addresses", s)
	}
	if below {
		name = "." + name
	}
	return Pattern{name: name}, nil
}

// hasName says whether a name is one of the pattern's.
func (p Pattern) hasName(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	switch {
	case p.all || p.name == "":
		return p.all
	case p.name[0] == '.':
		return strings.HasSuffix(name, p.name)
	}
	return name == p.name
}

// Rule says what may be reached though it is the far machine's own.
type Rule struct{ allowed []exception }

// exception is a pattern and a port, 0 = all.
type exception struct {
	Pattern
	port int
}

// ParseRule reads a list of patterns, each with or without a port: localhost,
// 127.0.0.1:5432, [::1]:80, *.internal.
func ParseRule(allow []string) (*Rule, error) {
	r := &Rule{}
	for _, text := range allow {
		e, host := exception{}, text
		if h, port, err := net.SplitHostPort(text); err == nil {
			n, err := strconv.Atoi(port)
			if err != nil || n < 1 || n > 65535 {
				return nil, fmt.Errorf("%q: no port", text)
			}
			host, e.port = h, n
		}
		var err error
		if e.Pattern, err = ParsePattern(strings.Trim(host, "[]")); err != nil {
			return nil, err
		}
		r.allowed = append(r.allowed, e)
	}
	return r, nil
}

// Name says whether a host is allowed by its name, whatever that leads to.
func (r *Rule) Name(host string, port int) bool {
	for _, e := range r.allowed {
		if (e.port == 0 || e.port == port) && e.hasName(host) {
			return true
		}
	}
	return false
}

// Addr says whether an address may be reached: it is not the far machine's own,
// or it is allowed.
func (r *Rule) Addr(addr netip.Addr, port int) bool {
	if !IsOwn(addr) {
		return true
	}
	for _, p := range r.Ranges(port) {
		if p.Contains(addr.Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// Ranges are the addresses that are allowed at a port.
func (r *Rule) Ranges(port int) []netip.Prefix {
	var out []netip.Prefix
	for _, e := range r.allowed {
		if (e.port == 0 || e.port == port) && e.net.IsValid() {
			out = append(out, e.net)
		}
	}
	return out
}

// IsOwn says whether an address is a machine's own (loopback, 0.0.0.0, ::) or
// its cable's (link-local), in whatever form.
func IsOwn(addr netip.Addr) bool {
	b := addr.As16()
	if compatible := [12]byte(b[:12]) == [12]byte{}; compatible {
		addr = netip.AddrFrom4([4]byte(b[12:])) // :: and ::1 among them
	}
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.Is4() && addr.As4()[0] == 0
}
