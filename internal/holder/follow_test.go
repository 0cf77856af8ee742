package holder

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// What a host says is taken for a port or for nothing.
func TestD3_FollowedPorts(t *testing.T) {
	for line, want := range map[string]string{
		"":                              "[]",
		"8000=python3 8787=":            "[{8000 python3} {8787 }]",
		"80=a 1023=a 0=a -5=a 65536=a":  "[]",
		"8000=a 8000=b 8001":            "[{8000 a} {8001 }]",
		"x=y =8000 8000.5=a \x00 8e3=a": "[]",
		"8000=" + strings.Repeat("a", 4000) + " 99999999999999999999=a": "[]",
	} {
		if got := fmt.Sprint(parsePorts(line)); got != want {
			t.Errorf("%.40q: %s, want %s", line, got, want)
		}
	}
}

// Whatever a host says: twenty ports here at most, all on 127.0.0.1, none that
// somebody has, also on ::1, and none that is a session's own.
func TestB1_FollowedPorts(t *testing.T) {
	h := newPagesOf(t, newPlace(t), "gpu1").h
	base := freePorts(t, 40)
	h.memory.setPort("main", base)
	taken := take(t, base+1)
	if six, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", base+1)); err == nil { // there is IPv6
		taken.Close()
		taken = six
	}
	defer taken.Close()
	own, err := h.tunnels.add(t.Context(), TunnelSpec{Kind: Forward, Network: Elsewhere, Addr: "box:80", Port: base + 2})
	if err != nil {
		t.Fatal(err)
	}
	debugged, err := h.tunnels.add(t.Context(), TunnelSpec{Kind: Forward, Network: Elsewhere, Addr: fmt.Sprintf("127.0.0.1:%d", base+5), Port: base + 39})
	if err != nil {
		t.Fatal(err)
	}
	var told []farPort
	for i := range 30 {
		told = append(told, farPort{base + i, "p"})
	}
	f := h.follow
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(context.Background(), told)
	got := map[int]string{}
	for _, x := range h.tunnels.list() {
		got[x.Port] = x.Addr
	}
	if len(got) != maxFollowed+2 {
		t.Errorf("%d ports: %v", len(got), got)
	}
	if got[own.Port] != "box:80" || got[base+5] == fmt.Sprintf("localhost:%d", base+5) || got[debugged.Port] != debugged.Addr || got[base] != "" || got[base+1] != "" || got[base+3] != fmt.Sprintf("localhost:%d", base) {
		t.Errorf("they are %v", got)
	}
	f.take(context.Background(), told[:1])
	if all := h.tunnels.list(); len(all) != 3 || !slices.ContainsFunc(all, func(x Tunnel) bool { return x.Followed && x.Moved == base && x.Port == base+3 }) {
		t.Errorf("with one left: %+v", all)
	}
	f.take(context.Background(), nil)
	h.tunnels.close()
}

// freePorts is the first of n ports in a row on which nobody listens.
func freePorts(t *testing.T, n int) int {
	t.Helper()
next:
	for base := 20000; base < 30000; base += n {
		for port := base; port < base+n; port++ {
			l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return base
	}
	t.Fatal("no free ports")
	return 0
}
