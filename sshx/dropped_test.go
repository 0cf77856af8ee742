package sshx

import (
	"errors"
	"io"
	"net"
	"testing"
)

// A server that drops a connection before the sign-in is told from one that
// speaks something else, and from one that lets nobody in.
func TestN15_Dropped(t *testing.T) {
	noLeak(t)
	const why = "too many connections at once (MaxStartups), or "
	for name, c := range map[string]struct {
		serve   func(net.Conn)
		dropped bool
		cause   string
	}{
		"at once":      {func(net.Conn) {}, true, why + "this address is not allowed"},
		"reset":        {func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, true, why + "this address is not allowed"},
		"MaxStartup":   {say("Exceeded MaxStartups\r\n"), true, `it said "Exceeded MaxStartups": too many connections at once`},
		"penalty":      {say("Not allowed at this time\r\n"), true, `it said "Not allowed at this time": ` + why + "sign-ins that failed (PerSourcePenalties)"},
		"web":          {say("HTTP/1.1 400 Bad Request\r\n\r\n"), false, `it said "HTTP/1.1 400 Bad Request"`},
		"key exchange": {say("SSH-2.0-x\r\n"), true, ""},
	} {
		l := silent(t)
		go func() {
			if conn, err := l.Accept(); err == nil {
				c.serve(conn)
				conn.Close()
			}
		}()
		_, err := Connect(t.Context(), targetAt(t, l.Addr()), Options{})
		var dial *DialError
		if !errors.As(err, &dial) || dial.Dropped() != c.dropped || dial.Cause() != c.cause {
			t.Errorf("%s: %v (%q), dropped %v", name, err, dial.Cause(), dial.Dropped())
			continue
		}
		if want := "nbremote open gpu1 --wait"; c.dropped && dial.Hint() != want {
			t.Errorf("%s: %s", name, dial.Hint())
		}
	}
	s := startServer(t, func(s *server) { s.takePassword("x") })
	if _, err := try(t.Context(), s.target(t), Options{}); err == nil || errors.As(err, new(*DialError)) {
		t.Errorf("refused: %v", err)
	}
}

// say writes a text and waits until the client has closed its side, so that
// nothing is lost.
func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, text)
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
	}
}
