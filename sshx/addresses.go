package sshx

import (
	"context"
	"net"
	"strconv"
	"time"
)

// addressSpace is how long one of several addresses is waited for before the
// next is tried beside it.
const addressSpace = 500 * time.Millisecond

// dialHost connects to the first of a host's addresses that answers. The next is
// begun beside those that are silent, as in RFC 8305: a dead one costs half a
// second, not all the time that there is.
func dialHost(ctx context.Context, host string, port int) (net.Conn, error) {
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, ip := range bothKinds(found) {
		addrs = append(addrs, net.JoinHostPort(ip.String(), strconv.Itoa(port)))
	}
	return dialEach(ctx, addrs)
}

// bothKinds has IPv6 and IPv4 take turns, each in the resolver's order.
func bothKinds(all []net.IPAddr) []net.IPAddr {
	var kinds [2][]net.IPAddr // of the first, the other
	for _, ip := range all {
		other := 0
		if (ip.IP.To4() == nil) != (all[0].IP.To4() == nil) {
			other = 1
		}
		kinds[other] = append(kinds[other], ip)
	}
	mixed := make([]net.IPAddr, 0, len(all))
	for i := range all {
		for _, kind := range kinds {
			if i < len(kind) {
				mixed = append(mixed, kind[i])
			}
		}
	}
	return mixed
}

func dialEach(ctx context.Context, addrs []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, len(addrs))
	begun, running := 0, 0
	begin := func() {
		addr := addrs[begun]
		begun, running = begun+1, running+1
		go func() {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", addr)
			results <- result{conn, err}
		}()
	}
	begin()
	next := time.NewTicker(addressSpace)
	defer next.Stop()
	for {
		select {
		case <-next.C:
			if begun < len(addrs) {
				begin()
			}
		case r := <-results:
			running--
			switch {
			case r.err == nil:
				go func(n int) {
					for range n {
						if late := <-results; late.conn != nil {
							late.conn.Close()
						}
					}
				}(running)
				return r.conn, nil
			case begun < len(addrs):
				begin()
				next.Reset(addressSpace)
			case running == 0:
				return nil, r.err
			}
		}
	}
}
