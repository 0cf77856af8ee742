package sshx

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// expandPaths expands the tokens, ${VARIABLES} and tildes that ssh -G leaves in
// the names of files; see TOKENS in ssh_config(5).
func (t *Target) expandPaths(n name) {
	tokens := t.tokens(n)
	for _, list := range [][]string{t.IdentityFiles, t.CertificateFiles, t.UserKnownHosts} {
		for i, path := range list {
			list[i] = expandTilde(expandTokens(expandVariables(path), tokens))
		}
	}
	for i, path := range t.GlobalKnownHosts {
		t.GlobalKnownHosts[i] = expandTilde(path)
	}
	switch agent := t.IdentityAgent; {
	case agent == "SSH_AUTH_SOCK":
		t.IdentityAgent = ""
	case strings.HasPrefix(agent, "$") && !strings.HasPrefix(agent, "${"):
		t.IdentityAgent = os.Getenv(agent[1:])
		if t.IdentityAgent == "" {
			t.IdentityAgent = "none"
		}
	case agent != "" && agent != "none":
		t.IdentityAgent = expandTilde(expandTokens(expandVariables(agent), tokens))
	}
	if t.HostKeyAlias != "" {
		t.HostKeyAlias = expandTokens(t.HostKeyAlias, tokens)
	}
}

func (t *Target) tokens(n name) map[byte]string {
	local, _ := os.Hostname()
	short, _, _ := strings.Cut(local, ".")
	key := t.HostKeyAlias
	if key == "" {
		key = t.Host
	}
	port := strconv.Itoa(t.Port)
	sum := sha1.Sum([]byte(local + t.Host + port + t.User))
	return map[byte]string{
		'%': "%", 'd': homeDir(), 'h': t.Host, 'n': n.host, 'p': port, 'r': t.User, 'k': key,
		'u': localUser(), 'i': strconv.Itoa(os.Getuid()), 'l': local, 'L': short, 'j': "",
		'C': hex.EncodeToString(sum[:]),
	}
}

// expandTokens puts in the tokens it knows and leaves the others as they are.
func expandTokens(s string, tokens map[byte]string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+1 < len(s) {
			if value, ok := tokens[s[i+1]]; ok {
				b.WriteString(value)
				i++
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func expandVariables(s string) string {
	for {
		start := strings.Index(s, "${")
		if start < 0 {
			return s
		}
		end := strings.IndexByte(s[start:], '}')
		if end < 0 {
			return s
		}
		value := os.Getenv(s[start+2 : start+end])
		s = s[:start] + strings.ReplaceAll(value, "${", "$") + s[start+end+1:]
	}
}

func expandTilde(path string) string {
	if path == "~" {
		return homeDir()
	}
	if strings.HasPrefix(path, "~/") || strings.HasPrefix(path, `~\`) {
		return filepath.Join(homeDir(), path[2:])
	}
	return path
}

// proxyCommand is the ProxyCommand with %h, %n, %p and %r put in. What they
// stand for must mean nothing to the shell.
func (t *Target) proxyCommand() (string, error) {
	if !validHost(t.Host) {
		return "", fmt.Errorf("the host name %s is not fit for a ProxyCommand", show(t.Host))
	}
	alias, tokens := t.Host, map[byte]string{'%': "%", 'h': t.Host, 'p': strconv.Itoa(t.Port), 'r': t.User}
	if n, err := parseName(t.Name); err == nil {
		alias = n.host
	}
	tokens['n'] = alias
	if strings.Contains(t.ProxyCommand, "%r") && !validUser(t.User) {
		return "", fmt.Errorf("the user name %s is not fit for a ProxyCommand", show(t.User))
	}
	return expandTokens(t.ProxyCommand, tokens), nil
}
