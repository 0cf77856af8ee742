package socks

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
)

// pacProgram is the same for all: what it looks for stands before it, as data.
// It asks for no name's address, which would be looked up on this computer. An
// IPv4 address in IPv6 (::ffff:10.0.0.1) is that of IPv4.
const pacProgram = `
function words(text) {
  var list = text === "" ? [] : text.split(":"), i;
  for (i = 0; i < list.length; i++) {
    if (!/^[0-9a-f]{1,4}$/.test(list[i])) return null;
    list[i] = parseInt(list[i], 16);
  }
  return list;
}
function address(host) {
  var four = /^(.*:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host);
  if (four && !four[1]) return [+four[2] * 256 + +four[3], +four[4] * 256 + +four[5]];
  if (four) host = four[1] + (+four[2] * 256 + +four[3]).toString(16) + ":" + (+four[4] * 256 + +four[5]).toString(16);
  var halves = host.split("::"), head = words(halves[0]), tail = halves.length === 2 ? words(halves[1]) : [];
  if (halves.length > 2 || !head || !tail) return null;
  while (halves.length === 2 && head.length + tail.length < 8) head.push(0);
  head = head.concat(tail);
  if (head.length !== 8) return null;
  return head.slice(0, 6).join() === "0,0,0,0,0,65535" ? head.slice(6) : head;
}
function within(at, start, bits) {
  if (at.length !== start.length) return false;
  for (var i = 0; bits > 0; i++, bits -= 16) {
    var rest = Math.max(16 - bits, 0);
    if (at[i] >> rest !== start[i] >> rest) return false;
  }
  return true;
}
function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/^\[|\]$|\.$/g, "");
  var at = address(host), i;
  for (i = 0; i < names.length; i++) {
    var name = names[i], from = host.length - name.length;
    if (name === "*" || host === name) return proxy;
    if (name.charAt(0) === "." && from > 0 && host.substring(from) === name) return proxy;
  }
  for (i = 0; at && i < ranges.length; i++) {
    if (within(at, ranges[i][0], ranges[i][1])) return proxy;
  }
  return "DIRECT";
}
`

// pacRange is the first address of a range, in words of 16 bits, and how many
// bits its addresses have in common.
type pacRange [2]any

// PAC is a script that has a browser ask the SOCKS server at address for the
// hosts of some patterns, and for no other. A text that is no pattern is the
// name of no host.
func PAC(patterns []string, address string) []byte {
	names, ranges := []string{}, []pacRange{}
	for _, text := range patterns {
		p, err := ParsePattern(text)
		switch {
		case err != nil:
			names = append(names, text)
		case p.all:
			names = append(names, "*")
		case p.name != "":
			names = append(names, p.name)
		default:
			ranges = append(ranges, rangeOf(p.net))
		}
	}
	var b strings.Builder
	for _, v := range []struct {
		name string
		is   any
	}{{"proxy", "SOCKS5 " + address}, {"names", names}, {"ranges", ranges}} {
		raw, _ := json.Marshal(v.is) // with < and U+2028 escaped
		b.WriteString("var " + v.name + " = " + string(raw) + ";\n")
	}
	b.WriteString(strings.TrimPrefix(pacProgram, "\n"))
	return []byte(b.String())
}

func rangeOf(p netip.Prefix) pacRange {
	b, words := p.Addr().AsSlice(), []int{}
	for i := 0; i < len(b); i += 2 {
		words = append(words, int(b[i])<<8|int(b[i+1]))
	}
	return pacRange{words, p.Bits()}
}

// ServePAC serves a script at one path, to who asks for it by this port's own
// name: no page of another site may learn what is in it.
func ServePAC(port, path string, script func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		known := subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(path)) == 1
		switch {
		case r.Host != "127.0.0.1:"+port && r.Host != "localhost:"+port, r.Header.Get("Origin") != "":
			http.Error(w, "another address", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
		case !known:
			http.Error(w, "not here", http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
			w.Write(script())
		}
	})
}
