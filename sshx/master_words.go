package sshx

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"sync"
)

// heard is what an ssh of ours says on stderr: its last words are kept, all of
// it is a notice.
type heard struct {
	tail
	notice func(string)
	mu     sync.Mutex
	line   []byte
	left   int
}

func (h *heard) Write(b []byte) (int, error) {
	h.tail.Write(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	b, n := b[:min(len(b), h.left)], len(b)
	h.left -= len(b)
	h.line = append(h.line, b...)
	for {
		line, rest, whole := bytes.Cut(h.line, []byte("\n"))
		if !whole {
			return n, nil
		}
		h.notice(string(line))
		h.line = rest
	}
}

// text is the last of it.
func (h *heard) text() string {
	h.tail.mu.Lock()
	defer h.tail.mu.Unlock()
	return strings.ToValidUTF8(string(h.kept), "?")
}

var (
	authenticated = regexp.MustCompile(`(?m)^Authenticated (?:to .* )?using "([^"]*)"`)
	ourWords      = regexp.MustCompile(`(?m)^nbremote: error: (.*?)\r?$`)
	offending     = regexp.MustCompile(`(?m)^Offending .*key in (.*?)\r?$`)
	sentKey       = regexp.MustCompile(`(?m)^(SHA256:\S+?)\.?\r?$`)
	removeKey     = regexp.MustCompile(`(?m)^\s*(ssh-keygen -f .* -R .*?)\r?$`)
	denied        = regexp.MustCompile(`(?m)^(.*(?:Permission denied \(|Too many authentication failures).*?)\r?$`)
)

// methods are what ssh signed in by, in order.
func (h *heard) methods() string {
	var list []string
	for _, m := range authenticated.FindAllStringSubmatch(h.text(), -1) {
		list = append(list, m[1])
	}
	return strings.Join(list, ", ")
}

// cause is the line that says most: of our own program as the way there, else
// the last one.
func (h *heard) cause() string {
	if m := ourWords.FindStringSubmatch(h.text()); m != nil {
		return oneLine(m[1])
	}
	return strings.TrimPrefix(h.lastLine(), "ssh: ")
}

// masterFailed is what the end of an ssh of ours means.
func (a *attempt) masterFailed(h *heard) error {
	text := h.text()
	if e := a.hostKeyFailed(text); e != nil {
		return e
	}
	if m := denied.FindStringSubmatch(text); m != nil {
		e := &AuthError{Name: a.target.Name, User: a.target.User, Offered: []string{"what ssh itself has"}, Ended: strings.TrimSpace(m[1])}
		if !a.opts.childMayAsk() {
			e.Err = ErrNobodyToAsk
			if a.target.namesFIDO() {
				e.Needs = "a touch of a security key"
			}
		}
		return e
	}
	if strings.Contains(text, "Could not resolve hostname "+a.target.Host) && a.target.Via == nil {
		return a.notFound()
	}
	e := &DialError{Name: a.target.Name, Address: a.target.Address(), Phase: PhaseDial, Err: errors.New("ssh ended")}
	if cause := h.cause(); cause != "" {
		e.Err = errors.New(cause)
	}
	switch {
	case strings.Contains(text, "kex_exchange_identification: ") && a.target.ProxyCommand == "" && !ourWords.MatchString(text):
		e.Phase, e.dropped = PhaseGreeting, true
		e.because = "too many connections at once (MaxStartups), or this address is not allowed"
	case !strings.Contains(text, "connect to host"):
		e.Phase = PhaseSignIn
	}
	if a.target.Via != nil {
		e.Via = a.target.Via.Name
	}
	return e
}

// hostKeyFailed reads what ssh says of a host key; nil: it was not that.
func (a *attempt) hostKeyFailed(text string) error {
	e := &HostKeyError{Name: a.target.Name, Type: "key", Reason: HostKeyRefused}
	if m := sentKey.FindStringSubmatch(text); m != nil {
		e.Key = m[1]
	}
	switch {
	case strings.Contains(text, "IDENTIFICATION HAS CHANGED"):
		e.Reason, e.Known = HostKeyChanged, "another"
		if m := offending.FindStringSubmatch(text); m != nil {
			e.Place = oneLine(m[1])
		}
		if m := removeKey.FindStringSubmatch(text); m != nil {
			e.Remove = oneLine(m[1])
		}
	case strings.Contains(text, "REVOKED HOST KEY"):
		e.Reason = HostKeyRevoked
	case strings.Contains(text, "host key is known for"):
		e.Reason, e.Err = HostKeyUnknown, errors.New("StrictHostKeyChecking forbids new ones")
	case !strings.Contains(text, "Host key verification failed"):
		return nil
	case !a.opts.childMayAsk():
		e.Reason, e.Err = HostKeyUnknown, ErrNobodyToAsk
	}
	return e
}
