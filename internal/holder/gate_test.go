package holder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// pair is a TCP connection's two ends.
func pair(t *testing.T) (client, near *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); n.Close() })
	for _, x := range []net.Conn{c, n} {
		x.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return c.(*net.TCPConn), n.(*net.TCPConn)
}

var errGivenUp = errors.New("given up")

// Who is gone is not dialled for any more, though he has said something; what he
// has said is not lost to one who stays, and an end of it is no leaving at once.
func TestS3_WhoGivesUp(t *testing.T) {
	t.Parallel()
	untilGivenUp := func(ctx context.Context) (net.Conn, error) {
		select {
		case <-ctx.Done():
			return nil, errGivenUp
		case <-time.After(20 * time.Second):
			return nil, errors.New("dialled for one who is gone")
		}
	}
	for name, c := range map[string]struct {
		grace time.Duration
		do    func(c *net.TCPConn)
	}{
		"leaves":                {0, func(c *net.TCPConn) { c.Close() }},
		"asks and leaves":       {0, func(c *net.TCPConn) { io.WriteString(c, "GET /"); c.Close() }},
		"resets":                {time.Hour, func(c *net.TCPConn) { io.WriteString(c, "GET /"); c.SetLinger(0); c.Close() }},
		"says all, stays a bit": {100 * time.Millisecond, func(c *net.TCPConn) { io.WriteString(c, "GET /"); c.CloseWrite() }},
	} {
		client, near := pair(t)
		go c.do(client)
		if _, err := whilePresent(near, bufio.NewReader(near), c.grace, untilGivenUp); err != errGivenUp {
			t.Errorf("%s: %v", name, err)
		}
	}
	client, near := pair(t)
	io.WriteString(client, "all")
	client.CloseWrite()
	r := bufio.NewReader(near)
	_, err := whilePresent(near, r, time.Hour, func(ctx context.Context) (net.Conn, error) {
		select {
		case <-time.After(100 * time.Millisecond): // in which the end arrives
		case <-ctx.Done():
		}
		return near, ctx.Err()
	})
	if b, rerr := io.ReadAll(r); err != nil || rerr != nil || string(b) != "all" {
		t.Errorf("%q, %v, %v", b, err, rerr)
	}
}

// An end is passed on as an end, and what breaks as broken, either way.
func TestJoin_HalfIsNotAll(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		client, near := pair(t)
		far, server := pair(t)
		go join(near, bufio.NewReader(near), far)
		io.WriteString(server, "half")
		got := make([]byte, 4)
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
		if broken {
			server.SetLinger(0)
			server.Close()
		} else {
			server.CloseWrite()
		}
		if _, err := io.ReadAll(client); (err != nil) != broken {
			t.Errorf("broken %v: %v", broken, err)
		}
		if broken {
			continue
		}
		io.WriteString(client, "more")
		client.CloseWrite()
		if b, err := io.ReadAll(server); err != nil || string(b) != "more" {
			t.Errorf("%q, %v", b, err)
		}
	}
	client, near := pair(t)
	far, server := pair(t)
	go join(near, bufio.NewReader(near), far)
	client.SetLinger(0)
	client.Close()
	if _, err := io.ReadAll(server); err != nil && !errors.Is(err, io.EOF) {
		t.Log(err)
	}
}

// A gate takes so many at once, and takes all down with itself.
func TestS3_GateIsBounded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := openGate(l, func(near net.Conn, r *bufio.Reader) {
		near.Write([]byte("x"))
		io.Copy(io.Discard, r)
	})
	open := func() (net.Conn, error) {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = io.ReadFull(c, make([]byte, 1))
		return c, err
	}
	var last net.Conn
	for i := range maxThrough {
		if last, err = open(); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := open(); err == nil {
		t.Error("one too many was taken")
	}
	if n := g.count(); n != maxThrough {
		t.Errorf("%d are open", n)
	}
	g.close()
	if _, err := io.ReadAll(last); err != nil && errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if n := g.count(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestAddressesIn(t *testing.T) {
	text := "10.0.0.1        STREAM my-host\n10.0.0.1        DGRAM\nfd00::1 my-host other\nname: x\nip_address: 10.0.0.2\nfe80::1%eth0 STREAM\n"
	if got := fmt.Sprint(addressesIn(text)); got != "[10.0.0.1 fd00::1 10.0.0.2 fe80::1%eth0]" {
		t.Error(got)
	}
}
