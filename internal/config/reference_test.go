package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write docs/config.md anew")

const referencePath = "../../docs/config.md"

// reference is docs/config.md, from the structs.
func reference() string {
	var b strings.Builder
	b.WriteString(`# Settings

` + "`~/.config/nbremote/config.toml`" + ` (` + "`$XDG_CONFIG_HOME`" + ` counts; on Windows ` + "`%AppData%\\nbremote\\config.toml`" + `). None is needed, no other
file is read, and one that others could write is refused. A key that is not known, or whose value makes no sense, is an error
with its line, exit code 2. ` + "`nbremote config`" + ` prints what is set, and where. A flag of a command wins over the file.

## At the top
`)
	keyTable(&b, Config{})
	b.WriteString("\n## Under `[hosts.NAME]`\nNAME is a host as it is typed; one with dots is quoted: `[hosts.\"gpu1.example.org\"]`.\n\n")
	keyTable(&b, Host{})
	b.WriteString("\n## Under `[proxies.NAME]`\nNAME is what `nbremote proxy NAME` is told: see [network.md](network.md).\n\n")
	keyTable(&b, Proxy{})
	b.WriteString("\n## Not yet\nThese are refused, so that none is believed to do something: ")
	names := []string{}
	for key, what := range later {
		names = append(names, "`"+key+"` ("+what+")")
	}
	sort.Strings(names)
	b.WriteString(strings.Join(names, ", ") + ".\n\n" +
		"This page is written by `go test ./internal/config -run Reference -rewrite` from the structs in\n[internal/config/config.go](../internal/config/config.go).\n")
	return b.String()
}

func keyTable(b *strings.Builder, of any) {
	b.WriteString("| key | type | default | range | example | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
		if tag := f.Tag; tag.Get("key") != "" {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s | `%s` | %s |\n", tag.Get("key"), tag.Get("type"), tag.Get("default"), tag.Get("range"), tag.Get("example"), tag.Get("doc"))
		}
	}
}

func TestReference_IsWhatTheStructsSay(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(referencePath, []byte(reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referencePath)
	if err != nil || string(have) != reference() {
		t.Errorf("docs/config.md is not what the structs say (%v): go test ./internal/config -run Reference -rewrite", err)
	}
}

// Each key has its tags; its example is taken and sets its field and no other,
// so that none is taken without effect.
func TestReference_Examples(t *testing.T) {
	path := home(t)
	for _, of := range []struct {
		table any
		head  string
	}{{Config{}, ""}, {Host{}, "[hosts.gpu1]\n"}, {Proxy{}, "[proxies.prod]\n"}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of.table)) {
			key := f.Tag.Get("key")
			if key == "" {
				continue
			}
			for _, tag := range []string{"type", "default", "example", "doc"} {
				if f.Tag.Get(tag) == "" {
					t.Errorf("%s has no %s", key, tag)
				}
			}
			text := of.head + f.Tag.Get("example") + "\n"
			if _, is := of.table.(Proxy); is && key != "via" {
				text += "via = [\"bastion\"]\n" // which each needs
			}
			put(t, path, text)
			c, err := Load()
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			got := reflect.ValueOf(*c)
			switch of.table.(type) {
			case Host:
				got = reflect.ValueOf(c.Hosts["gpu1"])
			case Proxy:
				got = reflect.ValueOf(c.Proxies["prod"])
			}
			for _, other := range reflect.VisibleFields(got.Type()) {
				if set := !got.FieldByIndex(other.Index).IsZero(); other.Tag.Get("key") != "" && set != (other.Name == f.Name) && other.Name != "Via" {
					t.Errorf("%s: %s is %v", key, other.Name, got.FieldByIndex(other.Index))
				}
			}
			if !slices.ContainsFunc(c.Settings(), func(s Setting) bool { return strings.Contains(s.Key, key) }) {
				t.Errorf("%s is not among the settings: %v", key, c.Settings())
			}
		}
	}
	for key := range later {
		put(t, path, "[hosts.gpu1]\n"+key+" = true\n")
		if _, err := Load(); err == nil || !strings.Contains(err.Error(), key+" is not in this version") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
