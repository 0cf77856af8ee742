package jupyter

import "testing"

// What a process printed is taken for its address only where it can be one.
func TestForeign_FromOutput(t *testing.T) {
	const at = "[I 2026-11-22 19:55:46.877 ServerApp] Jupyter Server 2.21.1 is running at:\n[I ServerApp] "
	for said, want := range map[string]*Server{
		at + "http://127.0.0.1:8888/lab?token=0123456789ab\n":            {Port: 8888, BaseURL: "/", Token: "0123456789ab"},
		at + "http://127.0.0.1:8889/user/me/tree?token=0123456789ab\n":   {Port: 8889, BaseURL: "/user/me/", Token: "0123456789ab"},
		at + "http://127.0.0.1:8888/lab?token=...\n":                     {Port: 8888, BaseURL: "/", Hidden: true},
		at + "http://127.0.0.1:8888/lab\n":                               {Port: 8888, BaseURL: "/"},
		at + "http+unix://%2Frun%2Fme%2Fs.sock/lab?token=0123456789ab\n": {Sock: "/run/me/s.sock", BaseURL: "/", Token: "0123456789ab"},
		at + "http://127.0.0.1:0/lab?token=0123456789ab\n":               nil,
		at + "https://127.0.0.1:8888/lab?token=0123456789ab\n":           nil,
		at + "http://127.0.0.1:8888/a//b/lab?token=0123456789ab\n":       nil,
		"http://127.0.0.1:8888/lab?token=0123456789ab\n":                 nil,
	} {
		f := &foreign{pid: 7, dir: "/home/me", said: said}
		got := f.fromOutput()
		if want != nil {
			want.PID, want.Dir, want.Path = 7, "/home/me", want.BaseURL
		}
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: %+v, want %+v", said, got, want)
		}
	}
	if (&foreign{pid: 7, dir: "home", said: at + "http://127.0.0.1:8888/"}).fromOutput() != nil {
		t.Error("with no directory")
	}
}
