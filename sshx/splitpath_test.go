package sshx

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

func TestSplitPath(t *testing.T) {
	for arg, want := range map[string][2]string{
		"gpu1":                        {"gpu1", ""},
		"gpu1:~/proj":                 {"gpu1", "~/proj"},
		"gpu1:2024":                   {"gpu1:2024", ""},
		"gpu1:./2024":                 {"gpu1", "./2024"},
		"gpu1:2024/x":                 {"gpu1", "2024/x"},
		"gpu1:2222:~/proj":            {"gpu1:2222", "~/proj"},
		"gpu1:2222:8080":              {"gpu1:2222", "8080"},
		"gpu1:":                       {"gpu1", ""},
		"gpu1:a:b":                    {"gpu1", "a:b"},
		"gpu1:my dir/$x'\"\n.ipynb":   {"gpu1", "my dir/$x'\"\n.ipynb"},
		"me@gpu1":                     {"me@gpu1", ""},
		"me@gpu1:22":                  {"me@gpu1:22", ""},
		"me@corp.com@gpu1:/data":      {"me@corp.com@gpu1", "/data"},
		"me@gpu1:/a@b":                {"me@gpu1", "/a@b"},
		"gpu1:/data/[x]":              {"gpu1", "/data/[x]"},
		"::1":                         {"[::1]", ""},
		"fe80::1%eth0":                {"[fe80::1%eth0]", ""},
		"[::1]":                       {"[::1]", ""},
		"[::1]:22":                    {"[::1]:22", ""},
		"[::1]:22:/x":                 {"[::1]:22", "/x"},
		"[::1]:/x:y":                  {"[::1]", "/x:y"},
		"me@[::1]:22":                 {"me@[::1]:22", ""},
		"ssh://gpu1":                  {"gpu1", ""},
		"ssh://me@gpu1:22/":           {"me@gpu1:22", ""},
		"ssh://me@gpu1:22/data":       {"me@gpu1:22", "/data"},
		"ssh://gpu1/~/proj":           {"gpu1", "~/proj"},
		"ssh://[::1]:22/x":            {"[::1]:22", "/x"},
		"10.0.3.7":                    {"10.0.3.7", ""},
		"node_1.cluster.example:/tmp": {"node_1.cluster.example", "/tmp"},
	} {
		name, path, err := SplitPath(arg)
		if err != nil || name != want[0] || path != want[1] {
			t.Errorf("%q: %q %q %v, want %q", arg, name, path, err, want)
		}
	}
}

// TestF2_HostileNames: OpenSSH's own list (regress/proxyjump.sh and the like),
// and what we refuse beyond it.
func TestF2_HostileNames(t *testing.T) {
	hostile := []string{
		"", "-", "-oProxyCommand=touch x", "-E", "me@-oProxyCommand=touch", "-me@gpu1", "--help", "gpu1 -v", " gpu1", "@gpu1", "me@",
		"gpu1:0", "gpu1:65536", "gpu1:99999999999", "gpu1:022222", "[gpu1]:22", "[::1", "[::1]x", "[::1]22", "[1.2.3.4]", ":22", ":/x", "::1% ",
		"ssh://", "ssh://-x", "ssh://me@/x", "ssh://gpu1:x/", "ssh://gpu1:22:22/", "http://gpu1", "gpu1:/x\x00y", "ssh://gpu1/\x00",
		"gp\x00u1", "gp\nu1", "gp\tu1", "gp\x1b[2Ju1", "gp\x7fu1", "gpü1", "gpu1\u202e", strings.Repeat("a", 256), "me@" + strings.Repeat("a", 256),
	}
	for _, c := range "'`\"$\\;&<>|(){},!*?#~^=+/ \t\r\n" {
		hostile = append(hostile, "a"+string(c)+"b", string(c)+"b", "ssh://a"+string(c)+"b:22")
		if !strings.ContainsRune("+", c) {
			hostile = append(hostile, "m"+string(c)+"e@gpu1")
		}
	}
	for _, arg := range hostile {
		if strings.HasPrefix(arg, "ssh://a/") { // a path
			continue
		}
		name, path, err := SplitPath(arg)
		var classed interface{ Class() string }
		if !errors.As(err, &classed) || classed.Class() != "usage" {
			t.Errorf("%q: %q %q %v", arg, name, path, err)
			continue
		}
		if text := err.Error(); strings.ContainsFunc(text, unicode.IsControl) || len(text) > 400 {
			t.Errorf("%q: the error is not fit to print: %q", arg, text)
		}
		if _, err := (Resolver{SSH: "/does/not/exist"}).Resolve(t.Context(), arg, nil); err == nil {
			t.Errorf("%q was resolved", arg)
		}
		if _, err := (Resolver{SSH: "/does/not/exist"}).Resolve(t.Context(), "gpu1", []string{arg}); err == nil {
			t.Errorf("%q was taken for a gateway", arg)
		}
	}
}

func FuzzSplitPath(f *testing.F) {
	for _, seed := range []string{"gpu1:~/x", "me@[::1]:22:/x", "ssh://a@b:1/c", "-o", "gpu1:2024", "::1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		name, path, err := SplitPath(arg)
		if err != nil {
			if name != "" || path != "" {
				t.Errorf("%q: %q %q with an error", arg, name, path)
			}
			return
		}
		if name == "" || name[0] == '-' || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:%@+-[]") != "" {
			t.Errorf("%q: name %q", arg, name)
		}
		if strings.IndexByte(path, 0) >= 0 {
			t.Errorf("%q: path %q", arg, path)
		}
		again, none, err := SplitPath(name)
		if err != nil || again != name || none != "" {
			t.Errorf("%q: name %q is read as %q %q %v", arg, name, again, none, err)
		}
		n, err := parseName(name)
		if err != nil || n.host[0] == '-' || n.user != "" && n.user[0] == '-' {
			t.Errorf("%q: name %q is %+v %v", arg, name, n, err)
		}
	})
}
