package kernel

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// joined are the two ends of a connection.
func joined(t *testing.T) (near, raw net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if raw, err = net.Dial("tcp", l.Addr().String()); err == nil {
		near, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	return near, raw
}

// heart is a peer of echo, greeted.
func heart(t *testing.T) (raw net.Conn, z *zmq4.Conn, ended <-chan struct{}) {
	t.Helper()
	near, raw := joined(t)
	done := make(chan struct{})
	go func() { defer close(done); defer near.Close(); echo(near) }()
	t.Cleanup(func() { raw.Close(); <-done })
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	z, err := zmq4.Open(raw, null.Security(), zmq4.Req, nil, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw, z, done
}

func TestEcho(t *testing.T) {
	_, z, _ := heart(t)
	for _, text := range []string{"ping", "", string(make([]byte, 60<<10))} {
		if err := z.SendMsg(zmq4.NewMsgFrom(nil, []byte(text))); err != nil {
			t.Fatal(err)
		}
		if m, err := z.RecvMsg(); err != nil || len(m.Frames) != 2 || string(m.Frames[1]) != text {
			t.Errorf("%v: %d frames", err, len(m.Frames))
		}
	}
}

// Who says that more is coming than there can be, or comes with another
// protocol, is let go, and takes no memory.
func TestEcho_Hostile(t *testing.T) {
	for name, head := range map[string][]byte{
		"1 EiB": {2, 0x10, 0, 0, 0, 0, 0, 0, 0}, "too many": {2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "1 MiB": {2, 0, 0, 0, 0, 0, 0x10, 0, 0},
	} {
		raw, _, done := heart(t)
		if _, err := raw.Write(head); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: it is still waited for", name)
		}
	}
	near, raw := joined(t)
	done := make(chan struct{})
	go func() { defer close(done); defer near.Close(); echo(near) }()
	go io.Copy(io.Discard, raw)
	raw.Write([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: something long enough to be a greeting\r\n\r\n"))
	raw.Close()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("a browser is still waited for")
	}
}
