//go:build unix

package link

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"nbremote/test/lab"
)

// A host's own addresses are refused where their names are looked up, however
// they are written; but for those that are allowed.
func TestS2_BeyondTheHost(t *testing.T) {
	t.Parallel()
	l := newLink(t, Config{Carrier: startRelay(t).open})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lab.Accept(ln, func(c net.Conn) { io.WriteString(c, "own") })
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{
		"localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0",
		"::127.0.0.1", "169.254.169.254", "::ffff:a9fe:a9fe", "fe80::1", "fe80::1%lo", "ip6-localhost.", "localhost.",
	} {
		_, err := l.Dial(context10(t), "tcp", net.JoinHostPort(host, port), Beyond("10.0.0.0/8", "::2/128"))
		var reset *ResetError
		known := !(host == "ip6-localhost." || host == "fe80::1%lo" || host == "localhost.") // that depends on the system
		if !errors.As(err, &reset) || known && reset.Code != ResetNotAllowed {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"127.0.0.1", "127.1", "localhost", "::ffff:127.0.0.1"} {
		s := dial(t, l, "tcp", net.JoinHostPort(host, port), Beyond("127.0.0.0/8", "::1/128"))
		if b, err := io.ReadAll(s); err != nil || string(b) != "own" {
			t.Errorf("%s, allowed: %q, %v", host, b, err)
		}
	}
	_, err = l.Dial(context10(t), "tcp", "10.0.0.1:1", Beyond("nonsense"))
	if reset := new(ResetError); !errors.As(err, &reset) || reset.Code != ResetRefused {
		t.Errorf("a range that is none: %v", err)
	}
}

// More names at once than are looked up at once wait for their turn.
func TestDial_ManyNames(t *testing.T) {
	t.Parallel()
	l := newLink(t, Config{Carrier: startRelay(t).open})
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			_, err := l.Dial(context10(t), "tcp", "127.1:1", Beyond())
			if reset := new(ResetError); !errors.As(err, &reset) || reset.Code != ResetNotAllowed {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
