package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// home makes an empty home directory and gives the path of its config file.
func home(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", dir)
	t.Setenv("AppData", filepath.Join(dir, ".config"))
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
	return filepath.Join(dir, ".config", "nbremote", "config.toml")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const sample = `default_host = "gpu1"
[hosts.gpu1]
dir = "~/projects"
env = "ds"
setenv = { OMP_NUM_THREADS = "8", B = "x\ny" }

[hosts.lab]
ssh = "me@10.0.3.7:2222"
via = ["bastion", "inner"]
[hosts."a.b"]
dir = '/data'
`

func TestLoad(t *testing.T) {
	path := home(t)
	put(t, path, sample)
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	settings := c.Settings()
	c.document = nil
	want := &Config{Path: path, DefaultHost: "gpu1", Hosts: map[string]Host{
		"gpu1": {Dir: "~/projects", Env: "ds", Setenv: map[string]string{"OMP_NUM_THREADS": "8", "B": "x\ny"}},
		"lab":  {SSH: "me@10.0.3.7:2222", Via: []string{"bastion", "inner"}},
		"a.b":  {Dir: "/data"},
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	got := ""
	for _, s := range settings {
		got += strings.TrimPrefix(s.From, path) + " " + s.Key + " " + strings.ReplaceAll(s.Value, "\n", "|") + "\n"
	}
	if want := `:1 default_host gpu1
:11 hosts."a.b".dir /data
:3 hosts.gpu1.dir ~/projects
:4 hosts.gpu1.env ds
:5 hosts.gpu1.setenv.B x|y
:5 hosts.gpu1.setenv.OMP_NUM_THREADS 8
:8 hosts.lab.ssh me@10.0.3.7:2222
:9 hosts.lab.via bastion, inner
`; got != want {
		t.Errorf("settings:\n%s\nwant:\n%s", got, want)
	}
}

func TestLoad_Notify(t *testing.T) {
	path := home(t)
	for text, none := range map[string]bool{"notify = false": true, "notify = true": false, "": false} {
		put(t, path, text)
		if c, err := Load(); err != nil || c.NoNotices != none {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func TestLoad_None(t *testing.T) {
	path := home(t)
	c, err := Load()
	if err != nil || c.Path != path || c.DefaultHost != "" || len(c.Settings()) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// What is wrong is named with its line and with what to type instead.
func TestLoad_Wrong(t *testing.T) {
	for _, c := range []struct {
		text, want, try string
	}{
		{"defualt_host = 'a'", `:1: no key "defualt_host" at the top level`, "default_host = …"},
		{"\n\ndefault-host = 'a'", `:3: no key "default-host" at the top level`, "default_host = …"},
		{"Default_Host = 'a'", `:1: no key "Default_Host" at the top level`, "default_host = …"},
		{"[host.a]\ndir = 'x'", `:1: no key "host" at the top level`, "[hosts.NAME]"},
		{"[hosts.a]\n\ndirr = 'x'", `:3: no key "dirr" in [hosts.a]`, "dir = …"},
		{"[hosts.a]\nset_env = {}", `:2: no key "set_env" in [hosts.a]`, "setenv = …"},
		{"[hosts.a]\ngateways = ['x']", `:2: no key "gateways" in [hosts.a]`, "the keys here are: ssh, via, dir, env, setenv, engine, forward, follow_ports, hardened"},
		{"hosts.a.zzzzzzz = 'x'", `:1: no key "zzzzzzz" in [hosts.a]`, "the keys here are: ssh, via, dir, env, setenv, engine, forward, follow_ports, hardened"},
		{"dir = 'x'", `:1: no key "dir" at the top level`, "put dir under [hosts.NAME]"},
		{"[hosts.a]\ndefault_host = 'a'", `:2: no key "default_host" in [hosts.a]`, "put default_host above the first [hosts.NAME]"},
		{"[hosts.gpu1.example]\ndir = 'x'", `:1: no key "example" in [hosts.gpu1]`, `quote a name with dots: [hosts."gpu1.example"]`},
		{"[hosts.'a.b'.example]\ndir = 'x'", `:1: no key "example" in [hosts."a.b"]`, `quote a name with dots: [hosts."a.b.example"]`},
		{"\nnotify = 1", ":2: notify must be true or false", "notify = false"},
		{"notfy = true", ":1: no key \"notfy\" at the top level", "notify = …"},
		{"notify_after = '5m'", ":1: notify_after is not in this version of nbremote", "leave the line out"},
		{"[proxies.prod]\nport = 1", ":1: proxies.prod has no via: the host in whose network it is", `via = ["bastion"]`},
		{"[proxies.prod]\nvia = ['a']\nport = 70000", ":3: proxies.prod.port must be a port, 1 to 65535", "port = 8157"},
		{"[proxies.prod]\nvia = ['a']\ndomains = 'x'", ":3: proxies.prod.domains must be a list of texts", `domains = ["*.internal"]`},
		{"[proxies.prod]\nvia = ['a']\ndomain = ['x']", `:3: no key "domain" in [proxies.prod]`, "domains = …"},
		{"proxies = 1", ":1: proxies must be a table", "[proxies.NAME]"},
		{"[proxys.prod]\nport = 1", `:1: no key "proxys" at the top level`, "[proxies.NAME]"},
		{"[hosts.a]\nforward = '1'", ":2: hosts.a.forward must be a list of texts", `forward = ["8888"]`},
		{"[hosts.a]\nengine = 'rust'", ":2: hosts.a.engine must be auto, native, openssh", `engine = "auto"`},
		{"[hosts.a]\nhardened = true\nfollow_ports = 1", ":3: hosts.a.follow_ports must be true or false", "follow_ports = false"},
		{"[hosts.a]\nhardened = 'yes'", ":2: hosts.a.hardened must be true or false", "hardened = true"},
		{"default_host = 1", ":1: default_host must be text", `default_host = "…"`},
		{"default_host = \"a\\u001b\"", ":1: default_host has a control character", "leave it out"},
		{"hosts = 1", ":1: hosts must be a table", "[hosts.NAME]"},
		{"[[hosts]]\n", ":1: hosts must be a table", "[hosts.NAME]"},
		{"[hosts]\n\na = 1", ":3: hosts.a must be a table", "[hosts.a]"},
		{"[hosts.a]\nvia = 'bastion'", ":2: hosts.a.via must be a list of texts", `via = ["bastion"]`},
		{"[hosts.a]\nvia = ['']", ":2: hosts.a.via has an empty entry or a control character", `via = ["bastion"]`},
		{"[hosts.a]\nvia = [1]", ":2: hosts.a.via must be a list of texts", `via = ["bastion"]`},
		{"[hosts.a]\nsetenv = ['A=1']", ":2: hosts.a.setenv must be a table", `setenv = { OMP_NUM_THREADS = "8" }`},
		{"[hosts.a]\nsetenv = { A = 8 }", ":2: A must be text", `A = "…", in quotes`},
		{"[hosts.a.setenv]\n\n\"A-B\" = '8'", `:3: "A-B" is not the name of an environment variable`, `setenv = { OMP_NUM_THREADS = "8" }`},
		{"[hosts.a.setenv]\nA = \"\\u0000\"", ":2: A has a zero byte", "leave it out"},
		{"a = 1\n\n= 2", ":3: ", ""},
		{"a = 'x\n", ":1: ", ""},
		{"default_host = 'a'\ndefault_host = 'b'", ":2: ", ""},
		{"[hosts.a]\n[hosts.b]\n[hosts.a]", ":3: ", ""},
	} {
		path := home(t)
		put(t, path, c.text)
		got, err := Load()
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got == nil || got.DefaultHost != "" || len(got.Hosts) > 0 {
			t.Errorf("%q: half of it is in force: %+v", c.text, got)
		}
		text := strings.TrimPrefix(err.Error(), path)
		if !strings.HasPrefix(text, c.want) || (c.try != "" && (text != c.want || wrong.Hint() != c.try)) {
			t.Errorf("%q:\n got %s, try: %s\nwant %s, try: %s", c.text, text, wrong.Hint(), c.want, c.try)
		}
		if wrong.Class() != "usage" || wrong.Hint() == "" || strings.ContainsAny(err.Error()+wrong.Hint(), "\n\x1b") {
			t.Errorf("%q: class %s, %q, try %q", c.text, wrong.Class(), err, wrong.Hint())
		}
	}
}

// A file in the working directory decides nothing.
func TestF4_ProjectFile(t *testing.T) {
	home(t)
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"config.toml", "nbremote.toml", ".nbremote.toml", "nbremote/config.toml", ".config/nbremote/config.toml"} {
		put(t, filepath.Join(dir, name), "default_host = 'evil'")
	}
	t.Setenv("XDG_CONFIG_HOME", ".")
	if c, err := Load(); err != nil || c.DefaultHost != "" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestF5_Bombs(t *testing.T) {
	for name, text := range map[string]string{
		"arrays":  "a = " + strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19-10),
		"inline":  "a = " + strings.Repeat("{a=", 300000),
		"dots":    strings.Repeat("a.", 500000) + "a = 1",
		"lines":   strings.Repeat("a = [\n", 100000),
		"headers": "[" + strings.Repeat("a.", 500000) + "a]",
		"keys":    strings.Repeat("k", 1<<20-10) + " = 1",
		"many":    manyKeys(),
	} {
		path := home(t)
		put(t, path, text)
		_, err := Load()
		if err == nil || len(err.Error()) > 500+len(path) {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

// A large file that is right is read in a moment.
func TestF5_LargeAndRight(t *testing.T) {
	var b strings.Builder
	for i := 0; b.Len() < 1<<18; i++ {
		fmt.Fprintf(&b, "[hosts.h%d]\ndir = 'x'\n", i)
	}
	path := home(t)
	put(t, path, b.String())
	began := time.Now()
	c, err := Load()
	if err != nil || len(c.Hosts) < 10000 || time.Since(began) > 30*time.Second {
		t.Errorf("%v, %v", err, time.Since(began))
	}
}

func manyKeys() string {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20-100; i++ {
		b.WriteString("[hosts.h" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + "]\n")
	}
	return b.String()
}

func FuzzF5_Parse(f *testing.F) {
	f.Add(sample)
	f.Add("hosts.a.b.c = 1")
	f.Add("[[hosts]]\n[hosts.a]")
	f.Add("a = [[{b=1}]]\n\n[x.\"y\\u001b\"]")
	f.Fuzz(func(t *testing.T, file string) {
		text, err := plainText("/c", []byte(file))
		if err == nil {
			var c *Config
			c, err = parse("/c", text)
			if err == nil {
				for _, s := range c.Settings() {
					if !strings.HasPrefix(s.From, "/c:") || s.From == "/c:0" {
						t.Errorf("%+v", s)
					}
				}
				return
			}
		}
		var wrong *Error
		if !errors.As(err, &wrong) || len(err.Error()) > 500 || wrong.Line > strings.Count(file, "\n")+1 {
			t.Errorf("%v", err)
		}
	})
}
