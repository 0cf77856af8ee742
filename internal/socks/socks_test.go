package socks

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// dialer is where a server of the tests connects to.
type dialer func(host string, port int) (net.Conn, error)

// started answers clients and gives a way to connect to it.
func started(t *testing.T, limit time.Duration, dial dialer) (connect func() *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go serve(near, limit, dial)
		}
	}()
	return func() *net.TCPConn {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c.(*net.TCPConn)
	}
}

func serve(near net.Conn, limit time.Duration, dial dialer) {
	defer near.Close()
	r := bufio.NewReader(near)
	q, err := Read(near, r, limit)
	if err != nil {
		return
	}
	far, err := dial(q.Host, q.Port)
	if q.Answer(near, err) != nil {
		return
	}
	defer far.Close()
	go io.Copy(far, r)
	io.Copy(near, far)
}

// echo answers with what was asked for, then with what it gets.
func echo(host string, port int) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		fmt.Fprintf(far, "%s %d\n", host, port)
		io.Copy(far, far)
	}()
	return near, nil
}

const greet5 = "\x05\x01\x00"

func TestServer_Requests(t *testing.T) {
	t.Parallel()
	connect := started(t, 10*time.Second, echo)
	for _, c := range []struct{ name, send, answer string }{
		{"name", greet5 + "\x05\x01\x00\x03\x07my-host\x1f\x90", "\x05\x00" + granted + "my-host 8080\n"},
		{"IPv4", greet5 + "\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50", "\x05\x00" + granted + "10.0.0.1 80\n"},
		{"IPv6", greet5 + "\x05\x01\x00\x04\xfd" + strings.Repeat("\x00", 14) + "\x01\x00\x50", "\x05\x00" + granted + "fd00::1 80\n"},
		{"two ways to sign in", "\x05\x02\x02\x00" + "\x05\x01\x00\x03\x01a\x00\x50", "\x05\x00" + granted + "a 80\n"},
		{"SOCKS4", "\x04\x01\x00\x50\x0a\x00\x00\x01me\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00" + "10.0.0.1 80\n"},
		{"SOCKS4a", "\x04\x01\x00\x50\x00\x00\x00\x01\x00my_host.internal\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00" + "my_host.internal 80\n"},
	} {
		conn := connect()
		// What comes before the answer is not lost, be it in one packet.
		if _, err := io.WriteString(conn, c.send+"early"); err != nil {
			t.Fatal(err)
		}
		want := c.answer + "early"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, want)
		}
		conn.Close()
	}
}

const granted = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"

func refused(code byte) string {
	return "\x05" + string([]byte{code}) + "\x00\x01\x00\x00\x00\x00\x00\x00"
}

func TestS6_OtherCommands(t *testing.T) {
	t.Parallel()
	var dials atomic.Int32
	connect := started(t, 10*time.Second, func(host string, port int) (net.Conn, error) {
		dials.Add(1)
		switch host {
		case "own":
			return nil, fmt.Errorf("dial: %w", &Error{NotAllowed, "no"})
		default:
			return nil, errors.New("no such host")
		}
	})
	for name, c := range map[string]struct{ send, answer string }{
		"BIND":            {greet5 + "\x05\x02\x00\x03\x01a\x00\x50", "\x05\x00" + refused(7)},
		"UDP ASSOCIATE":   {greet5 + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x00" + refused(7)},
		"address kind 9":  {greet5 + "\x05\x01\x00\x09", "\x05\x00" + refused(8)},
		"password only":   {"\x05\x01\x02", "\x05\xff"},
		"no method":       {"\x05\x00", "\x05\xff"},
		"port 0":          {greet5 + "\x05\x01\x00\x03\x01a\x00\x00", "\x05\x00" + refused(1)},
		"no name":         {greet5 + "\x05\x01\x00\x03\x00\x00\x50", "\x05\x00" + refused(1)},
		"a name of shell": {greet5 + "\x05\x01\x00\x03\x05$(id)\x00\x50", "\x05\x00" + refused(1)},
		"a NUL":           {greet5 + "\x05\x01\x00\x03\x03a\x00b\x00\x50", "\x05\x00" + refused(1)},
		"SOCKS4 BIND":     {"\x04\x02\x00\x50\x0a\x00\x00\x01\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00"},
	} {
		if got := answer(t, connect(), c.send); got != c.answer {
			t.Errorf("%s: %q, want %q", name, got, c.answer)
		}
	}
	if n := dials.Load(); n != 0 {
		t.Errorf("%d dials", n)
	}
	if got := answer(t, connect(), greet5+"\x05\x01\x00\x03\x03own\x00\x50"); got != "\x05\x00"+refused(2) {
		t.Errorf("not allowed: %q", got)
	}
	if got := answer(t, connect(), greet5+"\x05\x01\x00\x03\x04none\x00\x50"); got != "\x05\x00"+refused(4) {
		t.Errorf("not reached: %q", got)
	}
}

func answer(t *testing.T, c *net.TCPConn, send string) string {
	t.Helper()
	io.WriteString(c, send)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%q: %v", send, err)
	}
	return string(got)
}

// What is no SOCKS gets no answer and no connection, and who says nothing is not
// waited for.
func TestS3_NoSOCKS(t *testing.T) {
	t.Parallel()
	connect := started(t, 300*time.Millisecond, func(host string, _ int) (net.Conn, error) {
		t.Errorf("dialled %s", host)
		return nil, errors.New("no")
	})
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "\x16\x03\x01", "\x00", "\x05\x01\x00\x04\x01\x00\x03"} {
		c := connect()
		io.WriteString(c, text)
		if got, _ := io.ReadAll(c); len(got) > 0 && (text[0] != 5 || string(got) != "\x05\x00") {
			t.Errorf("%q: got %q", text, got)
		}
	}
	for _, begin := range []string{"", "\x05", greet5 + "\x05\x01\x00\x03\x09ab", "\x04\x01\x00"} {
		c, began := connect(), time.Now()
		io.WriteString(c, begin)
		io.ReadAll(c)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q: ended after %v", begin, took)
		}
	}
}

func TestS2_OwnAddresses(t *testing.T) {
	for text, own := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "0.0.0.0": true, "0.1.2.3": true, "169.254.169.254": true, "::": true, "::1": true,
		"::ffff:127.0.0.1": true, "::ffff:169.254.1.1": true, "::ffff:0.0.0.0": true, "::127.0.0.1": true, "fe80::1": true, "febf::1%eth0": true,
		"10.0.0.1": false, "169.253.0.1": false, "1.1.1.1": false, "::ffff:10.0.0.1": false, "fd00::1": false, "2001:db8::1": false, "fec0::1": false,
	} {
		if IsOwn(netip.MustParseAddr(text)) != own {
			t.Errorf("%s: %v", text, !own)
		}
	}
	r, err := ParseRule([]string{"localhost:5432", "127.0.0.1:8080", "[::1]", "*.internal"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		port int
		ok   bool
	}{
		{"localhost", 5432, true}, {"LOCALHOST.", 5432, true}, {"localhost", 80, false}, {"db.internal", 80, true}, {"internal", 80, false},
		{"127.0.0.1", 8080, true}, {"127.0.0.1", 80, false}, {"127.0.0.2", 8080, false}, {"::1", 1, true}, {"::ffff:127.0.0.1", 8080, true}, {"10.0.0.1", 1, true},
	} {
		addr, err := netip.ParseAddr(c.host)
		if got := err != nil && r.Name(c.host, c.port) || err == nil && r.Addr(addr, c.port); got != c.ok {
			t.Errorf("%s:%d: %v", c.host, c.port, got)
		}
	}
	for _, wrong := range []string{"", "a b", "localhost:0", "localhost:x", "*.", "*x", "10.0.0.0/40", "::ffff:1.2.3.4/120", `");evil("`} {
		if _, err := ParseRule([]string{wrong}); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// Whatever comes, what is passed on is a host and a port, and what is answered
// is SOCKS.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		greet5 + "\x05\x01\x00\x03\x07my-host\x1f\x90", greet5 + "\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50",
		"\x04\x01\x00\x50\x00\x00\x00\x01\x00my_host\x00", "GET / HTTP/1.1\r\n", greet5 + "\x05\x03\x00\x04",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var said bytes.Buffer
		q, err := readRequest(bufio.NewReader(bytes.NewReader(b)), &said)
		if err != nil {
			q.refuse(&said, err)
		} else if !IsHost(q.Host) || q.Port < 1 || q.Port > 65535 {
			t.Errorf("%q: %+v", b, q)
		}
		if out := said.Bytes(); len(out) > 0 && (b[0] == 5 && out[0] != 5 || b[0] == 4 && out[0] != 0 || b[0] != 4 && b[0] != 5) {
			t.Errorf("%q: said %q", b, out)
		}
	})
}
