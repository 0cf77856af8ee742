package cli

import (
	"strings"
	"testing"
)

func TestCopySide(t *testing.T) {
	for arg, want := range map[string]struct{ host, path string }{
		"gpu1:x": {"gpu1", "x"}, "gpu1:": {"gpu1", ""}, "me@gpu1:~/a b": {"me@gpu1", "~/a b"}, "gpu1:22:x": {"gpu1:22", "x"},
		"gpu1:./2024": {"gpu1", "./2024"}, "[::1]:x": {"[::1]", "x"}, "ssh://me@gpu1/data": {"me@gpu1", "/data"},
		"x": {}, "./a:b": {}, "/a:b": {}, "a/b:c": {}, ":x": {}, "gpu1": {}, "..": {},
	} {
		w, far, err := copySide(arg)
		if err != nil || far != (want.host != "") || w.Host != want.host || w.Path != want.path {
			t.Errorf("%q: %+v, %v, %v", arg, w, far, err)
		}
	}
	for arg, says := range map[string]string{"gpu1:2024": "no path", "-oProxyCommand=x:y": "", "a b:c": "", "gpu1:99999": "port"} {
		if _, _, err := copySide(arg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", arg, err)
		}
	}
}
