package socks

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// pacProgram is the same for all: what it looks for stands before it, as data.
// It asks for no name's address, which would be looked up on this computer.
const pacProgram = `
function number(host) {
  var m = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host);
  return m ? ((+m[1] * 256 + +m[2]) * 256 + +m[3]) * 256 + +m[4] : -1;
}
function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/\.$/, "");
  var n = number(host), i;
  for (i = 0; i < names.length; i++) {
    var name = names[i], at = host.length - name.length;
    if (name === "*" || host === name) return proxy;
    if (name.charAt(0) === "." && at > 0 && host.substring(at) === name) return proxy;
  }
  for (i = 0; n >= 0 && i < ranges.length; i++) {
    if (Math.floor(n / ranges[i][1]) === ranges[i][0]) return proxy;
  }
  return "DIRECT";
}
`

// PAC is a script that has a browser ask the SOCKS server at address for the
// hosts of some patterns, and for no other. A text that is no pattern is the
// name of no host.
func PAC(patterns []string, address string) []byte {
	names, ranges := []string{}, [][2]uint64{}
	for _, text := range patterns {
		p, err := ParsePattern(text)
		switch {
		case err != nil:
			names = append(names, text)
		case p.all:
			names = append(names, "*")
		case p.name != "":
			names = append(names, p.name)
		case p.net.Addr().Is4():
			ranges = append(ranges, numbers(p.net))
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

// CheckDomain refuses what is no pattern, or one that PAC cannot tell.
func CheckDomain(text string) error {
	p, err := ParsePattern(text)
	if err == nil && p.net.IsValid() && !p.net.Addr().Is4() {
		err = fmt.Errorf("%q: of addresses only those of IPv4 can be told apart", text)
	}
	return err
}

// numbers are what an address of the range gives when it is divided by the
// range's size, and that size.
func numbers(p netip.Prefix) [2]uint64 {
	b, size := p.Addr().As4(), uint64(1)<<(32-p.Bits())
	n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	return [2]uint64{n / size, size}
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
