package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// Listener is a port of the host that leads here. It outlives every carrier.
type Listener struct {
	l    *Link
	told *Stream
	port int
	ctx  context.Context // ends with Close
	end  context.CancelFunc
}

// Listen listens on a port of 127.0.0.1 on the host. It waits while the line is
// down.
func (l *Link) Listen(ctx context.Context, port int) (*Listener, error) {
	at := fmt.Sprintf("127.0.0.1:%d", port)
	told, err := l.open(ctx, at, opening{kind: streamListen, fields: []field{{tagHost, "127.0.0.1"}, {tagPort, strconv.Itoa(port)}}}, nil)
	if err != nil {
		return nil, err
	}
	n := &Listener{l: l, told: told, port: port}
	n.ctx, n.end = context.WithCancel(context.Background())
	return n, nil
}

// Accept gives the next connection, one whose client is still there. Any error
// is the end.
func (n *Listener) Accept() (net.Conn, error) {
	for {
		var number [8]byte
		if _, err := io.ReadFull(n.told, number[:]); err != nil {
			return nil, err
		}
		s, err := n.l.open(n.ctx, n.Addr().String(), opening{kind: streamAccept, fields: []field{{tagNumber, strconv.FormatUint(binary.BigEndian.Uint64(number[:]), 10)}}}, nil)
		if err == nil {
			return s, nil
		}
		if reset := new(ResetError); !errors.As(err, &reset) || reset.Code != ResetRefused {
			return nil, err
		}
	}
}

// Close ends listening; what was accepted goes on.
func (n *Listener) Close() error {
	n.end()
	return n.told.Close()
}

// Addr is the address on the host.
func (n *Listener) Addr() net.Addr { return addr(fmt.Sprintf("127.0.0.1:%d", n.port)) }
