package sshx

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SplitPath reads what a person types for a host and a place on it: an alias,
// user@host, host:2222, [v6]:22 or ssh://user@host:port, each with ":PATH"
// after it (in a URL "/PATH"). "gpu1:2024" is a port, "gpu1:./2024" a path.
// The name is fit for Resolve: no leading '-', no character that means
// something to a shell. Errors are of class usage.
func SplitPath(arg string) (name, path string, err error) {
	if rest, ok := strings.CutPrefix(arg, "ssh://"); ok {
		return splitURL(arg, rest)
	}
	if scheme, _, ok := strings.Cut(arg, "://"); ok && allLetters(scheme) {
		return "", "", usagef("", "read %s: only ssh:// is understood", show(arg))
	}
	if ip, err := netip.ParseAddr(arg); err == nil && ip.Is6() {
		name = "[" + arg + "]"
	} else if name, path, err = splitArg(arg); err != nil {
		return "", "", err
	}
	if strings.IndexByte(path, 0) >= 0 {
		return "", "", usagef("", "read %s: a NUL in the path", show(arg))
	}
	if _, err := parseName(name); err != nil {
		return "", "", err
	}
	return name, path, nil
}

// splitArg finds the colon that begins the path: the first one outside of the
// brackets and after the port.
func splitArg(arg string) (name, path string, err error) {
	end := 0
	if at := strings.IndexByte(arg, '['); at == 0 || at > 0 && arg[at-1] == '@' && !strings.ContainsAny(arg[:at], ":/") {
		closing := strings.IndexByte(arg, ']')
		if closing < 0 {
			return "", "", usagef("", "read %s: no ] after the address", show(arg))
		}
		end = closing + 1
	}
	colon := strings.IndexByte(arg[end:], ':')
	if colon < 0 {
		return arg, "", nil
	}
	name, path = arg[:end+colon], arg[end+colon+1:]
	digits, rest, more := strings.Cut(path, ":")
	if !allDigits(digits) {
		return name, path, nil
	}
	if _, err := parsePort(digits); err != nil {
		return "", "", usagef(name+":./"+digits+" is the directory", "read %s: %v", show(arg), err)
	}
	if !more {
		rest = ""
	}
	return name + ":" + digits, rest, nil
}

func splitURL(arg, rest string) (name, path string, err error) {
	name, path = rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		name, path = rest[:slash], rest[slash:]
	}
	if path == "/" {
		path = ""
	}
	if strings.HasPrefix(path, "/~") {
		path = path[1:]
	}
	if strings.IndexByte(path, 0) >= 0 {
		return "", "", usagef("", "read %s: a NUL in the path", show(arg))
	}
	if _, err := parseName(name); err != nil {
		return "", "", err
	}
	return name, path, nil
}

// name is a destination as typed, taken apart. Port 0: none was given.
type name struct {
	user, host string
	port       int
}

// parseName takes apart [user@]host[:port], [user@][v6][:port].
func parseName(s string) (n name, err error) {
	rest := strings.TrimPrefix(s, "ssh://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		n.user, rest = rest[:at], rest[at+1:]
		if !validUser(n.user) {
			return name{}, usagef("", "read %s: a user name has letters, digits and ._+-@ only, and no - first", show(s))
		}
	}
	port := ""
	switch {
	case strings.HasPrefix(rest, "["):
		var ok bool
		if n.host, rest, ok = strings.Cut(rest[1:], "]"); !ok || rest != "" && rest[0] != ':' {
			return name{}, usagef("", "read %s: write an IPv6 address as [address]:port", show(s))
		}
		port = rest
		if ip, err := netip.ParseAddr(n.host); err != nil || !ip.Is6() {
			return name{}, usagef("", "read %s: no IPv6 address between the brackets", show(s))
		}
	case strings.Count(rest, ":") > 1:
		if _, err := netip.ParseAddr(rest); err != nil {
			return name{}, usagef("", "read %s: write an IPv6 address as [address]:port", show(s))
		}
		n.host = rest
	default:
		if i := strings.IndexByte(rest, ':'); i >= 0 {
			rest, port = rest[:i], rest[i:]
		}
		n.host = rest
	}
	if port != "" {
		if n.port, err = parsePort(port[1:]); err != nil {
			return name{}, usagef("", "read %s: %v", show(s), err)
		}
	}
	if len(n.host) > maxName {
		return name{}, usagef("", "read %s: a host name has at most %d bytes", show(s), maxName)
	}
	if !validHost(n.host) {
		return name{}, usagef("nbremote open gpu1, a name of ~/.ssh/config or user@host:port",
			"read %s: a host name has letters, digits and . _ : %% - only, and no - first", show(s))
	}
	return n, nil
}

func parsePort(s string) (int, error) {
	port, err := strconv.Atoi(s)
	if err != nil || port < 1 || port > 65535 || len(s) > 5 {
		return 0, fmt.Errorf("a port is 1 to 65535")
	}
	return port, nil
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func allLetters(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") == ""
}

const maxName = 255 // bytes of a host or a user

// validHost is stricter than OpenSSH's own check: nothing in it can mean
// anything to a shell or be read as an option.
func validHost(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '-' && onlyASCII(s, "._:%-")
}

func validUser(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '-' && onlyASCII(s, "._+-@")
}

func onlyASCII(s, others string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

// show quotes what was typed, at most 80 bytes of it.
func show(s string) string {
	if len(s) > 80 {
		s = s[:77] + "…"
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == 0x7f }) {
		return `"` + s + `"`
	}
	return strconv.QuoteToASCII(s)
}
