package link

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
)

// Listener is a port or a unix socket of the host that leads here. It outlives
// every carrier.
type Listener struct {
	l    *Link
	told *Stream
	at   string
	ctx  context.Context // ends with Close
	end  context.CancelFunc
}

// Listen listens on the host: tcp on a port of 127.0.0.1, or unix on a path,
// which is from the home where it is not absolute and for the account alone. It
// waits while the line is down.
func (l *Link) Listen(ctx context.Context, network, at string) (*Listener, error) {
	o, err := parseAddress(network, at)
	if err != nil {
		return nil, err
	}
	o.kind = streamListen
	told, err := l.open(ctx, at, o, nil)
	if err != nil {
		return nil, err
	}
	n := &Listener{l: l, told: told, at: at}
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
func (n *Listener) Addr() net.Addr { return addr(n.at) }
