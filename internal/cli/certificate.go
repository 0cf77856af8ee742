package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nbremote/internal/config"
	"nbremote/internal/holder"
	"nbremote/jupyter"
)

// A certificate that this computer does not trust by itself is treated like the
// key of an SSH host: a person is shown its fingerprint once, and from then on
// it is the only one that will do. -y is no answer. The token is sent to nobody
// else.

const handshakeTime = 15 * time.Second

// proves is how the server at an address is to prove itself; nil for http.
func (a *app) proves(line *line, w where, address jupyter.Address) (*holder.TLS, error) {
	if !address.Secure {
		return nil, nil
	}
	t := &holder.TLS{Name: address.Host, Pin: a.certificates()[address.Name()]}
	err := shake(a.ctx, line, address, t)
	var other *holder.PinError
	if errors.As(err, &other) {
		// One that needs no person may come in the place of one that did.
		if t = (&holder.TLS{Name: address.Host}); shake(a.ctx, line, address, t) == nil {
			return t, nil
		}
		return nil, a.changedCertificate(address, other)
	}
	var unknown *tls.CertificateVerificationError
	switch {
	case err == nil:
		return t, nil
	case errors.As(err, &unknown) && len(unknown.UnverifiedCertificates) > 0:
		t.Pin = holder.Fingerprint(unknown.UnverifiedCertificates[0].Raw)
		return t, a.trust(address, t.Pin, unknown.Err)
	case errors.As(err, new(tls.RecordHeaderError)), errors.Is(err, io.EOF):
		return nil, &jupyter.NotJupyterError{Address: address.String(), Reason: "it does not speak https; perhaps http"}
	}
	return nil, &unreached{url: w.URL, host: w.Host, port: address.Name(), cause: err}
}

// provesItself is how a server that was seen proves itself.
func provesItself(s *jupyter.Server) *holder.TLS {
	if !strings.HasPrefix(s.URL, "https:") {
		return nil
	}
	return &holder.TLS{Name: s.Host, Pin: s.Pin}
}

// shake is a handshake and nothing more.
func shake(ctx context.Context, line *line, address jupyter.Address, t *holder.TLS) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	conn, err := farDialer(line, address.Name(), t)(ctx)
	if err == nil {
		conn.Close()
	}
	return err
}

// farDialer reaches one server on another machine.
func farDialer(line *line, addr string, t *holder.TLS) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := line.Dial(ctx, holder.Elsewhere, addr)
		if err == nil && t != nil {
			conn, err = t.Client(ctx, conn)
		}
		return conn, err
	}
}

// trust asks once whether a certificate is the right one, and remembers that.
func (a *app) trust(address jupyter.Address, fingerprint string, why error) error {
	no := func(cause string) error { return &untrusted{address: address.Origin(), is: fingerprint, cause: cause} }
	a.ui.Note(fmt.Sprintf("%s shows a certificate that this computer does not trust (%v). SHA-256 %s", address.Origin(), why, fingerprint))
	for range 3 {
		answer, err := a.ui.Ask(a.ctx, "Trust it? yes, no, or paste the fingerprint: ", true)
		switch {
		case classOf(err) == "usage":
			return no("nobody can be asked whether to trust it")
		case err != nil:
			return err
		}
		answer = strings.TrimSpace(answer)
		if at := strings.LastIndexByte(answer, '='); at >= 0 { // sha256 Fingerprint=
			answer = answer[at+1:]
		}
		switch {
		case strings.EqualFold(answer, "yes"), strings.EqualFold(answer, fingerprint):
			known := a.certificates()
			known[address.Name()] = fingerprint
			a.writeCertificates(known)
			return nil
		case strings.EqualFold(answer, "no"):
			return no("you said no")
		case strings.Count(answer, ":") == 31:
			return no("the fingerprint that you gave is another")
		}
	}
	return no("three answers were neither yes nor no")
}

func (a *app) changedCertificate(address jupyter.Address, e *holder.PinError) error {
	return &untrusted{
		address: address.Origin(), changed: true, cause: "was " + e.Pin + ", is " + e.Is + ": renewed, or an impostor",
		is: "remove the line of " + quoted(address.Name()) + " from " + a.certificatesPath(),
	}
}

// untrusted is a certificate that nobody has said yes to.
type untrusted struct {
	address, is, cause string
	changed            bool
}

func (e *untrusted) Error() string {
	if e.changed {
		return "certificate of " + e.address + " changed; stopped before the token was sent"
	}
	return "certificate of " + e.address + " is not trusted; stopped before the token was sent"
}

// Class is that of an SSH host's key.
func (e *untrusted) Class() string { return "host-key" }

// Cause says why.
func (e *untrusted) Cause() string { return e.cause }

// Hint is how a person finds out.
func (e *untrusted) Hint() string {
	if e.changed {
		return "ask who runs it; only if the new one is right: " + e.is
	}
	return "once, in a terminal; on its machine, openssl x509 -noout -fingerprint -sha256 -in CERTFILE has to print " + e.is
}

func (a *app) certificatesPath() string { return filepath.Join(a.place.State, "certificates.json") }

// certificates are those that a person trusts: fingerprints by HOST:PORT.
func (a *app) certificates() map[string]string {
	known := map[string]string{}
	if raw, err := os.ReadFile(a.certificatesPath()); err != nil || json.Unmarshal(raw, &known) != nil || known == nil {
		return map[string]string{}
	}
	return known
}

func (a *app) writeCertificates(known map[string]string) {
	raw, err := json.MarshalIndent(known, "", "  ")
	if err == nil {
		err = config.WriteFile(a.certificatesPath(), raw)
	}
	if err != nil {
		a.ui.Note("the certificate could not be remembered, and is asked about again: " + err.Error())
	}
}
