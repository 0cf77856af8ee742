//go:build unix

package link

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nbremote/test/lab"
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

// Where Python is not there the script asks for what looks for one, and its
// failures are told as before.
func TestBoot_SeeksPython(t *testing.T) {
	lab.Needs(t, "python3")
	python, _ := exec.LookPath("python3")
	for _, shell := range []string{"dash", "bash", "busybox ash", "ksh", "zsh", "mksh", "yash"} {
		argv := append(strings.Fields(shell), "-s")
		if !lab.Has(t, argv[0]) {
			continue
		}
		h := words(t)
		found := ""
		h.Machine, h.Found = "'one 1:22'", func(python string) { found = python }
		h.Python, h.Seek = `"$NBR_NONE"`, "nbr_look() {\nNBR_PYTHON="+quote(python)+"\n}\n# "+strings.Repeat("more text ", 2000)+"\nnbr_look\n"
		if err := failure(t, h, argv...); err != nil || found != python {
			t.Errorf("%s: %v, found %q", shell, err, found)
		}
		h.Seek = "NBR_PYTHON=\n"
		if err := failure(t, h, argv...); err == nil || !strings.Contains(err.Error(), "there is no python3") {
			t.Errorf("%s: %v", shell, err)
		}
	}
}
