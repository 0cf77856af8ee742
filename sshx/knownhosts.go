package sshx

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	maxKnownLine  = 64 << 10
	maxKnownHosts = 256 << 20
)

// knownHosts are the lines of known_hosts files that speak of one host, found
// as OpenSSH finds them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). x/crypto's own
// reader is not used: it takes the key of a certificate authority for a host's
// own, applies a @revoked line to every host, and refuses the whole file for a
// line with a type of key that it does not know.
type knownHosts struct {
	lines []knownLine
}

type knownLine struct {
	file   string
	number int
	marker string // "", "cert-authority" or "revoked"
	key    ssh.PublicKey
}

func (l knownLine) place() string { return fmt.Sprintf("%s:%d", l.file, l.number) }

// badLine is a line that is neither an entry nor a comment.
type badLine struct {
	place string
	err   error
}

func (e *badLine) Error() string { return e.place + ": " + e.err.Error() }

// readKnownHosts reads what the files say of a host under any of its names. A
// file that is not there says nothing; one that cannot be read, or has a line
// that cannot be understood, is an error.
func readKnownHosts(files []string, names ...string) (*knownHosts, error) {
	known := &knownHosts{}
	for _, file := range files {
		if err := known.read(file, names); err != nil {
			return nil, err
		}
	}
	return known, nil
}

func (k *knownHosts) read(file string, names []string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &badLine{place: file, err: pathless(err)}
	}
	defer f.Close()
	r := bufio.NewReaderSize(io.LimitReader(f, maxKnownHosts), maxKnownLine)
	for number := 1; ; number++ {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = errors.New("a line of more than 64 KiB")
			}
			return &badLine{place: fmt.Sprintf("%s:%d", file, number), err: pathless(err)}
		}
		if bad := k.add(file, number, line, names); bad != nil {
			return &badLine{place: fmt.Sprintf("%s:%d", file, number), err: bad}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// add takes a line that speaks of one of the names.
func (k *knownHosts) add(file string, number int, line []byte, names []string) error {
	fields := bytes.Fields(line)
	if len(fields) == 0 || fields[0][0] == '#' {
		return nil
	}
	marker := ""
	if fields[0][0] == '@' {
		marker = string(fields[0][1:])
		if marker != "cert-authority" && marker != "revoked" {
			return fmt.Errorf("unknown marker %s", show(string(fields[0])))
		}
		fields = fields[1:]
	}
	if len(fields) < 3 {
		return errors.New("not a known host: host, key type and key are needed")
	}
	if allDigits(string(fields[1])) && allDigits(string(fields[2])) {
		return nil // protocol 1
	}
	blob, err := base64.StdEncoding.DecodeString(string(fields[2]))
	if err != nil {
		return errors.New("the key is not base64")
	}
	if blobType(blob) != string(fields[1]) {
		return errors.New("the key is not of the type that stands before it")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		if unknownType(string(fields[1])) {
			return nil
		}
		return errors.New("the key is damaged")
	}
	matches, err := matchHost(string(fields[0]), names)
	if err != nil || !matches {
		return err
	}
	k.lines = append(k.lines, knownLine{file: file, number: number, marker: marker, key: key})
	return nil
}

func blobType(blob []byte) string {
	if len(blob) < 4 {
		return ""
	}
	n := binary.BigEndian.Uint32(blob)
	if n > 64 || int(n)+4 > len(blob) {
		return ""
	}
	return string(blob[4 : 4+n])
}

// unknownType says that we could not use such a key even if it were whole.
func unknownType(keyType string) bool {
	known := append(ssh.SupportedAlgorithms().HostKeys, ssh.InsecureAlgorithms().HostKeys...)
	return !slices.Contains(append(known, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoSKED25519), keyType)
}

// matchHost says whether the first field of a line means one of the names.
func matchHost(field string, names []string) (bool, error) {
	if strings.HasPrefix(field, "|") {
		return matchHash(field, names)
	}
	for _, name := range names {
		if matchPatterns(strings.ToLower(field), name) {
			return true, nil
		}
	}
	return false, nil
}

func matchPatterns(patterns, name string) bool {
	matched := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !wildcard(pattern, name) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}

// wildcard matches * and ? as ssh does. It takes time in proportion to the
// product of the lengths, whatever the pattern.
func wildcard(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func matchHash(field string, names []string) (bool, error) {
	parts := strings.Split(field, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return false, errors.New("a hashed name that is not of the form |1|salt|hash")
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return false, errors.New("the salt of the hashed name is not base64")
	}
	hash, err := base64.StdEncoding.DecodeString(parts[3])
	if err != nil {
		return false, errors.New("the hashed name is not base64")
	}
	for _, name := range names {
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(name))
		if hmac.Equal(mac.Sum(nil), hash) {
			return true, nil
		}
	}
	return false, nil
}

// revoked is the line that revokes any of the keys.
func (k *knownHosts) revoked(keys ...ssh.PublicKey) (knownLine, bool) {
	for _, l := range k.lines {
		if l.marker != "revoked" {
			continue
		}
		for _, key := range keys {
			if sameKey(l.key, key) {
				return l, true
			}
		}
	}
	return knownLine{}, false
}

// find looks for key among the host's own keys (marker "") or authorities.
func (k *knownHosts) find(marker string, key ssh.PublicKey) bool {
	for _, l := range k.lines {
		if l.marker == marker && sameKey(l.key, key) {
			return true
		}
	}
	return false
}

// other is the key the host had instead: one of the same type, else any.
func (k *knownHosts) other(key ssh.PublicKey) (line knownLine, found bool) {
	for _, l := range k.lines {
		if l.marker != "" {
			continue
		}
		if l.key.Type() == key.Type() {
			return l, true
		}
		if !found {
			line, found = l, true
		}
	}
	return line, found
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// algorithms are the host key algorithms to ask for: first those of the keys
// that are known, so that a server with several keys shows one of them. It
// follows order_hostkeyalgs of OpenSSH's sshconnect.c.
func (k *knownHosts) algorithms() []string {
	types, authority := map[string]bool{}, false
	for _, l := range k.lines {
		switch l.marker {
		case "": // the first of a type stands for it; a revoked one does not count
			if _, seen := types[l.key.Type()]; !seen {
				_, revoked := k.revoked(l.key)
				types[l.key.Type()] = !revoked
			}
		case "cert-authority":
			authority = true
		}
	}
	if types[plainType(hostKeyAlgorithms[0])] {
		return hostKeyAlgorithms
	}
	var first, last []string
	for _, algo := range hostKeyAlgorithms {
		if isCertificate(algo) && authority || types[plainType(algo)] {
			first = append(first, algo)
		} else {
			last = append(last, algo)
		}
	}
	return append(first, last...)
}

// hostKeyAlgorithms are those that x/crypto supports, in OpenSSH's order of
// preference.
var hostKeyAlgorithms = orderedHostKeys()

func orderedHostKeys() []string {
	list := []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
	for _, algo := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(list, algo) {
			list = append(list, algo)
		}
	}
	return list
}

func isCertificate(algo string) bool { return strings.Contains(algo, "-cert-v0") }

// plainType is the type of key that signs with an algorithm.
func plainType(algo string) string {
	plain, _, certified := strings.Cut(algo, "-cert-v0")
	if certified && strings.HasPrefix(algo, "sk-") {
		plain += "@openssh.com"
	}
	if plain == ssh.KeyAlgoRSASHA256 || plain == ssh.KeyAlgoRSASHA512 {
		return ssh.KeyAlgoRSA
	}
	return plain
}
