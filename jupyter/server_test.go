package jupyter

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
)

func TestParseRuntime(t *testing.T) {
	for name, want := range map[string]Server{
		"nb6":     {PID: 12354, Port: 18888, BaseURL: "/", Token: "067f37164508bb10dda20cda1f19bae8650939f1f766f5f4"},
		"s1":      {PID: 12547, Port: 18888, BaseURL: "/", Token: "f68470562f9937aa5351984d45d637b2ae680e2ed61e2681", Version: "1.24.0"},
		"s2-base": {PID: 13438, Port: 18888, BaseURL: "/a/b/", Token: "38c4e7c5ba819d0edf0081a74192df7bd91d1d98d6f2efd1", Version: "2.21.1"},
		"s2-all":  {PID: 13514, Port: 18888, BaseURL: "/", Token: "4ff0bfb40be87b61db24a5c42b816e07d4b78a5a2d342bab", Version: "2.21.1"},
		"s2-sock": {PID: 13229, Sock: "/run/user/1000/s.sock", BaseURL: "/", Token: "ff8d827864103d72f712787e42ea20b8153400a6e0976af4", Version: "2.21.1"},
		"s2-open": {PID: 13660, Port: 18888, BaseURL: "/", Version: "2.21.1"},
	} {
		b, err := os.ReadFile("testdata/runtime/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want.Dir, want.Path = "/home/me", want.BaseURL
		got, err := parseRuntime(b)
		if err != nil || *got != want {
			t.Errorf("%s: %+v %v, want %+v", name, got, err, want)
		}
	}
}

// hostileRuntime are runtime files that must not be believed.
var hostileRuntime = []string{
	``, `null`, `[]`, `{"pid":1}`, `{"pid":"12"}`,
	`{"pid":12,"port":0}`, `{"pid":12,"port":65536}`, `{"pid":12,"port":-1}`, `{"pid":12,"port":1e99}`,
	`{"pid":12,"port":80,"base_url":"//evil.com/"}`, `{"pid":12,"port":80,"base_url":"javascript:alert(1)"}`,
	`{"pid":12,"port":80,"base_url":"/a\\b/"}`, `{"pid":12,"port":80,"base_url":"/\n/"}`, `{"pid":12,"port":80,"base_url":"@evil.com/"}`,
	`{"pid":12,"port":80,"base_url":"/a"}`, `{"pid":12,"port":80,"base_url":"/a/../b/"}`, `{"pid":12,"port":80,"base_url":"/a?b/"}`,
	`{"pid":12,"port":80,"token":"a\nb"}`, `{"pid":12,"port":80,"token":"a b"}`, `{"pid":12,"port":80,"token":"a\r\nX: y"}`,
	`{"pid":12,"port":80,"hostname":"evil.com/"}`, `{"pid":12,"port":80,"hostname":"-oProxyCommand=x"}`, `{"pid":12,"port":80,"hostname":"a b"}`,
	`{"pid":12,"port":80,"hostname":"a@b"}`, `{"pid":12,"port":80,"hostname":"[::1]"}`,
	`{"pid":12,"sock":"relative"}`, `{"pid":12,"sock":"/a\u0000b"}`, `{"pid":12,"port":80,"secure":true}`,
	`{"pid":12,"port":80,"root_dir":"/a\u0000"}`,
	`{"pid":12,"sock":"/` + strings.Repeat("x", 107) + `"}`,
	`{"pid":12,"port":80,"token":"` + strings.Repeat("x", 1<<20) + `"}`,
}

func TestD3_HostileRuntimeFile(t *testing.T) {
	for _, text := range hostileRuntime {
		if s, err := parseRuntime([]byte(text)); err == nil {
			t.Errorf("%.80s is believed: %+v", text, s)
		}
	}
	s, err := parseRuntime([]byte(`{"pid":12,"port":80,"version":"\u001b]0;x\u0007"}`))
	if err != nil || s.Version != "" {
		t.Errorf("version %q, %v", s.Version, err)
	}
}

func FuzzParseRuntime(f *testing.F) {
	for _, text := range hostileRuntime {
		if len(text) < 1000 {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte(`{"pid":12,"port":80,"base_url":"/a/b/","hostname":"::1","token":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseRuntime(b)
		if err != nil {
			return
		}
		network, addr := s.Far()
		if network == "tcp" {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				t.Fatal(err)
			}
		}
		if !validBase(s.BaseURL) || !validToken(s.Token) || strings.ContainsAny(addr, "\x00\r") {
			t.Fatalf("%+v", s)
		}
	})
}

func TestFar(t *testing.T) {
	for want, s := range map[string]*Server{
		"unix /run/s":         {Sock: "/run/s", Port: 9},
		"tcp 127.0.0.1:8888":  {Port: 8888},
		"tcp [::1]:8888":      {Host: "::1", Port: 8888},
		"tcp 10.1.2.3:8888":   {Host: "10.1.2.3", Port: 8888},
		"tcp node-3.lan:8888": {Host: "node-3.lan", Port: 8888},
	} {
		if network, addr := s.Far(); network+" "+addr != want {
			t.Errorf("%s %s, want %s", network, addr, want)
		}
	}
	if w := (&Server{Port: 8888}).Where(); w != "8888" {
		t.Error(w)
	}
}

func TestPage(t *testing.T) {
	for _, c := range []struct{ ui, file, want string }{
		{"lab", "", "/b/lab"}, {"", "", "/b/lab"}, {"notebook", "", "/b/tree"}, {"server", "", "/b/"},
		{"lab", "a b/ü%#?.ipynb", "/b/lab/tree/a%20b/%C3%BC%25%23%3F.ipynb"},
		{"notebook", "x.ipynb", "/b/notebooks/x.ipynb"}, {"notebook", "x.py", "/b/edit/x.py"}, {"server", "x.ipynb", "/b/"},
	} {
		if got := page("/b/", c.ui, c.file); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.ui, c.file, got, c.want)
		}
	}
}

func TestServerCrossesAsJSON(t *testing.T) {
	s := Server{Session: "main", Token: "secret", Sock: "/s", BaseURL: "/", Path: "/lab"}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again Server
	if err := json.Unmarshal(b, &again); err != nil || again != s {
		t.Errorf("%+v %v", again, err)
	}
}
