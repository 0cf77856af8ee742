// Package socks is the server's half of SOCKS5 (RFC 1928, without a password),
// SOCKS4 and SOCKS4a, for connections outwards (CONNECT) alone; the rule of what
// may be reached; and the script that tells a browser what to send there (PAC).
// It connects to nothing and resolves no name: that is its caller's business.
package socks

import (
	"bufio"
	"net"
	"time"
)

// answerTime is how long a client may take to read an answer of ten bytes.
const answerTime = 10 * time.Second

// Read reads what a client wants from r, the reader of near, and answers what is
// not granted. What is no SOCKS gets no answer. It takes at most limit.
func Read(near net.Conn, r *bufio.Reader, limit time.Duration) (*Request, error) {
	near.SetDeadline(time.Now().Add(limit))
	q, err := readRequest(r, near)
	if err != nil {
		q.refuse(near, err)
		return nil, err
	}
	return &q, near.SetDeadline(time.Time{})
}

// Answer tells the client that it is connected or, by err, that it is not. An
// error with a method SOCKS() Code says in which words.
func (q *Request) Answer(near net.Conn, err error) error {
	near.SetWriteDeadline(time.Now().Add(answerTime))
	if err != nil {
		q.refuse(near, err)
		return err
	}
	if _, err := near.Write(q.reply(Granted)); err != nil {
		return err
	}
	return near.SetWriteDeadline(time.Time{})
}
