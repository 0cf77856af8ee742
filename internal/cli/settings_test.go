package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/internal/config"
)

// docs/config.md: a value that makes no sense is an error with its line,
// whichever command reads it.
func TestSettings_ValuesThatMakeNoSense(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	file := config.Path()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	load := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return checkSettings(c)
	}
	for text, want := range map[string]string{
		"notify = false\ndefault_host = \"a b\"\n":                 ":2: default_host: ",
		"[hosts.gpu1]\nforward = [\"6006\", \"x\"]\n":              ":2: hosts.gpu1.forward: ",
		"[hosts.\"a.b\"]\nssh = \"-oProxyCommand=x\"\n":            ":2: hosts.\"a.b\".ssh: ",
		"[hosts.lab]\nvia = [\"gw 1\"]\n":                          ":2: hosts.lab.via: ",
		"[proxies.p]\nvia = [\"a/b\"]\n":                           ":2: proxies.p.via: ",
		"[proxies.p]\nvia = [\"gw\"]\ndomains = [\"a b\"]\n":       ":3: proxies.p.domains: ",
		"[proxies.p]\nvia = [\"gw\"]\nallow = [\"x:y\"]\n":         ":3: proxies.p.allow: ",
		"[hosts.gpu1]\nssh = \"x y\"\n[hosts.gpu2]\nvia = [\"g\"]": ":2: hosts.gpu1.ssh: ",
	} {
		err := load(text)
		if classOf(err) != "usage" || !strings.HasPrefix(err.Error(), file+want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if err := load("default_host = \"gpu1:~/proj\"\n[hosts.\"me@10.0.3.7:2222\"]\nssh = \"ssh://me@[::1]:22\"\nvia = [\"gw\", \"me@gw2:2222\"]\n" +
		"forward = [\"6006\", \"8889:my-host:80\", \"8889:/run/x.sock\"]\n[proxies.prod]\nvia = [\"gw\"]\ndomains = [\"*.internal\", \"10.0.0.0/8\"]\nallow = [\"localhost:5432\"]\n"); err != nil {
		t.Error(err)
	}
}
