package sshx

import (
	"strings"
	"testing"
)

func FuzzKnownHosts(f *testing.F) {
	f.Add("gpu1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxPl2yeDXlcv/MqYJIWEOkS61olJHKxlY5wdWtn+hFn\n")
	f.Add("@revoked *,!x ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxPl2yeDXlcv/MqYJIWEOkS61olJHKxlY5wdWtn+hFn")
	f.Add("|1|AAAA|BBBB ssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, line string) {
		known := &knownHosts{}
		if err := known.add("file", 1, []byte(line), []string{"gpu1"}); err != nil && len(known.lines) > 0 {
			t.Errorf("%q: taken in spite of %v", line, err)
		}
		known.algorithms()
	})
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"?", "", false}, {"a*", "abc", true}, {"*c", "abc", true}, {"*b*", "abc", true},
		{"a?c", "abc", true}, {"a??c", "abc", false}, {"*?", "a", true}, {"*ab", "aab", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 200), false}, // in no time
	} {
		if got := wildcard(c.pattern, c.name); got != c.want {
			t.Errorf("%.20q, %.20q: %v", c.pattern, c.name, got)
		}
	}
}
