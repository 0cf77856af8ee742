package holder

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// TLS is how a page's server proves itself.
type TLS struct {
	Name string `json:"name"` // in its certificate
	// Pin is the fingerprint of the one certificate that is accepted; "": one
	// that this computer trusts for the name.
	Pin string `json:"pin,omitempty"`
}

// PinError is a certificate that is not the pinned one.
type PinError struct{ Pin, Is string }

func (e *PinError) Error() string { return "its certificate is another one: " + e.Is }

// Fingerprint of a certificate, as openssl x509 -fingerprint -sha256 writes it.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Client has the server prove itself on conn, which is closed if it does not.
func (t *TLS) Client(ctx context.Context, conn net.Conn) (net.Conn, error) {
	c := &tls.Config{ServerName: t.Name, MinVersion: tls.VersionTLS12}
	if t.Pin != "" {
		c.InsecureSkipVerify = true // what follows is stricter
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if is := Fingerprint(s.PeerCertificates[0].Raw); is != t.Pin {
				return &PinError{Pin: t.Pin, Is: is}
			}
			return nil
		}
	}
	secure := tls.Client(conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}
