// Package sshx makes one SSH connection: it resolves a name as ssh does, signs
// in, runs commands and dials. It walks no gateways itself (the caller gives a
// dialer) and knows nothing of what runs on the host.
package sshx

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Target is what a name resolves to: where to connect, and how to sign in.
type Target struct {
	Name         string  `json:"name"` // as it was typed, for people
	User         string  `json:"user"`
	Host         string  `json:"host"`
	Port         int     `json:"port"`
	HostKeyAlias string  `json:"host_key_alias,omitempty"`
	Via          *Target `json:"via,omitempty"` // the gateway before it
	// ProxyCommand is run by the user's shell; its stdin and stdout are the
	// connection. Its tokens are not yet expanded.
	ProxyCommand     string   `json:"proxy_command,omitempty"`
	IdentityFiles    []string `json:"identity_files,omitempty"`
	CertificateFiles []string `json:"certificate_files,omitempty"`
	IdentitiesOnly   bool     `json:"identities_only,omitempty"`
	IdentityAgent    string   `json:"identity_agent,omitempty"` // "" is SSH_AUTH_SOCK, "none" is none
	UserKnownHosts   []string `json:"user_known_hosts,omitempty"`
	GlobalKnownHosts []string `json:"global_known_hosts,omitempty"`
	// StrictHostKeyChecking is yes, no, accept-new or ask; "" is ask.
	StrictHostKeyChecking string   `json:"strict_host_key_checking,omitempty"`
	HashKnownHosts        bool     `json:"hash_known_hosts,omitempty"`
	PubkeyAuth            bool     `json:"pubkey_auth"`
	PasswordAuth          bool     `json:"password_auth"`
	KbdAuth               bool     `json:"kbd_auth"`
	PreferredAuths        []string `json:"preferred_auths,omitempty"` // nil is OpenSSH's order
	GSSAPIAuth            bool     `json:"gssapi_auth,omitempty"`
	PKCS11Provider        string   `json:"pkcs11_provider,omitempty"`
	UseKeychain           bool     `json:"use_keychain,omitempty"`      // macOS
	AddKeysToAgent        string   `json:"add_keys_to_agent,omitempty"` // as ssh -G says it; "" is no
	ControlPath           string   `json:"control_path,omitempty"`      // of a master that the user may have running
	// What ssh would forward, as ssh -G writes it; nothing here does.
	LocalForwards  []string `json:"local_forwards,omitempty"`
	RemoteForwards []string `json:"remote_forwards,omitempty"`
	// Engine is auto, native or openssh; "" is auto.
	Engine string `json:"engine,omitempty"`
	// SSHName is the name that ssh was asked about, and SSH the program; "" is
	// Host, and ssh on PATH.
	SSHName string `json:"ssh_name,omitempty"`
	SSH     string `json:"ssh,omitempty"`
	// ConfigFile is the ssh_config that was asked, for messages and
	// suggestions; "" is the user's own.
	ConfigFile string `json:"config_file,omitempty"`
}

// Key names what the target resolves to (user, host, port, alias, the way
// there) in 16 hex digits. Two names for the same thing have the same key.
func (t *Target) Key() string {
	var b strings.Builder
	for _, hop := range t.Hops() {
		for _, field := range []string{hop.User, hop.Host, strconv.Itoa(hop.Port), hop.HostKeyAlias, hop.ProxyCommand} {
			b.WriteString(strconv.Quote(field))
		}
		b.WriteByte('\n')
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// Address is host:port, or [v6]:port.
func (t *Target) Address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// Sibling is another machine behind the same name, reached from there: the
// account, keys and known host keys are the target's. It is signed in to by the
// native engine.
func (t *Target) Sibling(host string, port int) *Target {
	s := *t
	s.HostKeyAlias = t.knownName()
	s.Name, s.SSHName = host, ""
	s.Host, s.Port, s.Via, s.ProxyCommand, s.ControlPath, s.Engine = host, port, nil, "", "", "native"
	return &s
}

// Hops are the machines on the way in order: the first gateway … the target.
func (t *Target) Hops() []*Target {
	if t == nil {
		return nil
	}
	return append(t.Via.Hops(), t)
}

// knownName is the name under which the host's key stands in known_hosts.
func (t *Target) knownName() string {
	switch {
	case t.HostKeyAlias != "":
		return t.HostKeyAlias
	case t.Port != 22:
		return "[" + strings.ToLower(t.Host) + "]:" + strconv.Itoa(t.Port)
	}
	return strings.ToLower(t.Host)
}

func (t *Target) strict() string {
	switch t.StrictHostKeyChecking {
	case "yes", "true", "on":
		return "yes"
	case "no", "false", "off":
		return "no"
	case "accept-new":
		return "accept-new"
	}
	return "ask"
}

// configName is how messages name the ssh_config that was asked.
func (t *Target) configName() string {
	if t.ConfigFile == "" {
		return "~/.ssh/config"
	}
	return filepath.Base(t.ConfigFile)
}
