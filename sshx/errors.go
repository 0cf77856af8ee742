package sshx

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// The error classes of this package, as cli maps them to exit codes.
const (
	classUsage    = "usage"
	classNotFound = "not-found"
	classSignIn   = "sign-in"
	classConnect  = "connect"
	classHostKey  = "host-key"
	classRefused  = "refused"
	classLine     = "line"
)

type plainError struct{ text, class, cause, hint string }

func (e *plainError) Error() string { return e.text }
func (e *plainError) Class() string { return e.class }
func (e *plainError) Cause() string { return e.cause }
func (e *plainError) Hint() string  { return e.hint }

func usagef(hint, format string, args ...any) error {
	return &plainError{text: fmt.Sprintf(format, args...), class: classUsage, hint: hint}
}

// ErrNobodyToAsk says that a question had to be asked and nobody could be.
var ErrNobodyToAsk error = &plainError{text: "nobody can be asked", class: classSignIn}

// NotFoundError says that a name is neither in the ssh_config nor in DNS.
type NotFoundError struct {
	Name       string
	Host       string // what DNS was asked for
	Config     string // the ssh_config, as messages name it
	ConfigFile string // "" is the user's own
	InConfig   bool   // the ssh_config turns Name into Host
	Suggestion string // the nearest Host of the ssh_config, or ""
}

func (e *NotFoundError) Error() string {
	if e.InConfig {
		return fmt.Sprintf("find %s: DNS does not know %s", e.Name, e.Host)
	}
	return fmt.Sprintf("find %s: not in %s, and DNS does not know it", e.Name, e.Config)
}

// Class is not-found.
func (e *NotFoundError) Class() string { return classNotFound }

// Cause is empty: the text says it all.
func (e *NotFoundError) Cause() string { return "" }

// Hint is a command with the nearest name that there is.
func (e *NotFoundError) Hint() string {
	switch {
	case e.Suggestion != "" && e.ConfigFile != "":
		return "nbremote open " + e.Suggestion + " --ssh-config " + quoteWord(e.ConfigFile)
	case e.Suggestion != "":
		return "nbremote open " + e.Suggestion
	case e.InConfig:
		return "ssh " + e.Name + "; a VPN off?"
	}
	return ""
}

// Phase is how far a connection had come.
type Phase string

// The phases of a connection, in order.
const (
	PhaseDial     Phase = "dial"         // TCP, ProxyCommand or the way through the gateway
	PhaseGreeting Phase = "greeting"     // the version line
	PhaseKex      Phase = "key exchange" // up to the host key
	PhaseSignIn   Phase = "sign-in"
	PhaseChannel  Phase = "channel open"
)

// DialError says that no connection came to be, and in which phase it stuck.
type DialError struct {
	Name    string
	Address string
	Via     string // the gateway it was tried from; that one is fine
	Phase   Phase
	After   time.Duration // nothing came for so long; 0: it failed at once
	Err     error         // what failed; nil when After says it
	because string        // one line about it, from elsewhere
	dropped bool
}

// Dropped says that the server ended the connection before anybody could sign
// in, as one does that has too many of them, or that refuses this address for
// a while. A later try may do.
func (e *DialError) Dropped() bool { return e.dropped }

func (e *DialError) Error() string {
	text := "connect to " + e.Name + ": "
	if e.Via != "" && saysForbidden(e.Err) {
		return text + e.Via + " forbids connections to " + e.Address
	}
	if e.Via != "" && (e.Phase == PhaseDial || e.Phase == PhaseGreeting) {
		text += e.Via + " is fine; from there "
	}
	return text + e.what()
}

func (e *DialError) what() string {
	if e.After > 0 {
		return e.silence()
	}
	var weak *ssh.AlgorithmNegotiationError
	var dns *net.DNSError
	switch {
	case e.Err == nil:
		return e.Address + " failed"
	case e.Phase == PhaseDial && errors.As(e.Err, &dns):
		return "no address of " + dns.Name + ": DNS: " + oneLine(dns.Err)
	case errors.As(e.Err, &weak):
		return fmt.Sprintf("%s has no %s that we trust, only %s", e.Address, weak.What, oneLine(strings.Join(weak.RequestedAlgorithms, ", ")))
	case e.Phase == PhaseDial && saysRefused(e.Err):
		return e.Address + " is refused"
	case e.Phase == PhaseDial:
		return e.Address + ": " + strings.TrimPrefix(oneLine(rootText(e.Err)), e.Address+" ")
	case e.Phase == PhaseGreeting:
		return e.Address + " ended before its SSH greeting: " + oneLine(rootText(e.Err))
	}
	return fmt.Sprintf("%s ended in the %s: %s", e.Address, e.Phase, oneLine(rootText(e.Err)))
}

func (e *DialError) silence() string {
	took := seconds(e.After)
	switch e.Phase {
	case PhaseGreeting:
		return fmt.Sprintf("no SSH greeting from %s after %s", e.Address, took)
	case PhaseKex, PhaseSignIn:
		return fmt.Sprintf("%s stopped answering in the %s, waited %s", e.Address, e.Phase, took)
	case PhaseChannel:
		return fmt.Sprintf("%s did not open a channel in %s", e.Address, took)
	}
	return fmt.Sprintf("%s gave no answer in %s", e.Address, took)
}

func (e *DialError) Unwrap() error { return e.Err }

// Class is connect.
func (e *DialError) Class() string { return classConnect }

// Cause is what the peer or a ProxyCommand said, or "".
func (e *DialError) Cause() string { return e.because }

// Hint is what to try.
func (e *DialError) Hint() string {
	var weak *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(e.Err, &weak):
		return "have its SSH server updated"
	case e.Via != "" && saysForbidden(e.Err):
		return "ask the administrator of " + e.Via + " for AllowTcpForwarding"
	case e.dropped:
		return "nbremote open " + e.Name + " --wait"
	case e.Phase != PhaseDial:
		return "ssh -v " + e.Name
	case e.Via != "":
		return "nbremote open " + e.Name + " --wait"
	}
	return "ssh " + e.Name + "; a VPN off?"
}

// AuthError says that the host did not let us in.
type AuthError struct {
	Name, User string
	Offered    []string // names of the keys that the host was shown
	Unused     []string // keys that could not be used, each with why
	Wrong      int      // passwords and codes that were not accepted
	Needs      string   // what it asks for and nobody could be asked: "a code", …
	Ended      string   // what the host said when it ended the sign-in, or ""
	Err        error
}

func (e *AuthError) Error() string {
	switch {
	case e.Needs != "":
		return fmt.Sprintf("sign in to %s: it asks for %s and nobody can be asked", e.Name, e.Needs)
	case e.Err != nil:
		return fmt.Sprintf("sign in to %s as %s: %s", e.Name, e.User, oneLine(e.Err.Error()))
	}
	return fmt.Sprintf("sign in to %s as %s: refused", e.Name, e.User)
}

func (e *AuthError) Unwrap() error { return e.Err }

// Class is sign-in.
func (e *AuthError) Class() string { return classSignIn }

// Cause lists what was offered, and what could not be.
func (e *AuthError) Cause() string {
	var parts []string
	switch n := len(e.Offered); {
	case n > 6:
		parts = append(parts, fmt.Sprintf("offered %d keys: %s, …", n, strings.Join(e.Offered[:4], ", ")))
	case n > 0:
		parts = append(parts, "offered "+strings.Join(e.Offered, ", "))
	case e.Needs == "" && e.Wrong == 0:
		parts = append(parts, "no key to offer")
	}
	if e.Wrong > 0 {
		parts = append(parts, fmt.Sprintf("answers that were not accepted: %d", e.Wrong))
	}
	if len(e.Unused) > 0 {
		parts = append(parts, "not used: "+strings.Join(e.Unused, ", "))
	}
	if e.Ended != "" {
		parts = append(parts, "it said: "+oneLine(e.Ended))
	}
	return strings.Join(parts, "; ")
}

// Hint is what to try.
func (e *AuthError) Hint() string {
	switch {
	case e.Needs != "":
		return "nbremote open " + e.Name + ", once, in a terminal"
	case len(e.Offered) >= 5 && e.Ended != "", len(e.Offered) > 1 && strings.Contains(strings.ToLower(e.Ended), "too many"):
		return fmt.Sprintf(`set IdentityFile and IdentitiesOnly yes under "Host %s" in ~/.ssh/config`, e.Name)
	}
	return fmt.Sprintf(`ssh-copy-id %s, or set User under "Host %s" in ~/.ssh/config`, e.Name, e.Name)
}

// OpenError says that the host would not open a channel.
type OpenError struct {
	What   string // "10.0.3.7:22", "a session", …
	Reason ssh.RejectionReason
	Text   string // the host's own words, bounded
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("open %s: %s (%s)", e.What, e.Reason, e.Text)
}

// Prohibited says that the host forbids such channels, whatever the address.
func (e *OpenError) Prohibited() bool {
	return e.Reason == ssh.Prohibited || e.Reason == ssh.UnknownChannelType
}

// Class is refused when the far address did not take the connection, and
// connect when the host forbids it.
func (e *OpenError) Class() string {
	if e.Prohibited() {
		return classConnect
	}
	return classRefused
}

// Cause is the host's own words.
func (e *OpenError) Cause() string { return e.Text }

// LostError says that a connection that was there is gone.
type LostError struct {
	Name string
	Err  error // why
}

func (e *LostError) Error() string {
	return "line to " + e.Name + " lost: " + oneLine(rootText(e.Err))
}

func (e *LostError) Unwrap() error { return e.Err }

// Class is line.
func (e *LostError) Class() string { return classLine }

// ExitError is the end of a command that did not end well.
type ExitError struct {
	Code    int    // exit code; -1 when it has none
	Signal  string // without SIG, or ""
	Message string // about the signal, from the host, bounded
}

func (e *ExitError) Error() string {
	switch {
	case e.Signal != "":
		return "ended by signal " + e.Signal
	case e.Code < 0:
		return "ended without an exit code"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// saysForbidden and saysRefused go by the text too: the error of a dialer may
// have crossed a socket.
func saysForbidden(err error) bool {
	var open *OpenError
	if errors.As(err, &open) {
		return open.Prohibited()
	}
	return err != nil && strings.Contains(err.Error(), ssh.Prohibited.String())
}

func saysRefused(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), "refused")
}

// rootText is the text of an error without the wrapping that a person has read
// already.
func rootText(err error) string {
	if err == nil {
		return "it ended"
	}
	var open *OpenError
	if errors.As(err, &open) {
		return open.Text
	}
	var dial *DialError
	if errors.As(err, &dial) {
		return dial.what()
	}
	text := err.Error()
	for _, prefix := range []string{"ssh: handshake failed: ", "ssh: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	if text == "EOF" {
		return "connection closed"
	}
	return text
}

// oneLine bounds a text that may come from elsewhere.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:297], "") + "…"
	}
	return s
}

func seconds(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
