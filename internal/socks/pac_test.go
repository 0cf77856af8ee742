package socks

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"nbremote/test/lab"
)

// node runs a PAC script for some hosts.
func node(t *testing.T, script []byte, hosts ...string) map[string]string {
	t.Helper()
	lab.Needs(t, "node")
	list, _ := json.Marshal(hosts)
	cmd := exec.Command("node", "-")
	cmd.Stdin = strings.NewReader("function evil() { console.log('evil'); process.exit(3); }\n" + string(script) +
		"\nvar out = {}; for (var h of " + string(list) + ") out[h] = FindProxyForURL('http://' + h + '/', h); console.log(JSON.stringify(out));\n")
	raw, err := cmd.CombinedOutput()
	var out map[string]string
	if err != nil || json.Unmarshal(raw, &out) != nil {
		t.Fatalf("%v: %s\n%s", err, raw, script)
	}
	return out
}

func TestPAC_WhatGoesWhere(t *testing.T) {
	script := PAC([]string{"*.internal", "Grafana.", "10.0.0.0/8", "192.168.7.9", "fd00::/8", "2001:db8:10::/45", "2001:db8::7"}, "127.0.0.1:8157")
	for host, way := range node(t, script, "a.internal", "A.B.Internal.", "internal", "xinternal", "a.internal.evil.com", "grafana", "xgrafana", "grafana.evil.com",
		"10.1.2.3", "11.0.0.1", "192.168.7.9", "192.168.7.10", "10.evil.com", "10.1.2", "localhost", "127.0.0.1",
		"fd12:3456::1", "[FD12::1]", "fc00::1", "fe00::", "2001:db8::1:0:0:1", "2001:db8:10::", "2001:db8:17:ffff:ffff:ffff:ffff:ffff", "2001:db8:18::", "2001:db8:f::", "2001:db8:0:0:0:0:0:7", "2001:db8::8",
		"::ffff:10.1.2.3", "::ffff:a01:203", "::ffff:b00:1", "::a01:203", "::1", "::", "fd00::1::2", "fd00", "fd00:", "fd00:1:2:3:4:5:6:7:8", "fd00:1:2:3:4:5:6", "fd00::12345", "fd00::1%eth0") {
		want := "DIRECT"
		switch strings.ToLower(host) {
		case "a.internal", "a.b.internal.", "grafana", "10.1.2.3", "192.168.7.9", "fd12:3456::1", "[fd12::1]", "2001:db8:10::", "2001:db8:17:ffff:ffff:ffff:ffff:ffff",
			"2001:db8:0:0:0:0:0:7", "::ffff:10.1.2.3", "::ffff:a01:203":
			want = "SOCKS5 127.0.0.1:8157"
		}
		if way != want {
			t.Errorf("%s: %s", host, way)
		}
	}
	for host, way := range node(t, PAC([]string{"*"}, "127.0.0.1:1"), "a", "10.0.0.1", "fd00::1") {
		if way != "SOCKS5 127.0.0.1:1" {
			t.Errorf("all: %s: %s", host, way)
		}
	}
}

// A pattern is data, whatever is in it.
func TestS5_PatternsAreData(t *testing.T) {
	hostile := []string{`");evil("`, "]]>", "</script><script>evil()</script>", "\u2028evil()", "\\", "`${evil()}`", "*.a\");evil(\"", "\nevil()\n", "\x00", "*/evil()/*"}
	script := PAC(append(hostile, "*.internal"), "127.0.0.1:8157")
	if got := node(t, script, "a.internal", "evil", "b"); got["a.internal"] != "SOCKS5 127.0.0.1:8157" || got["evil"] != "DIRECT" || got["b"] != "DIRECT" {
		t.Errorf("got %v", got)
	}
	if strings.ContainsAny(string(script), "\u2028\x00") || strings.Contains(string(script), "</script>") {
		t.Errorf("%s", script)
	}
	for _, text := range hostile {
		if _, err := ParsePattern(text); err == nil {
			t.Errorf("%q is taken for a pattern", text)
		}
	}
}

// Only who knows the address gets the script, and no page of another site.
func TestS5_PACIsGuarded(t *testing.T) {
	h := ServePAC("8158", "/0123/proxy.pac", func() []byte { return []byte("script") })
	for name, c := range map[string]struct {
		method, host, path, origin string
		code                       int
	}{
		"right":          {"GET", "127.0.0.1:8158", "/0123/proxy.pac", "", 200},
		"localhost":      {"GET", "localhost:8158", "/0123/proxy.pac", "", 200},
		"rebound":        {"GET", "evil.com:8158", "/0123/proxy.pac", "", 403},
		"no port":        {"GET", "127.0.0.1", "/0123/proxy.pac", "", 403},
		"foreign origin": {"GET", "127.0.0.1:8158", "/0123/proxy.pac", "http://evil.com", 403},
		"guessed":        {"GET", "127.0.0.1:8158", "/proxy.pac", "", 404},
		"longer":         {"GET", "127.0.0.1:8158", "/0123/proxy.pac/", "", 404},
		"POST":           {"POST", "127.0.0.1:8158", "/0123/proxy.pac", "", 405},
	} {
		r := httptest.NewRequest(c.method, "http://"+c.host+c.path, nil)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code || w.Code != 200 && strings.Contains(w.Body.String(), "script") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		head := w.Result().Header
		if c.code == http.StatusOK && head.Get("Content-Type") != "application/x-ns-proxy-autoconfig" || head.Get("X-Content-Type-Options") != "nosniff" || head.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", name, head)
		}
	}
}
