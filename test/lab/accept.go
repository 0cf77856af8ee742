package lab

import (
	"io"
	"net"
)

// Accept has each connection to a listener handled, beside the others, and then
// closed, until the listener is.
func Accept(ln interface{ Accept() (net.Conn, error) }, handle func(net.Conn)) {
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); handle(c) }()
		}
	}()
}

// Echo gives back what comes, to its end.
func Echo(c net.Conn) {
	io.Copy(c, c)
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
