package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// explain says what an error of the attempt means to a person.
func (a *attempt) explain(err error) error {
	var hostKey *HostKeyError
	if errors.As(err, &hostKey) {
		return hostKey
	}
	var signIn *AuthError
	if errors.As(err, &signIn) {
		return signIn
	}
	var dial *DialError // of the engine openssh
	var usage *plainError
	if errors.As(err, &dial) && dial.Name == a.target.Name {
		return dial
	}
	if errors.As(err, &usage) && usage.class == classUsage {
		return usage
	}
	var missing *NotFoundError
	if errors.As(err, &missing) {
		return missing
	}
	e := &DialError{Name: a.target.Name, Address: a.target.Address(), Phase: a.reached(), Err: err}
	if a.target.Via != nil {
		e.Via = a.target.Via.Name
	}
	if context.Cause(a.ctx) == errTimeout {
		e.After, e.Err = a.clock.limit(), nil
		if p, ok := a.rawConn().(*pipeConn); ok {
			e.because = p.said()
		}
		return e
	}
	var silent *silentError
	if errors.As(err, &silent) {
		e.After, e.Err = silent.after, nil
		return e
	}
	var dns *net.DNSError
	if e.Phase == PhaseDial && errors.As(err, &dns) && dns.IsNotFound && a.target.Via == nil {
		return a.notFound()
	}
	if gateway := a.gatewayFailed(e); gateway != nil {
		return gateway
	}
	if e.Phase == PhaseSignIn {
		return a.auth.ended(err)
	}
	a.addCause(e)
	return e
}

// gatewayFailed is the error when it was not the target that could not be
// reached but the gateway that is gone.
func (a *attempt) gatewayFailed(e *DialError) error {
	var classed interface{ Class() string }
	if e.Via == "" || e.Phase != PhaseDial || !errors.As(e.Err, &classed) {
		return nil
	}
	switch classed.Class() {
	case classRefused, classConnect:
		return nil
	}
	return fmt.Errorf("connect to %s through %s: %w", e.Name, e.Via, e.Err)
}

func (a *attempt) rawConn() net.Conn {
	if a.conn == nil {
		return nil
	}
	return a.conn.Conn
}

// addCause looks for words of the peer, or of a ProxyCommand, about a failure.
func (a *attempt) addCause(e *DialError) {
	if p, ok := a.rawConn().(*pipeConn); ok {
		e.because = p.ended()
		return
	}
	// A reset may come so soon that it is the connect that fails.
	atOnce := e.Phase == PhaseDial && e.Via == "" && errors.Is(e.Err, syscall.ECONNRESET)
	e.dropped = atOnce || (e.Phase == PhaseGreeting || e.Phase == PhaseKex) && hungUp(e.Err)
	if e.Phase == PhaseGreeting && a.conn.said() != "" {
		said := a.conn.said()
		e.because = "it said " + show(said)
		why, known := dropWords[said]
		if e.dropped = e.dropped && known; known {
			e.because += ": " + why
		}
	} else if e.dropped && (atOnce || e.Phase == PhaseGreeting) {
		e.because = "too many connections at once (MaxStartups), or this address is not allowed"
	}
	var caused interface{ Cause() string }
	if e.because == "" && errors.As(e.Err, &caused) {
		e.because = oneLine(caused.Cause())
	}
}

// dropWords are what OpenSSH's server says before it drops a connection: up to
// 9.7, and later.
var dropWords = map[string]string{
	"Exceeded MaxStartups":     "too many connections at once",
	"Not allowed at this time": "too many connections at once (MaxStartups), or sign-ins that failed (PerSourcePenalties)",
}

// hungUp says that the other side ended a connection, however this system words
// that.
func hungUp(err error) bool {
	var broken *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) && !broken.Timeout()
}

// reached is the phase that the attempt is in.
func (a *attempt) reached() Phase {
	phase := *a.phase.Load()
	if phase == PhaseGreeting && a.conn != nil && a.conn.greeted.Load() {
		return PhaseKex
	}
	return phase
}

func (a *attempt) notFound() error { return NotFound(a.target) }

// NotFound is the error of a target whose address DNS does not know.
func NotFound(t *Target) *NotFoundError {
	n, err := parseName(t.Name)
	e := &NotFoundError{Name: t.Name, Host: t.Host, Config: t.configName(), ConfigFile: t.ConfigFile, InConfig: err != nil || n.host != t.Host}
	if !e.InConfig {
		e.Suggestion = suggest(n.host, t.ConfigFile)
	}
	return e
}

func bounded(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
