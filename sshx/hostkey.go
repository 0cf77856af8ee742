package sshx

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/crypto/ssh"
)

// hostKeys decides about the key that one target shows.
type hostKeys struct {
	target *Target
	opts   *Options
	ask    func(Question) (string, error)
	known  *knownHosts // by the name with its port
	plain  *knownHosts // by the bare name, for a port that is not 22
	shown  string      // fingerprint of the key that was accepted
	saved  bool
}

// newHostKeys reads the known_hosts files. It fails closed: one that cannot be
// read is a HostKeyError.
func newHostKeys(t *Target, opts *Options, ask func(Question) (string, error)) (*hostKeys, error) {
	files := append(append([]string{}, t.UserKnownHosts...), t.GlobalKnownHosts...)
	h := &hostKeys{target: t, opts: opts, ask: ask, plain: &knownHosts{}}
	var err error
	h.known, err = readKnownHosts(files, t.knownName())
	if err == nil && t.Port != 22 && t.HostKeyAlias == "" {
		h.plain, err = readKnownHosts(files, strings.ToLower(t.Host))
	}
	var bad *badLine
	if errors.As(err, &bad) {
		return nil, &HostKeyError{Name: t.Name, Reason: HostKeyUnread, Place: bad.place, Err: bad.err}
	}
	return h, err
}

// check is the ssh.HostKeyCallback: nil accepts the key.
func (h *hostKeys) check(ctx context.Context, key ssh.PublicKey) error {
	certificate, isCertificate := key.(*ssh.Certificate)
	if isCertificate {
		accepted, err := h.checkCertificate(certificate)
		if err != nil {
			return err
		}
		if accepted {
			h.shown = ssh.FingerprintSHA256(certificate.Key)
			return nil
		}
		key = certificate.Key // no authority of it is known: the bare key counts
	}
	if err := h.checkKey(ctx, key); err != nil {
		return err
	}
	h.shown = ssh.FingerprintSHA256(key)
	return nil
}

// checkCertificate accepts a certificate of an authority that is known for
// this host. Where the certificate decides nothing, the bare key in it counts,
// in the order in which ssh looks: under the name with the port and, only if
// that says nothing, under the bare name. false without error: look at the key.
func (h *hostKeys) checkCertificate(c *ssh.Certificate) (bool, error) {
	if err := h.checkRevoked(c.Key, c.SignatureKey); err != nil {
		return false, err
	}
	known := h.known.find("cert-authority", c.SignatureKey)
	if !known && !h.plain.find("cert-authority", c.SignatureKey) {
		return h.plain.find("", c.Key), nil
	}
	name := h.target.HostKeyAlias
	if name == "" {
		name = strings.ToLower(h.target.Host)
	}
	checker := ssh.CertChecker{IsHostAuthority: func(ssh.PublicKey, string) bool { return true }}
	err := checker.CheckHostKey(net.JoinHostPort(name, "22"), nil, c)
	if err == nil || h.trusted(c.Key) || !known && h.plain.find("", c.Key) {
		return true, nil
	}
	return false, h.failed(HostKeyInvalid, c.Key, err)
}

// trusted says that a bare key is known. What stands under the name with the
// port comes before what stands under the bare name.
func (h *hostKeys) trusted(key ssh.PublicKey) bool {
	if h.known.find("", key) {
		return true
	}
	_, another := h.known.other(key)
	return !another && h.plain.find("", key)
}

// checkRevoked is stricter than ssh: a key, or the authority of a certificate,
// that is revoked under either name is not saved by being known under the other.
func (h *hostKeys) checkRevoked(keys ...ssh.PublicKey) error {
	for _, known := range []*knownHosts{h.known, h.plain} {
		if line, ok := known.revoked(keys...); ok {
			e := h.failed(HostKeyRevoked, keys[0], nil)
			e.Place = line.place()
			return e
		}
	}
	return nil
}

// checkKey decides about a bare key: known, changed, or new.
func (h *hostKeys) checkKey(ctx context.Context, key ssh.PublicKey) error {
	if err := h.checkRevoked(key); err != nil {
		return err
	}
	if h.trusted(key) {
		return nil
	}
	if line, ok := h.known.other(key); ok {
		return h.changed(key, line)
	}
	shown := ssh.FingerprintSHA256(key)
	if pinned := h.opts.PinnedHostKey; pinned != "" {
		if pinned == shown {
			return nil
		}
		e := h.failed(HostKeyChanged, key, nil)
		e.Known = pinned
		return e
	}
	return h.checkNew(ctx, key)
}

// checkNew decides about a host of which nothing is known.
func (h *hostKeys) checkNew(ctx context.Context, key ssh.PublicKey) error {
	notice := fmt.Sprintf("%s is new here; accepted its %s key %s", h.target.Name, shortType(key), ssh.FingerprintSHA256(key))
	switch h.target.strict() {
	case "yes":
		return h.failed(HostKeyUnknown, key, errors.New("StrictHostKeyChecking is yes, and no known_hosts file has it"))
	case "no":
		h.opts.notice(notice + " for now (StrictHostKeyChecking no)")
		return nil
	case "accept-new":
		h.opts.notice(notice)
		h.save(ctx, key)
		return nil
	}
	if err := h.askPerson(key); err != nil {
		return err
	}
	h.save(ctx, key)
	return nil
}

// askPerson takes yes, no, or the fingerprint that the person has from
// elsewhere. Anything else is asked again, twice.
func (h *hostKeys) askPerson(key ssh.PublicKey) error {
	shown := ssh.FingerprintSHA256(key)
	q := Question{
		Kind: "hostkey", Hop: h.target.Name, Echo: true, KeyType: shortType(key), Fingerprint: shown,
		Text: fmt.Sprintf("%s (%s) is new here", h.target.Name, h.target.Address()),
	}
	for range 3 {
		answer, err := h.ask(q)
		if err != nil {
			return h.failed(HostKeyUnknown, key, err)
		}
		answer = strings.TrimSpace(answer)
		switch lower := strings.ToLower(answer); {
		case lower == "yes":
			return nil
		case lower == "no":
			return h.failed(HostKeyRefused, key, nil)
		case subtle.ConstantTimeCompare([]byte(strings.TrimRight(answer, "=")), []byte(shown)) == 1:
			return nil
		case strings.HasPrefix(lower, "sha256:"):
			return h.failed(HostKeyRefused, key, fmt.Errorf("it shows %s, not %s", shown, show(answer)))
		}
		q.Cause = "type yes, no, or the fingerprint"
	}
	return h.failed(HostKeyRefused, key, errors.New("three answers were neither yes nor no"))
}

// save writes the key down. A file that cannot be written is said, and no
// reason not to connect: the person has answered.
func (h *hostKeys) save(ctx context.Context, key ssh.PublicKey) {
	if len(h.target.UserKnownHosts) == 0 {
		return
	}
	file := h.target.UserKnownHosts[0]
	if err := appendKnownHost(ctx, file, h.target.knownName(), h.target.HashKnownHosts, key); err != nil {
		h.opts.notice(fmt.Sprintf("the host key of %s could not be saved in %s: %s", h.target.Name, file, oneLine(pathless(err).Error())))
		return
	}
	h.saved = true
}

func (h *hostKeys) changed(key ssh.PublicKey, line knownLine) error {
	e := h.failed(HostKeyChanged, key, nil)
	e.Known, e.Place = ssh.FingerprintSHA256(line.key), line.place()
	e.Remove = "ssh-keygen -R " + quoteWord(h.target.knownName())
	if line.file != filepath.Join(homeDir(), ".ssh", "known_hosts") {
		e.Remove += " -f " + quoteWord(line.file)
	}
	return e
}

func (h *hostKeys) failed(reason HostKeyReason, key ssh.PublicKey, err error) *HostKeyError {
	return &HostKeyError{Name: h.target.Name, Reason: reason, Key: ssh.FingerprintSHA256(key), Type: shortType(key), Err: err}
}

// quoteWord makes s one word of a command line that a person pastes.
func quoteWord(s string) string {
	if s != "" && onlyASCII(s, "._-/:@+,=~") {
		return s
	}
	if runtime.GOOS == "windows" {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shortType is the type of a key as ssh-keygen names it.
func shortType(key ssh.PublicKey) string {
	if c, ok := key.(*ssh.Certificate); ok {
		key = c.Key
	}
	switch t := key.Type(); {
	case t == ssh.KeyAlgoED25519:
		return "ED25519"
	case t == ssh.KeyAlgoRSA:
		return "RSA"
	case strings.HasPrefix(t, "ecdsa-"):
		return "ECDSA"
	case t == ssh.KeyAlgoSKED25519:
		return "ED25519-SK"
	case t == ssh.KeyAlgoSKECDSA256:
		return "ECDSA-SK"
	default:
		return strings.ToUpper(strings.TrimPrefix(t, "ssh-"))
	}
}
