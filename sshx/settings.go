package sshx

import (
	"errors"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// parseSettings reads what ssh -G prints: one lower-case key and its value on
// each line.
func parseSettings(out []byte, n name) (*Target, []string, error) {
	t := &Target{PubkeyAuth: true, PasswordAuth: true, KbdAuth: true, SSHName: n.host}
	var jumps []string
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		value = strings.TrimSpace(value)
		switch key {
		case "user":
			t.User = value
		case "hostname":
			t.Host = strings.Trim(value, "[]")
		case "port":
			t.Port, _ = strconv.Atoi(value)
		case "hostkeyalias":
			t.HostKeyAlias = value
		case "proxyjump":
			jumps = splitJumps(value)
		case "proxycommand":
			t.ProxyCommand = unlessOurs(unlessNone(value))
		case "identityfile":
			t.IdentityFiles = appendPath(t.IdentityFiles, value)
		case "certificatefile":
			t.CertificateFiles = appendPath(t.CertificateFiles, value)
		case "identitiesonly":
			t.IdentitiesOnly = isYes(value)
		case "identityagent":
			t.IdentityAgent = value
		case "userknownhostsfile":
			t.UserKnownHosts = splitPaths(value)
		case "globalknownhostsfile":
			t.GlobalKnownHosts = splitPaths(value)
		case "stricthostkeychecking":
			t.StrictHostKeyChecking = value
		case "hashknownhosts":
			t.HashKnownHosts = isYes(value)
		case "pubkeyauthentication":
			t.PubkeyAuth = value != "no" && value != "false"
		case "passwordauthentication":
			t.PasswordAuth = isYes(value)
		case "kbdinteractiveauthentication", "challengeresponseauthentication":
			t.KbdAuth = isYes(value)
		case "gssapiauthentication":
			t.GSSAPIAuth = isYes(value)
		case "pkcs11provider":
			t.PKCS11Provider = unlessNone(value)
		case "usekeychain":
			t.UseKeychain = isYes(value)
		case "addkeystoagent":
			t.AddKeysToAgent = unlessNo(value)
		case "controlpath":
			t.ControlPath = unlessNone(value)
		case "localforward":
			t.LocalForwards = append(t.LocalForwards, value)
		case "remoteforward":
			t.RemoteForwards = append(t.RemoteForwards, value)
		case "preferredauthentications":
			t.PreferredAuths = strings.Split(value, ",")
		}
	}
	if t.Host == "" || t.User == "" || t.Port < 1 || t.Port > 65535 {
		return nil, nil, errors.New("ssh -G gave no host, user or port")
	}
	t.StrictHostKeyChecking = t.strict()
	t.expandPaths(n)
	return t, jumps, nil
}

func isYes(s string) bool { return s == "yes" || s == "true" || s == "on" }

func unlessNone(s string) string {
	if s == "none" {
		return ""
	}
	return s
}

var ourStdio = regexp.MustCompile(`(?:^|[/\\\s"'])nbremote(?:\.exe)?["']?\s+stdio\s`)

// unlessOurs leaves out a ProxyCommand that would ask us for the way: this is
// where it is found.
func unlessOurs(s string) string {
	if ourStdio.MatchString(s) {
		return ""
	}
	return s
}

func unlessNo(s string) string {
	if s == "no" || s == "false" {
		return ""
	}
	return s
}

func appendPath(list []string, path string) []string {
	if path == "" || path == "none" {
		return list
	}
	return append(list, path)
}

func splitJumps(value string) []string {
	if value == "" || value == "none" {
		return nil
	}
	jumps := strings.Split(value, ",")
	for i := range jumps {
		jumps[i] = strings.TrimSpace(jumps[i])
	}
	return jumps
}

// splitPaths takes apart several paths on one line. ssh -G does not quote
// blanks in them: what does not begin like a path belongs to the one before.
func splitPaths(value string) []string {
	var paths []string
	for _, part := range strings.Split(value, " ") {
		begins := filepath.IsAbs(part) || strings.HasPrefix(part, "/") || strings.HasPrefix(part, "~") || part == "none"
		if len(paths) > 0 && !begins {
			paths[len(paths)-1] += " " + part
			continue
		}
		paths = append(paths, part)
	}
	var kept []string
	for _, p := range paths {
		kept = appendPath(kept, p)
	}
	return kept
}
