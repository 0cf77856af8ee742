package sshx

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// identity is one key to offer.
type identity struct {
	name    string // for people
	agent   bool
	touch   bool          // a person has to touch it
	pub     ssh.PublicKey // a key or a certificate
	file    *keyFile      // nil: the agent signs
	signKey ssh.PublicKey // what the agent is asked to sign with
	offered bool
}

// identities are the keys of one sign-in.
type identities struct {
	agent  *agentKeys
	ready  []*identity
	late   []*keyFile // locked, with an unknown public half: to be unlocked before being offered
	fido   []*keyFile // of security keys, that no agent has
	unused []string   // keys that cannot be used, each with why
}

// agentUnused begins what is said of an agent that cannot be asked.
const agentUnused = "the agent: "

// loadIdentities finds the keys to offer, in OpenSSH's order: those of the
// ssh_config that the agent has, the agent's others, those in files only. The
// one that worked last comes first.
func loadIdentities(ctx context.Context, t *Target, lastKey string) *identities {
	ids := &identities{}
	var err error
	if ids.agent, err = openAgent(ctx, t.IdentityAgent); err != nil {
		ids.unused = append(ids.unused, agentUnused+oneLine(rootAgent(err)))
	}
	files, certificates := readFiles(t)
	wanted := ids.wanted(files, certificates)
	var inAgent, onlyFile []*identity
	for _, id := range wanted {
		if id.agent {
			inAgent = append(inAgent, id)
		} else {
			onlyFile = append(onlyFile, id)
		}
	}
	ids.ready = ids.agent.ordered(inAgent)
	if !t.IdentitiesOnly {
		ids.ready = append(ids.ready, ids.others(wanted)...)
	}
	ids.ready = append(ids.ready, onlyFile...)
	ids.preferLast(lastKey)
	return ids
}

func rootAgent(err error) string {
	var inner interface{ Unwrap() error }
	for errors.As(err, &inner) && inner.Unwrap() != nil {
		err = inner.Unwrap()
	}
	return err.Error()
}

// readFiles reads the files, and the certificates beside them or named.
func readFiles(t *Target) (files []*keyFile, certificates map[string][]*ssh.Certificate) {
	certificates = map[string][]*ssh.Certificate{}
	seen := map[string]bool{}
	add := func(path string) {
		if c := readCertificate(path); c != nil && !seen[string(c.Marshal())] {
			seen[string(c.Marshal())] = true
			blob := string(c.Key.Marshal())
			certificates[blob] = append(certificates[blob], c)
		}
	}
	for _, path := range t.IdentityFiles {
		files = append(files, readKeyFile(path))
		add(strings.TrimSuffix(path, ".pub") + "-cert.pub")
	}
	for _, path := range t.CertificateFiles {
		add(path)
	}
	return files, certificates
}

// wanted are the keys that the ssh_config names, each before its certificates.
func (ids *identities) wanted(files []*keyFile, certificates map[string][]*ssh.Certificate) (list []*identity) {
	for _, f := range files {
		switch {
		case f.pub == nil && f.locked():
			ids.late = append(ids.late, f)
		case f.pub == nil:
			if !f.absent || !isDefault(f.path) {
				ids.unused = append(ids.unused, f.name()+" ("+f.problem+")")
			}
		default:
			list = append(list, ids.usable(f, f.pub, f.pub)...)
			for _, c := range certificates[string(f.pub.Marshal())] {
				list = append(list, ids.usable(f, c, f.pub)...)
			}
		}
		if f.pub != nil {
			delete(certificates, string(f.pub.Marshal()))
		}
	}
	return append(list, ids.agentCertificates(certificates)...)
}

// agentCertificates are those of the certificates whose key the agent has.
func (ids *identities) agentCertificates(certificates map[string][]*ssh.Certificate) (list []*identity) {
	if ids.agent == nil {
		return nil
	}
	for _, key := range ids.agent.keys {
		for _, c := range certificates[string(key.pub.Marshal())] {
			list = append(list, &identity{name: key.name() + " (certificate)", agent: true, touch: needsTouch(c), pub: c, signKey: key.pub})
		}
	}
	return list
}

// usable is the key of a file, signed with by the agent if that has it. None,
// and a note, if neither can.
func (ids *identities) usable(f *keyFile, pub, plain ssh.PublicKey) []*identity {
	id := &identity{name: f.name(), pub: pub, touch: needsTouch(pub)}
	_, certificate := pub.(*ssh.Certificate)
	if certificate {
		id.name += " (certificate)"
	}
	for _, signKey := range []ssh.PublicKey{pub, plain} {
		if ids.agent.has(signKey) {
			id.agent, id.signKey = true, signKey
			return []*identity{id}
		}
	}
	if f.signer == nil && !f.locked() {
		if f.fido && !certificate {
			ids.fido = append(ids.fido, f)
		}
		if !certificate {
			ids.unused = append(ids.unused, id.name+" ("+f.problem+")")
		}
		return nil
	}
	id.file = f
	return []*identity{id}
}

// others are the keys of the agent that no file named.
func (ids *identities) others(wanted []*identity) (list []*identity) {
	if ids.agent == nil {
		return nil
	}
	for _, key := range ids.agent.keys {
		named := slices.ContainsFunc(wanted, func(id *identity) bool { return sameKey(id.pub, key.pub) })
		if !named {
			list = append(list, &identity{name: key.name(), agent: true, touch: needsTouch(key.pub), pub: key.pub, signKey: key.pub})
		}
	}
	return list
}

// ordered puts the keys that the agent has in the agent's order, as ssh does,
// each once though several files name it.
func (a *agentKeys) ordered(list []*identity) []*identity {
	if a == nil {
		return list
	}
	at := func(id *identity) int {
		return slices.IndexFunc(a.keys, func(k agentKey) bool { return sameKey(k.pub, id.signKey) })
	}
	slices.SortStableFunc(list, func(x, y *identity) int { return at(x) - at(y) })
	return slices.CompactFunc(list, func(x, y *identity) bool { return sameKey(x.pub, y.pub) })
}

func (ids *identities) preferLast(fingerprint string) {
	for i, id := range ids.ready {
		if fingerprint != "" && ssh.FingerprintSHA256(id.pub) == fingerprint {
			ids.ready = append([]*identity{id}, slices.Delete(ids.ready, i, i+1)...)
			return
		}
	}
}

func (a *agentKeys) has(key ssh.PublicKey) bool {
	return a != nil && slices.ContainsFunc(a.keys, func(k agentKey) bool { return sameKey(k.pub, key) })
}

func (k agentKey) name() string {
	if k.comment != "" && len(k.comment) <= 60 {
		return filepath.Base(k.comment)
	}
	return strings.ToLower(shortType(k.pub)) + " key of the agent"
}

func needsTouch(key ssh.PublicKey) bool { return strings.HasPrefix(key.Type(), "sk-") }

// isDefault says that ssh tries this file without being told to.
func isDefault(path string) bool {
	switch filepath.Base(path) {
	case "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa":
		return filepath.Dir(path) == filepath.Join(homeDir(), ".ssh")
	}
	return false
}

// offer is an identity while it is offered: x/crypto asks for the public key
// when its turn has come, and signs only once the server has said that it would
// take it.
type offer struct {
	id   *identity
	sign func(id *identity, data []byte, algo string) (*ssh.Signature, error)
}

func (o *offer) PublicKey() ssh.PublicKey {
	o.id.offered = true
	return o.id.pub
}

func (o *offer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return o.SignWithAlgorithm(rand, data, "")
}

func (o *offer) SignWithAlgorithm(_ io.Reader, data []byte, algo string) (*ssh.Signature, error) {
	return o.sign(o.id, data, algo)
}

// Algorithms leaves out RSA with SHA-1.
func (o *offer) Algorithms() []string {
	plain := o.id.pub
	if c, ok := plain.(*ssh.Certificate); ok {
		plain = c.Key
	}
	if plain.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{plain.Type()}
}
