package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

var (
	topKeys   = append(keysOf(Config{}), "hosts", "proxies")
	hostKeys  = keysOf(Host{})
	proxyKeys = keysOf(Proxy{})
)

// later are the keys that were announced and are not here: what each is for.
var later = map[string]string{
	"notify_after": "notices about long scripts",
}

// keysOf are the keys of a table of the file, in the order of the struct.
func keysOf(table any) (keys []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(table)) {
		if key := f.Tag.Get("key"); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// unknown says of a key that is not understood which one was meant. of is
// hosts or proxies and name the [hosts.NAME] it stands in, "" at the top.
func (d *document) unknown(of, host, key string, p toml.Primitive) error {
	known, where := topKeys, "at the top level"
	if of != "" {
		known, where = hostKeys, "in ["+short(toml.Key{of, host}.String())+"]"
	}
	if of == "proxies" {
		known = proxyKeys
	}
	_, isTable := d.table(p)
	if _, is := later[key]; is {
		try := "leave the line out"
		if isTable {
			try = "leave it and what stands under it out"
		}
		return d.wrong(p, key+" is not in this version of nbremote", try)
	}
	text := fmt.Sprintf("no key %q %s", short(key), where)
	near := nearest(key, known)
	switch {
	case of == "" && slices.Contains(hostKeys, key):
		return d.wrong(p, text, "put "+key+" under [hosts.NAME]")
	case of != "" && slices.Contains(topKeys, key):
		return d.wrong(p, text, "put "+key+" above the first [hosts.NAME]")
	case near == "hosts" || near == "proxies":
		return d.wrong(p, text, "["+near+".NAME]")
	case near != "":
		return d.wrong(p, text, near+" = …")
	case of != "" && isTable:
		return d.wrong(p, text, fmt.Sprintf("quote a name with dots: [%s.%q]", of, short(host+"."+key)))
	}
	return d.wrong(p, text, "the keys here are: "+strings.Join(known, ", "))
}

// nearest is the known key that key was most likely meant to be, or "".
func nearest(key string, known []string) string {
	best, least := "", 1+len(key)/3
	for _, k := range known {
		if n := distance(key, k); n <= least {
			best, least = k, n-1
		}
	}
	return best
}

// distance is Levenshtein's, without the case; long keys are far from all.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if lower(a[i]) == lower(b[j]) {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	if c == '-' { // default-host
		return '_'
	}
	return c
}
