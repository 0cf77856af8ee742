package sshx

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

const maxKeyFile = 1 << 20

// keyFile is one IdentityFile.
type keyFile struct {
	path    string
	pub     ssh.PublicKey // nil: not known before the passphrase is
	signer  ssh.Signer    // nil: locked, or not usable
	private any           // the private key, when it is open: for an agent to have
	raw     []byte        // the private key, when it is locked
	problem string        // why it cannot be used as a file; an agent may have it
	fido    bool          // a private key of a security key
	absent  bool          // neither it nor its .pub is there
}

// name is how messages name the key.
func (f *keyFile) name() string { return strings.TrimSuffix(filepath.Base(f.path), ".pub") }

func (f *keyFile) locked() bool { return f.raw != nil && f.signer == nil }

// readKeyFile reads a private key in OpenSSH's, PEM's or PKCS#8's format, or a
// public key whose private half an agent has.
func readKeyFile(path string) *keyFile {
	f := &keyFile{path: path}
	raw, info, err := readSmall(path)
	if err == nil {
		if pub, _, _, _, err := ssh.ParseAuthorizedKey(raw); err == nil {
			f.pub, f.problem = pub, "only its public half is here"
			return f
		}
		f.parse(raw, info)
	} else {
		f.problem = pathless(err).Error()
	}
	if f.pub == nil {
		f.pub = readPublic(path + ".pub")
	}
	f.absent = errors.Is(err, fs.ErrNotExist) && f.pub == nil
	if f.pub != nil && strings.HasPrefix(f.pub.Type(), "sk-") {
		f.problem = "a FIDO key works through an agent only: ssh-add it"
		f.raw, f.signer, f.fido = nil, nil, err == nil
	}
	return f
}

func (f *keyFile) parse(raw []byte, info os.FileInfo) {
	switch {
	case bytes.HasPrefix(raw, []byte("PuTTY-User-Key-File-")):
		f.problem = "PuTTY's format: puttygen KEY -O private-openssh -o NEW"
		return
	case openToOthers(info):
		f.problem = fmt.Sprintf("others can read it (%04o): chmod 600 it", info.Mode().Perm())
		return
	}
	key, err := parsePrivate(raw, nil)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		f.pub, f.raw = locked.PublicKey, raw
		return
	case err != nil:
		f.problem = "not a key we can read: " + oneLine(strings.TrimPrefix(err.Error(), "ssh: "))
		return
	}
	f.take(key)
}

// take makes the signer of a parsed private key.
func (f *keyFile) take(key any) {
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		f.problem = "not a key we can use: " + oneLine(strings.TrimPrefix(err.Error(), "ssh: "))
		return
	}
	f.signer, f.pub, f.private = signer, signer.PublicKey(), key
}

// errPassphrase says that a passphrase was wrong.
var errPassphrase = errors.New("wrong passphrase")

// unlock tries a passphrase.
func (f *keyFile) unlock(passphrase string) error {
	key, err := parsePrivate(f.raw, []byte(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return errPassphrase
	}
	if err != nil {
		return fmt.Errorf("unlock %s: %s", f.name(), strings.TrimPrefix(err.Error(), "ssh: "))
	}
	if f.take(key); f.signer == nil {
		return errors.New(f.problem)
	}
	return nil
}

// readSmall reads a file that must be a plain one: a FIFO would hang us.
func readSmall(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("not a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if len(raw) > maxKeyFile {
		return nil, nil, errors.New("larger than 1 MiB")
	}
	return raw, info, err
}

// readPublic reads a public key or certificate; nil if there is none.
func readPublic(path string) ssh.PublicKey {
	raw, _, err := readSmall(path)
	if err != nil {
		return nil
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(raw)
	if err != nil {
		return nil
	}
	return pub
}

// readCertificate reads a user's certificate; nil if there is none.
func readCertificate(path string) *ssh.Certificate {
	c, _ := readPublic(path).(*ssh.Certificate)
	if c == nil || c.CertType != ssh.UserCert {
		return nil
	}
	return c
}
