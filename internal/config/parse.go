package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// document is a file while it is read. Values are taken one by one, not into a
// struct, because only so is the line of every wrong one known.
type document struct {
	path string
	md   toml.MetaData
	c    *Config
	set  []given
}

// given is a setting whose line was not looked up yet: that costs as much as
// reading the whole file once more.
type given struct {
	key, value string
	at         toml.Primitive
}

type table map[string]toml.Primitive

func parse(path, text string) (*Config, error) {
	d := &document{path: path, c: &Config{Path: path}}
	d.c.document = d
	top := table{}
	var err error
	if d.md, err = toml.Decode(text, &top); err != nil {
		return &Config{Path: path}, d.syntax(err)
	}
	for _, key := range sorted(top) {
		if err := d.top(key, top[key]); err != nil {
			return &Config{Path: path}, err
		}
	}
	return d.c, nil
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func (d *document) top(key string, p toml.Primitive) (err error) {
	switch key {
	case "default_host":
		d.c.DefaultHost, err = d.word(key, p)
		return err
	case "notify":
		d.c.NoNotices, err = d.no(key, p)
		return err
	case "hosts":
		return d.hosts(p)
	case "proxies":
		return d.proxies(p)
	}
	return d.unknown("", "", key, p)
}

func (d *document) hosts(p toml.Primitive) (err error) {
	d.c.Hosts, err = tables(d, "hosts", p, d.hostKey)
	return err
}

func (d *document) proxies(p toml.Primitive) (err error) {
	d.c.Proxies, err = tables(d, "proxies", p, d.proxyKey)
	if err != nil {
		return err
	}
	named, _ := d.table(p)
	for _, name := range sorted(d.c.Proxies) {
		if len(d.c.Proxies[name].Via) == 0 {
			return d.wrong(named[name], short(toml.Key{"proxies", name}.String())+" has no via: the host in whose network it is", `via = ["bastion"]`)
		}
	}
	return nil
}

// tables are those under [of.NAME], each read key by key.
func tables[T any](d *document, of string, p toml.Primitive, key func(x *T, name, key string, p toml.Primitive) error) (map[string]T, error) {
	named, ok := d.table(p)
	if !ok {
		return nil, d.wrong(p, of+" must be a table", "["+of+".NAME]")
	}
	all := make(map[string]T, len(named))
	for _, name := range sorted(named) {
		at := short(toml.Key{of, name}.String())
		keys, ok := d.table(named[name])
		if !ok {
			return nil, d.wrong(named[name], at+" must be a table", "["+at+"]")
		}
		var x T
		for _, k := range sorted(keys) {
			if err := key(&x, name, k, keys[k]); err != nil {
				return nil, err
			}
		}
		all[name] = x
	}
	return all, nil
}

func (d *document) hostKey(h *Host, name, key string, p toml.Primitive) (err error) {
	full := toml.Key{"hosts", name, key}.String()
	switch key {
	case "ssh":
		h.SSH, err = d.word(full, p)
	case "dir":
		h.Dir, err = d.word(full, p)
	case "env":
		h.Env, err = d.word(full, p)
	case "via":
		h.Via, err = d.words(full, p)
	case "engine":
		h.Engine, err = d.oneOf(full, p, "auto", "native", "openssh")
	case "setenv":
		h.Setenv, err = d.setenv(full, p)
	case "forward":
		h.Forward, err = d.words(full, p)
	case "follow_ports":
		h.NoFollow, err = d.no(full, p)
	case "hardened":
		h.Hardened, err = d.flag(full, p, "true")
	default:
		err = d.unknown("hosts", name, key, p)
	}
	return err
}

func (d *document) proxyKey(x *Proxy, name, key string, p toml.Primitive) (err error) {
	full := toml.Key{"proxies", name, key}.String()
	switch key {
	case "via":
		x.Via, err = d.words(full, p)
	case "port":
		x.Port, err = d.port(full, p)
	case "domains":
		x.Domains, err = d.words(full, p)
	case "allow":
		x.Allow, err = d.words(full, p)
	default:
		err = d.unknown("proxies", name, key, p)
	}
	return err
}

// port is that of a local listener.
func (d *document) port(key string, p toml.Primitive) (int, error) {
	var n int64
	if d.md.PrimitiveDecode(p, &n) != nil || n < 1 || n > 65535 {
		return 0, d.wrong(p, short(key)+" must be a port, 1 to 65535", last(key)+" = 8157")
	}
	d.note(key, strconv.FormatInt(n, 10), p)
	return int(n), nil
}

// table takes a table apart. The decoder alone would take a number for an
// empty one.
func (d *document) table(p toml.Primitive) (table, bool) {
	var v any
	if d.md.PrimitiveDecode(p, &v) != nil {
		return nil, false
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, false
	}
	t := table{}
	return t, d.md.PrimitiveDecode(p, &t) == nil
}

// word is a text without control characters.
func (d *document) word(key string, p toml.Primitive) (string, error) {
	var s string
	if d.md.PrimitiveDecode(p, &s) != nil {
		return "", d.wrong(p, short(key)+" must be text", last(key)+` = "…"`)
	}
	if hasControl(s) {
		return "", d.wrong(p, short(key)+" has a control character", "leave it out")
	}
	d.note(key, s, p)
	return s, nil
}

// no is whether what is on by itself is not wanted.
func (d *document) no(key string, p toml.Primitive) (off bool, err error) {
	on, err := d.flag(key, p, "false")
	return !on && err == nil, err
}

// flag is true or false; example is which of them is worth writing down.
func (d *document) flag(key string, p toml.Primitive, example string) (bool, error) {
	var v any
	if d.md.PrimitiveDecode(p, &v) == nil {
		if on, ok := v.(bool); ok {
			d.note(key, strconv.FormatBool(on), p)
			return on, nil
		}
	}
	return false, d.wrong(p, short(key)+" must be true or false", last(key)+" = "+example)
}

// oneOf is one of a few words.
func (d *document) oneOf(key string, p toml.Primitive, words ...string) (string, error) {
	s, err := d.word(key, p)
	if err == nil && !slices.Contains(words, s) {
		err = d.wrong(p, short(key)+" must be "+strings.Join(words, ", "), fmt.Sprintf("%s = %q", last(key), words[0]))
	}
	return s, err
}

// listExamples are entries of lists other than those of hosts.
var listExamples = map[string]string{"domains": "*.internal", "allow": "localhost:5432", "forward": "8888"}

func (d *document) words(key string, p toml.Primitive) ([]string, error) {
	var list []string
	example := last(key) + fmt.Sprintf(" = [%q]", cmp.Or(listExamples[last(key)], "bastion"))
	if d.md.PrimitiveDecode(p, &list) != nil {
		return nil, d.wrong(p, short(key)+" must be a list of texts", example)
	}
	for _, s := range list {
		if s == "" || hasControl(s) {
			return nil, d.wrong(p, short(key)+" has an empty entry or a control character", example)
		}
	}
	d.note(key, strings.Join(list, ", "), p)
	return list, nil
}

func (d *document) setenv(key string, p toml.Primitive) (map[string]string, error) {
	const try = `setenv = { OMP_NUM_THREADS = "8" }`
	values, ok := d.table(p)
	if !ok {
		return nil, d.wrong(p, short(key)+" must be a table", try)
	}
	out := make(map[string]string, len(values))
	for _, name := range sorted(values) {
		var s string
		v := values[name]
		switch {
		case !validName(name):
			return nil, d.wrong(v, fmt.Sprintf("%q is not the name of an environment variable", short(name)), try)
		case d.md.PrimitiveDecode(v, &s) != nil:
			return nil, d.wrong(v, short(name)+" must be text", short(name)+` = "…", in quotes`)
		case strings.ContainsRune(s, 0):
			return nil, d.wrong(v, short(name)+" has a zero byte", "leave it out")
		}
		out[name] = s
		d.note(key+"."+name, s, v)
	}
	return out, nil
}

func (d *document) note(key, value string, at toml.Primitive) {
	d.set = append(d.set, given{key, value, at})
}

func (d *document) settings() []Setting {
	out := make([]Setting, len(d.set))
	for i, g := range d.set {
		out[i] = Setting{g.key, g.value, fmt.Sprintf("%s:%d", d.path, d.line(g.at))}
	}
	return out
}

func (d *document) wrong(p toml.Primitive, text, try string) error {
	return &Error{Path: d.path, Line: d.line(p), Text: text, Try: try}
}

// syntax is the parser's own error: its line, and its word without the rest.
func (d *document) syntax(err error) error {
	var at toml.ParseError
	if !errors.As(err, &at) {
		return &Error{Path: d.path, Text: short(err.Error()), err: err}
	}
	text, _, _ := strings.Cut(at.Message, "\n")
	return &Error{Path: d.path, Line: max(at.Position.Line, 1), Text: short(text), Try: `key = "value", or [hosts.NAME]`}
}

// trip fails on purpose: the parser tells the line of a value only in errors.
type trip struct{}

func (*trip) UnmarshalTOML(any) error { return errors.New("here") }

// line is where a value stands; 1 where only its parts are written down.
func (d *document) line(p toml.Primitive) int {
	var at toml.ParseError
	if errors.As(d.md.PrimitiveDecode(p, &trip{}), &at) && at.Position.Line > 0 {
		return at.Position.Line
	}
	inner, _ := d.table(p)
	first := 0
	for _, v := range inner {
		if n := d.line(v); first == 0 || n < first {
			first = n
		}
	}
	return max(first, 1)
}

func last(key string) string { return short(key[strings.LastIndexByte(key, '.')+1:]) }

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || (r >= 0x7f && r < 0xa0) }) >= 0
}

// validName says whether a shell takes name as a variable's.
func validName(name string) bool {
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}
