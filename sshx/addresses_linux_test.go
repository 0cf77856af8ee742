package sshx

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"
)

// Silent addresses cost half a second each, refused ones nothing, and what comes
// too late is closed.
func TestN22_OneOfTenAddressesLives(t *testing.T) {
	noLeak(t)
	silentDoor, _ := fullDoor(t)
	refused := net.JoinHostPort("127.0.0.1", "1")
	living := silent(t).Addr().String()
	addrs := slices.Repeat([]string{silentDoor.Addr().String(), refused}, 4)
	began := time.Now()
	c, err := dialEach(t.Context(), append(addrs, refused, living))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if took := time.Since(began); took > 6*time.Second || c.RemoteAddr().String() != living {
		t.Errorf("%s after %v", c.RemoteAddr(), took)
	}
	if _, err := dialEach(t.Context(), []string{refused, refused}); err == nil || !saysRefused(err) {
		t.Errorf("none lives: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := dialEach(ctx, addrs); err == nil {
		t.Error("silent ones only, and no error")
	}
}

func TestBothKinds(t *testing.T) {
	var all []net.IPAddr
	for _, text := range []string{"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		all = append(all, net.IPAddr{IP: net.ParseIP(text)})
	}
	var got []string
	for _, ip := range bothKinds(all) {
		got = append(got, ip.String())
	}
	if want := []string{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"}; !slices.Equal(got, want) {
		t.Error(got)
	}
}
