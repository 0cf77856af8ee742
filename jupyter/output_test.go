package jupyter

import (
	"os"
	"strings"
	"testing"
)

func TestParseOutput(t *testing.T) {
	for name, want := range map[string]struct{ url, token string }{
		"nb6":       {"http://127.0.0.1:18888/", "067f37164508bb10dda20cda1f19bae8650939f1f766f5f4"},
		"s1":        {"http://127.0.0.1:18888/", "f68470562f9937aa5351984d45d637b2ae680e2ed61e2681"},
		"s1-hidden": {"http://127.0.0.1:18888/", ""},
		"s2-lab":    {"http://127.0.0.1:18888/lab", "cdb9664cb8fb1198e32f779670772dfb0e5156602ca11f73"},
		"s2-base":   {"http://127.0.0.1:18888/a/b/", "38c4e7c5ba819d0edf0081a74192df7bd91d1d98d6f2efd1"},
		"s2-all":    {"http://127.0.0.1:18888/", "4ff0bfb40be87b61db24a5c42b816e07d4b78a5a2d342bab"},
		"s2-sock":   {"http+unix://%2Frun%2Fuser%2F1000%2Fs.sock/lab", "ff8d827864103d72f712787e42ea20b8153400a6e0976af4"},
		"s2-hidden": {"http://127.0.0.1:18888/lab", ""},
		"s2-open":   {"http://127.0.0.1:18888/", ""},
	} {
		text, err := os.ReadFile("testdata/output/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for how, text := range map[string]string{
			"plain":    string(text),
			"coloured": strings.ReplaceAll(strings.ReplaceAll(string(text), "[I ", "\x1b[32m[I "), "App]", "App]\x1b[m"),
			"crlf":     strings.ReplaceAll(string(text), "\n", "\r\n"),
			"again":    "[I x] Jupyter Server 2.0 is running at:\n[I x] http://127.0.0.1:1/?token=0000000000000000\n" + string(text),
		} {
			url, token, ok := ParseOutput(text)
			if !ok || url != want.url || token != want.token {
				t.Errorf("%s, %s: %q %q %v, want %q %q", name, how, url, token, ok, want.url, want.token)
			}
		}
	}
}

func TestParseOutput_Nothing(t *testing.T) {
	for _, text := range []string{
		"", "bash: jupyter: command not found", "see http://127.0.0.1:8888/?token=abcdefgh0123",
		"Jupyter Server 2.1 is running at:\n", "Jupyter Server 2.1 is running at:\nhttp://\n",
	} {
		if url, token, ok := ParseOutput(text); ok || url != "" || token != "" {
			t.Errorf("%q: %q %q %v", text, url, token, ok)
		}
	}
}

func TestD3_HostileOutput(t *testing.T) {
	head := "Jupyter Server 2.1 is running at:\n"
	for _, text := range []string{
		"javascript:alert(1)", "file:///etc/passwd?token=aaaaaaaaaaaa", "http://me@evil:80/?token=aaaaaaaaaaaa",
		"http://ev\x00il/", "http://a\\b/", strings.Repeat("x", 1<<20),
	} {
		if url, _, ok := ParseOutput(head + text + "\n"); ok {
			t.Errorf("%.40q is taken for %q", text, url)
		}
	}
	if _, token, _ := ParseOutput(head + "http://127.0.0.1:1/?token=--help;rm\n"); token != "" {
		t.Errorf("token %q", token)
	}
}

func FuzzParseOutput(f *testing.F) {
	f.Add("Jupyter Server 2.1 is running at:\nhttp://127.0.0.1:1/lab?token=0123456789\n")
	f.Add("\x1b[3\x1b[m is running at:\nhttp+unix://%2Fs/")
	f.Fuzz(func(t *testing.T, text string) {
		url, token, ok := ParseOutput(text)
		if !ok && url != "" || token != "" && !ownToken().MatchString(token) {
			t.Fatalf("%q %q %v", url, token, ok)
		}
		if ok && (!strings.HasPrefix(url, "http") || strings.ContainsAny(url, "\n\r\x00\\ ")) {
			t.Fatalf("url %q", url)
		}
	})
}
