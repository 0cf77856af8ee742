package remote

import (
	"strings"
	"testing"
)

func TestFollow(t *testing.T) {
	var got []string
	lines, err := Follow(strings.NewReader(strings.Repeat("x", 10000)+"\n\na\xffb\r\nlast"), 3, func(l string) { got = append(got, l) })
	if err != nil || len(got) != 5 || got[3] != "a?b" || got[4] != "last" || len(lines) != 3 || lines[2] != "last" {
		t.Errorf("%d %v %q", len(got), err, got[len(got)-1])
	}
}

func TestA3_EnvironmentNames(t *testing.T) {
	for name, want := range map[string]bool{"A": true, "_x1": true, "OMP_NUM_THREADS": true, "": false, "1A": false, "A-B": false, "A B": false, "A;B": false, "Ä": false} {
		if EnvName(name) != want {
			t.Errorf("%q", name)
		}
	}
}
