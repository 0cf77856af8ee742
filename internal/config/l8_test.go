//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbremote/test/lab"
)

func TestL8_ConfigFile(t *testing.T) {
	utf16 := func(mark, text string) string {
		out := mark
		for _, r := range text {
			out += string([]byte{byte(r), 0})
		}
		return out
	}
	const good = "default_host = \"gpu1\"\n"
	for _, c := range []struct {
		name, want string // "" = loads
		make       func(t *testing.T, path string)
		unloaded   bool // fine, and empty
	}{
		{name: "good", make: func(t *testing.T, p string) { put(t, p, good) }},
		{name: "bom", make: func(t *testing.T, p string) { put(t, p, "\xef\xbb\xbf"+good) }},
		{name: "crlf", make: func(t *testing.T, p string) { put(t, p, strings.ReplaceAll("\n"+good+"[hosts.a]\n", "\n", "\r\n")) }},
		{name: "link", make: func(t *testing.T, p string) {
			put(t, p+".real", good)
			must(t, os.Symlink(p+".real", p))
		}},
		{name: "0644", make: func(t *testing.T, p string) { put(t, p, good); must(t, os.Chmod(p, 0o644)) }},
		{name: "empty", make: func(t *testing.T, p string) { put(t, p, "") }, unloaded: true},
		{name: "missing", make: func(t *testing.T, p string) {}, unloaded: true},
		{name: "dangling", make: func(t *testing.T, p string) { put(t, p+"x", ""); must(t, os.Symlink("nowhere", p)) }, unloaded: true},
		{name: "parent is a file", make: func(t *testing.T, p string) { put(t, filepath.Dir(p), "") }, unloaded: true},
		{name: "directory", want: ": a directory, not a file", make: func(t *testing.T, p string) { must(t, os.MkdirAll(p, 0o700)) }},
		{name: "fifo", want: ": not a regular file", make: func(t *testing.T, p string) { put(t, p+"x", ""); must(t, unix.Mkfifo(p, 0o600)) }},
		{name: "link to fifo", want: ": not a regular file", make: func(t *testing.T, p string) {
			put(t, p+"x", "")
			must(t, unix.Mkfifo(p+"f", 0o600))
			must(t, os.Symlink(p+"f", p))
		}},
		{name: "0666", want: ": others can write to it, so it is not read", make: func(t *testing.T, p string) { put(t, p, good); must(t, os.Chmod(p, 0o666)) }},
		{name: "0620", want: ": others can write to it, so it is not read", make: func(t *testing.T, p string) { put(t, p, good); must(t, os.Chmod(p, 0o620)) }},
		{name: "10 MB", want: ": larger than 1 MiB: not a configuration of nbremote", make: func(t *testing.T, p string) { put(t, p, strings.Repeat("#\n", 5<<20)) }},
		{name: "utf-16le", want: ":1: not UTF-8 but UTF-16, or no text at all", make: func(t *testing.T, p string) { put(t, p, utf16("\xff\xfe", good)) }},
		{name: "utf-16 without a mark", want: ":1: not UTF-8 but UTF-16, or no text at all", make: func(t *testing.T, p string) { put(t, p, utf16("", good)) }},
		{name: "zero byte", want: ":2: not UTF-8 but UTF-16, or no text at all", make: func(t *testing.T, p string) { put(t, p, "\na\x00") }},
		{name: "latin-1", want: ":2: byte 0xe9 is not UTF-8", make: func(t *testing.T, p string) { put(t, p, "# a\n# caf\xe9\n") }},
		{name: "loop", want: ": cannot be read: too many levels of symbolic links", make: func(t *testing.T, p string) { put(t, p+"x", ""); must(t, os.Symlink(p, p)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := home(t)
			c.make(t, path)
			config, err := loadSoon(t)
			if c.want == "" {
				if err != nil || (config.DefaultHost == "gpu1") == c.unloaded {
					t.Errorf("%+v, %v", config, err)
				}
				return
			}
			var wrong *Error
			if !errors.As(err, &wrong) || err.Error() != path+c.want || wrong.Hint() == "" {
				t.Errorf("%v, want %s", err, path+c.want)
			}
		})
	}
}

// loadSoon fails when Load waits for something.
func loadSoon(t *testing.T) (*Config, error) {
	t.Helper()
	type result struct {
		c   *Config
		err error
	}
	done := make(chan result, 1)
	go func() { c, err := Load(); done <- result{c, err} }()
	select {
	case r := <-done:
		return r.c, r.err
	case <-time.After(10 * time.Second):
		t.Fatal("Load hangs")
		return nil, nil
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestL8_ForeignConfig(t *testing.T) {
	path := home(t)
	put(t, path, "default_host = 'a'")
	if err := os.Chown(path, 12345, -1); err != nil {
		lab.Missing(t, "root")
	}
	if _, err := Load(); err == nil || err.Error() != path+": belongs to another user, so it is not read" {
		t.Error(err)
	}
}

func TestL8_XDG(t *testing.T) {
	path := home(t)
	put(t, path, "default_host = 'home'")
	other := t.TempDir()
	put(t, filepath.Join(other, "nbremote", "config.toml"), "default_host = 'xdg'")
	for dir, want := range map[string]string{"": "home", "relative/dir": "home", "./x": "home", other: "xdg", other + "/": "xdg"} {
		t.Setenv("XDG_CONFIG_HOME", dir)
		if c, err := Load(); err != nil || c.DefaultHost != want {
			t.Errorf("%q: %+v, %v", dir, c, err)
		}
	}
}

// Without HOME it is the home directory of the account, as ssh has it.
func TestL8_NoHome(t *testing.T) {
	home(t)
	t.Setenv("HOME", "")
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if _, err := StateDir(); err != nil {
		t.Error(err)
	}
	if path := Path(); path != "" && !filepath.IsAbs(path) {
		t.Error(path)
	}
	t.Setenv("HOME", "relative")
	if path := Path(); path != "" && !filepath.IsAbs(path) {
		t.Error(path)
	}
}
