//go:build unix

package remote

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"nbremote/test/lab"
)

// nasty names, each of which has ended some program's quoting.
var nasty = []string{
	"", " ", "a b", "'", "''", `'\''`, `"`, `\`, `\\`, `a\`, "$(touch pwn)", "`touch pwn`", "';touch pwn;'", "\n", "a\n", "\na", "\r\n", "\t",
	"-n", "-e", "--", "-oProxyCommand=touch pwn", "%s", "%n%d", "#{pane_pid}", "#(touch pwn)", "~", "~root", "!", "!!", "!:0", "*", "?", "[a-z]",
	"$HOME", "${HOME}", "$((1+1))", "a&b", "a|b", "a;b", "a<b", "a>pwn", "(a)", "{a,b}", "=ls", "\x01\x1b[31m", "\x7f\xff\xfe", "é", "e\u0301", "日本語", " trailing ",
	".", "..", "../..", "/", "a/b", "\\n", "end", "begin", "}", "{", ")", "EOF", "NBR_TEXT", strings.Repeat("x", 255), strings.Repeat("'", 300),
}

// shells are the programs that a name must come through unharmed.
func shells(t *testing.T) [][]string {
	t.Helper()
	var out [][]string
	for _, name := range []string{"sh", "dash", "bash", "zsh", "busybox", "ksh", "mksh"} {
		if !lab.Has(t, name) {
			continue
		}
		path, _ := exec.LookPath(name)
		out = append(out, []string{path})
		if name == "busybox" {
			out[len(out)-1] = []string{path, "sh"}
		}
	}
	return out
}

// printed runs printf '%s\0' of each quoted value in a shell.
func printed(t testing.TB, shell, values []string) []string {
	t.Helper()
	var script strings.Builder
	for _, v := range values {
		fmt.Fprintf(&script, "printf '%%s\\0' %s\n", Quote(v))
	}
	cmd := exec.Command(shell[0], append(shell[1:], "-s")...)
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", shell, err)
	}
	if made, _ := os.ReadDir(cmd.Dir); len(made) > 0 {
		t.Fatalf("%v ran something: it made %v", shell, made)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestF1_Names(t *testing.T) {
	values := append([]string{}, nasty...)
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "'\"\\`$(){}[]<>|&;*?~!#%=^-\n\t\r ab\x01\x1b\x7f\x80\xff\xc3\xa9"
	for range 3000 {
		b := make([]byte, random.IntN(40))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		values = append(values, string(b))
	}
	for _, shell := range shells(t) {
		got := printed(t, shell, values)
		if len(got) != len(values) {
			t.Fatalf("%v: %d values came back of %d", shell, len(got), len(values))
		}
		for i, v := range values {
			if got[i] != v {
				t.Errorf("%v: %q came back as %q", shell, v, got[i])
			}
		}
	}
}

func TestQuote_LeavesOutNUL(t *testing.T) {
	if got := Quote("a\x00b"); got != "'ab'" {
		t.Errorf("Quote = %s", got)
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range nasty {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ReplaceAll(s, "\x00", "")
		if got := printed(t, []string{"/bin/sh"}, []string{s}); len(got) != 1 || got[0] != want {
			t.Errorf("%q came back as %q", want, got)
		}
	})
}

// A field must come through put byte for byte too.
func TestPut_Exact(t *testing.T) {
	var script strings.Builder
	for _, v := range nasty {
		fmt.Fprintf(&script, "put x %s\n", Quote(v))
	}
	for _, locale := range []string{"C", "C.UTF-8", "de_DE.UTF-8", ""} {
		l := Local{Env: append(os.Environ(), "LC_ALL="+locale)}
		out, err := l.Run(context.Background(), Prelude+script.String())
		if err != nil {
			t.Fatal(err)
		}
		fields, err := ParseFields(out)
		if err != nil || len(fields) != len(nasty) {
			t.Fatalf("LC_ALL=%s: %d fields of %d: %v", locale, len(fields), len(nasty), err)
		}
		for i, f := range fields {
			if !bytes.Equal(f.Value, []byte(nasty[i])) {
				t.Errorf("LC_ALL=%s: %q came back as %q", locale, nasty[i], f.Value)
			}
		}
	}
}
