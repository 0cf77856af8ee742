package cli

import (
	"os"
	"path/filepath"
	"testing"

	"nbremote/internal/holder"
)

func TestParseForward(t *testing.T) {
	here, _ := filepath.Abs("local.sock")
	for text, want := range map[string]holder.TunnelSpec{
		"8888":                     {Port: 8888, Addr: "localhost:8888"},
		"8889:8888":                {Port: 8889, Addr: "localhost:8888"},
		"8889:jupyter-box:8888":    {Port: 8889, Addr: "jupyter-box:8888"},
		"80:my-host:4000":          {Port: 80, Addr: "my-host:4000"},
		"8889:[fd00::1]:80":        {Port: 8889, Addr: "[fd00::1]:80"},
		"127.0.0.1:8889:box:80":    {Port: 8889, Addr: "box:80"},
		"[127.0.0.1]:8889:[box]:8": {Port: 8889, Addr: "box:8"},
		"8889:/run/a:b.sock":       {Port: 8889, Network: "unix", Addr: "/run/a:b.sock"},
		"local.sock:/run/x.sock":   {Sock: here, Network: "unix", Addr: "/run/x.sock"},
		"/tmp/l:/run/x.sock":       {Sock: "/tmp/l", Network: "unix", Addr: "/run/x.sock"},
		"local.sock:box:80":        {Sock: here, Addr: "box:80"},
	} {
		want.Kind = holder.Forward
		if want.Network == "" {
			want.Network = holder.Elsewhere
		}
		got, err := parseForward(text)
		if err != nil || got.Port != want.Port || got.Sock != want.Sock || got.Addr != want.Addr || got.Network != want.Network || got.Kind != want.Kind {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", ":", "0", "65536", "x", "my-host:80", "8888:", "8888:a b:80", "8889:-oX:80", "0.0.0.0:8889:box:80", "*:8889:box:80", "1:2:3:4:5",
		"8889:[::1:80", "08:a:8", "/run/x.sock", "8889:$(id):80",
	} {
		if got, err := parseForward(text); classOf(err) != "usage" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// close takes the path of a socket as forward took it.
func TestClose_KnowsASocketByItsPath(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	sock, port := holder.Tunnel{}, holder.Tunnel{}
	sock.Sock, port.Name = filepath.Join(here, "x.sock"), "prod"
	for name, want := range map[string]bool{"x.sock": true, "./x.sock": true, sock.Sock: true, "y.sock": false, "": false, "prod": false} {
		if got := called(sock, name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if !called(port, "prod") || called(port, "") || called(port, here) {
		t.Error("a name is not known")
	}
}

func TestParseRemote(t *testing.T) {
	for text, want := range map[string]holder.TunnelSpec{
		"52698":                     {Port: 52698, Addr: "localhost:52698"},
		"52698:box:80":              {Port: 52698, Addr: "box:80"},
		"/run/x.sock:localhost:500": {Sock: "/run/x.sock", Addr: "localhost:500"},
		"~/a/x:500":                 {Sock: "a/x", Addr: "localhost:500"},
		"x.sock:500":                {Sock: "x.sock", Addr: "localhost:500"},
		"500:/run/y.sock":           {Port: 500, Network: "unix", Addr: "/run/y.sock"},
		"/run/x.sock:/run/y:z.sock": {Sock: "/run/x.sock", Network: "unix", Addr: "/run/y:z.sock"},
	} {
		got, err := parseRemote(text)
		if err != nil || got.Port != want.Port || got.Sock != want.Sock || got.Addr != want.Addr || got.Network != want.Network || got.Kind != holder.Remote {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "/run/x.sock", "my-host:80", "*:500:a:80", "/a:b:c:80", "x.sock:$(id):80"} {
		if got, err := parseRemote(text); classOf(err) != "usage" {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
