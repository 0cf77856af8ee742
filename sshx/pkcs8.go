package sshx

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/ssh"
)

// parsePrivate parses a private key. A locked one without a passphrase is a
// *ssh.PassphraseMissingError, one with a wrong passphrase an
// x509.IncorrectPasswordError.
func parsePrivate(raw, passphrase []byte) (any, error) {
	block, _ := pem.Decode(raw)
	if block != nil && block.Type == "ENCRYPTED PRIVATE KEY" {
		if passphrase == nil {
			return nil, &ssh.PassphraseMissingError{}
		}
		return parseLockedPKCS8(block.Bytes, passphrase)
	}
	if passphrase == nil {
		return ssh.ParseRawPrivateKey(raw)
	}
	return ssh.ParseRawPrivateKeyWithPassphrase(raw, passphrase)
}

// The structures of RFC 5958 and RFC 8018.
type (
	lockedKey struct {
		Scheme struct {
			ID         asn1.ObjectIdentifier
			Parameters struct{ KDF, Cipher algorithm }
		}
		Data []byte
	}
	algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	pbkdf2Parameters struct {
		Salt       []byte
		Iterations int
		KeyLength  int       `asn1:"optional"`
		PRF        algorithm `asn1:"optional"`
	}
)

const maxIterations = 10_000_000

// parseLockedPKCS8 unlocks what ssh-keygen -m PKCS8 and openssl write: PBES2
// with PBKDF2 and a block cipher in CBC mode. x/crypto reads PKCS#8 only open.
func parseLockedPKCS8(der, passphrase []byte) (any, error) {
	var locked lockedKey
	if _, err := asn1.Unmarshal(der, &locked); err != nil || locked.Scheme.ID.String() != "1.2.840.113549.1.5.13" {
		return nil, errors.New("a way to lock a PKCS#8 key that is not PBES2")
	}
	kdf, how := locked.Scheme.Parameters.KDF, locked.Scheme.Parameters.Cipher
	newBlock, size, err := blockCipher(how.ID.String())
	if err != nil {
		return nil, err
	}
	secret, err := deriveKey(kdf, passphrase, size)
	if err != nil {
		return nil, err
	}
	var iv []byte
	block, err := newBlock(secret)
	if err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(how.Parameters.FullBytes, &iv); err != nil || len(iv) != block.BlockSize() || len(locked.Data)%block.BlockSize() != 0 || len(locked.Data) == 0 {
		return nil, errors.New("a damaged PKCS#8 key")
	}
	open := make([]byte, len(locked.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(open, locked.Data)
	pad := int(open[len(open)-1])
	if pad == 0 || pad > block.BlockSize() {
		return nil, x509.IncorrectPasswordError
	}
	key, err := x509.ParsePKCS8PrivateKey(open[:len(open)-pad])
	if err != nil {
		return nil, x509.IncorrectPasswordError
	}
	return key, nil
}

func blockCipher(id string) (func([]byte) (cipher.Block, error), int, error) {
	switch id {
	case "2.16.840.1.101.3.4.1.2":
		return aes.NewCipher, 16, nil
	case "2.16.840.1.101.3.4.1.22":
		return aes.NewCipher, 24, nil
	case "2.16.840.1.101.3.4.1.42":
		return aes.NewCipher, 32, nil
	case "1.2.840.113549.3.7":
		return des.NewTripleDESCipher, 24, nil
	}
	return nil, 0, fmt.Errorf("locked with the unknown cipher %s", id)
}

func deriveKey(kdf algorithm, passphrase []byte, size int) ([]byte, error) {
	var p pbkdf2Parameters
	if kdf.ID.String() != "1.2.840.113549.1.5.12" {
		return nil, fmt.Errorf("locked with the unknown key derivation %s", kdf.ID)
	}
	if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil || p.Iterations < 1 || p.Iterations > maxIterations {
		return nil, errors.New("a damaged PKCS#8 key")
	}
	hashes := map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New,
		"1.2.840.113549.2.10": sha512.New384, "1.2.840.113549.2.11": sha512.New,
	}
	h, ok := hashes[p.PRF.ID.String()]
	if !ok {
		return nil, fmt.Errorf("locked with the unknown hash %s", p.PRF.ID)
	}
	return pbkdf2.Key(h, string(passphrase), p.Salt, p.Iterations, size)
}
