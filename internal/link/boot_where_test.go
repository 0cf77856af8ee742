//go:build unix

package link

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// words makes a host whose places are words of sh.
func words(t *testing.T) Host {
	h := host(t)
	h.Setup, h.Dir, h.Spool, h.Python = ":\n", quote(h.Dir), quote(h.Spool), quote(h.Python)
	return h
}

// A carrier to another machine than is expected starts no relay there.
func TestBoot_AnotherMachine(t *testing.T) {
	h := words(t)
	heard := ""
	h.Machine, h.Heard = `"one 1"'.cluster:22'`, func(machine string) { heard = machine }
	h.Expect = "another"
	var elsewhere *ElsewhereError
	if err := failure(t, h, "sh", "-s"); !errors.As(err, &elsewhere) || elsewhere.Machine != "one 1.cluster:22" || heard != "" {
		t.Errorf("%v, heard %q", err, heard)
	}
	if left, _ := filepath.Glob(strings.Trim(h.Dir, "'") + "/*.sock"); len(left) > 0 {
		t.Errorf("a relay is there: %v", left)
	}
	h.Expect = "one"
	if err := failure(t, h, "sh", "-s"); err != nil || heard != "one 1.cluster:22" {
		t.Errorf("%v, heard %q", err, heard)
	}
}
