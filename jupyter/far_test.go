package jupyter

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"http://box:8888/lab":                        {Host: "box", Port: 8888, Path: "/lab"},
		"HTTPS://box/user/me/lab?token=abcdefgh#x":   {Secure: true, Host: "box", Port: 443, Path: "/user/me/lab", Token: "abcdefgh"},
		"http://10.0.3.7:8888":                       {Host: "10.0.3.7", Port: 8888, Path: "/"},
		"http://[fd00::7]:8888/?token=...":           {Host: "fd00::7", Port: 8888, Path: "/"},
		"http://box:8888/lab/tree/a%20b.ipynb?x=1":   {Host: "box", Port: 8888, Path: "/lab/tree/a%20b.ipynb"},
		"http://box.example.org:80/?reset&token=%41": {Host: "box.example.org", Port: 80, Path: "/", Token: "A"},
	} {
		if got, err := ParseAddress(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"gpu1", "ftp://box/", "http://me:secret@box/", "http://box:0/", "http://box:99999/", "http:///lab",
		"http://b ox/", "http://box//evil.com/", "http://box/?token=a%0ab", "http://box:8888:1/", "http://-x/", "http://"} {
		if _, err := ParseAddress(text); classed(err) != "usage" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func classed(err error) string {
	var c interface{ Class() string }
	if errors.As(err, &c) {
		return c.Class()
	}
	return ""
}

func TestAddress_Bases(t *testing.T) {
	for path, want := range map[string][]string{
		"/":                {"/"},
		"/lab":             {"/lab/", "/"},
		"/user/me/lab":     {"/user/me/lab/", "/user/me/", "/user/", "/"},
		"/user/me/":        {"/user/me/", "/user/", "/"},
		"/a/../b":          {"/a/", "/"},
		"/lab/tree/a%20b/": {"/lab/tree/a%20b/", "/lab/tree/", "/lab/", "/"},
	} {
		if got := (Address{Path: path}).bases(); !slices.Equal(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// What answers is looked at before any token is asked for; a base URL is found
// in the path; what is none of a Jupyter is said to be none.
func TestSee(t *testing.T) {
	answers := map[string]string{ // path -> body; others are 404, "403" is a refusal
		"/user/me/api": `{"version": "2.21.1"}`, "/user/me/api/status": "403",
		"/hub/api":  `{"version": "5.2.1"}`,
		"/open/api": `{"version": "2.0.0"}`, "/open/api/status": `{"started": "x", "kernels": 0}`,
		"/page": "<html>",
	}
	var hosts []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, r.Host)
		if r.Header.Get("Authorization") != "" || r.URL.RawQuery != "" {
			t.Errorf("%s: a token was sent", r.URL)
		}
		switch body, ok := answers[r.URL.Path]; {
		case !ok:
			w.WriteHeader(404)
		case body == "403":
			w.WriteHeader(403)
		default:
			w.Write([]byte(body))
		}
	}))
	defer server.Close()
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	at := func(path string) Address { return Address{Host: "box", Port: 8888, Path: path, Token: "secret"} }
	s, err := See(t.Context(), dial, at("/user/me/lab/tree/x.ipynb"))
	if err != nil || s.URL != "http://box:8888/user/me/" || s.Path != "/user/me/lab/tree/x.ipynb" || s.Session != "box:8888/user/me" || s.Version != "2.21.1" || s.Token != "" {
		t.Errorf("%+v, %v", s, err)
	}
	if network, addr := s.Far(); network != "far" || addr != "box:8888" {
		t.Errorf("%s %s", network, addr)
	}
	for _, host := range hosts {
		if host != "box:8888" {
			t.Errorf("Host %s", host)
		}
	}
	var no *NotJupyterError
	for path, reason := range map[string]string{"/page": "status 404", "/hub/home": "api/status is answered with status 404"} {
		if _, err := See(t.Context(), dial, at(path)); !errors.As(err, &no) || !strings.Contains(no.Reason, reason) {
			t.Errorf("%s: %v, %+v", path, err, no)
		}
	}
	var open *OpenServerError
	if _, err := See(t.Context(), dial, at("/open/lab")); !errors.As(err, &open) {
		t.Errorf("open: %v", err)
	}
	if _, err := See(t.Context(), silent(t), at("/")); !errors.As(err, &no) || !strings.Contains(no.Reason, "https") {
		t.Errorf("silent: %v", err)
	}
}

// silent hangs up when it was asked something.
func silent(t *testing.T) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { far.Read(make([]byte, 4096)); far.Close() }()
		t.Cleanup(func() { near.Close() })
		return near, nil
	}
}
