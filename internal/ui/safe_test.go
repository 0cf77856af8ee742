package ui

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkSafe fails when s holds anything that a terminal obeys.
func checkSafe(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not UTF-8: %q", s)
	}
	for _, r := range s {
		if r != '\n' && harmful(r) {
			t.Errorf("%U came through in %q", r, s)
		}
	}
	for _, line := range strings.Split(s, "\n") {
		if len(line) > maxLine+len(cutMark) {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestD1_Escapes(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"plain, ü, 日本, 🙂\n\tnext", "plain, ü, 日本, 🙂\n\tnext"},
		{"\x1b]52;c;Zm9v\a", `\x1b]52;c;Zm9v\x07`},
		{"\x1b[2J\x1b[H", `\x1b[2J\x1b[H`},
		{"\x1bPq\x1b\\", `\x1bPq\x1b\`},
		{"a\rb", `a\x0db`},
		{"a\r\nb\r\n", "a\nb\n"},
		{"a\r", `a\x0d`},
		{"a\r\r\nb", "a\\x0d\nb"},
		{"\x7f\b\x00", `\x7f\x08\x00`},
		{"\u009b31m", `\u009b31m`},
		{"\x9b31m", `\x9b31m`},
		{"\xc2", `\xc2`},
		{"\xe2\x82", `\xe2\x82`},
		{"\xe2\x82x", `\xe2\x82x`},
		{"\xed\xa0\x80", `\xed\xa0\x80`},
		{"evil\u202etxt.exe\u2066\u200f", `evil\u202etxt.exe\u2066\u200f`},
		{"\u061c\u2028\ufeff\u200b", `\u061c\u2028\ufeff\u200b`},
		{"\U000e0041", `\U000e0041`},
		{"e\u0301 👩\u200d💻", "e\u0301 👩\u200d💻"},
		{"\ufffd", "\ufffd"},
	} {
		if got := Safe(c.in); got != c.want {
			t.Errorf("Safe(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	checkSafe(t, Safe(string(all)))
}

// What a host words reaches the terminal in many places: none may be raw.
func TestD1_EveryOutput(t *testing.T) {
	evil := "\x1b]0;title\a\u009b\u202e\r\xff"
	for _, progress := range []string{"transcript", "plain", "json"} {
		var out bytes.Buffer
		u := New(Options{Progress: progress, Stderr: &out, Verbose: 1})
		if progress == "transcript" {
			u.mode = transcript
		}
		u.Begin(evil)
		u.Note(evil)
		u.Verbose(evil)
		u.Line(evil, evil)
		u.Done(evil, evil)
		u.Ready(evil, evil, evil)
		u.Start(evil, evil).Done(evil)
		u.Start(evil, evil).Warn(evil)
		u.Start(evil, evil).Fail(evil)
		u.Error(&classed{text: evil, cause: evil + "!", hint: evil}, evil)
		if err := Table(&out, [][]string{{evil, evil}, {evil + "\n"}}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "\t") {
			t.Errorf("%s: a tab within a line", progress)
		}
		checkSafe(t, out.String())
		checkSafe(t, u.prompt(evil+"\n"+evil))
	}
}

func TestD2_LongLine(t *testing.T) {
	long := strings.Repeat("y", 3*maxLine)
	got := Safe(long + "\nshort\n" + strings.Repeat("\x1b", maxLine))
	checkSafe(t, got)
	if !strings.HasPrefix(got, long[:maxLine]+cutMark+"\nshort\n") {
		t.Errorf("cut wrongly: %.60q…", got[maxLine-5:])
	}
	var out bytes.Buffer
	w := SafeWriter(&out)
	for range 1000 {
		if n, err := io.WriteString(w, "yyyyyyyyyyyyyyyy"); n != 16 || err != nil {
			t.Fatal(n, err)
		}
	}
	io.WriteString(w, "\nnext\n")
	if want := strings.Repeat("y", maxLine) + cutMark + "\nnext\n"; out.String() != want {
		t.Errorf("a stream's line has %d bytes", out.Len())
	}
}

// The escaping does not depend on how the stream is cut.
func TestSafeWriter_Splits(t *testing.T) {
	const text = "ü\r\n\x1b[1m日\u202e\xe2\x82\r🙂\xf0\x9f\xff\n"
	for i := range len(text) {
		for j := i; j < len(text); j++ {
			var out bytes.Buffer
			w := SafeWriter(&out)
			for _, part := range []string{text[:i], text[i:j], text[j:]} {
				if n, err := io.WriteString(w, part); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
			}
			if out.String() != Safe(text) {
				t.Fatalf("cut at %d and %d: %q, want %q", i, j, out.String(), Safe(text))
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestSafeWriter_Error(t *testing.T) {
	if n, err := SafeWriter(full{}).Write([]byte("x")); n != 0 || err != io.ErrShortWrite {
		t.Error(n, err)
	}
}

func TestSafeJSON(t *testing.T) {
	in := "\x7f\u009b\u202e\U000e0041 ü\x1b\n"
	raw, err := json.Marshal(map[string]string{"a": in})
	if err != nil {
		t.Fatal(err)
	}
	safe := SafeJSON(raw)
	checkSafe(t, string(safe))
	var back map[string]string
	if err := json.Unmarshal(safe, &back); err != nil || back["a"] != in {
		t.Errorf("%q: %q, %v", safe, back["a"], err)
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "\x1b]52;c;x\a", "\xc2\x9b", "\xe2\x80\xae", "\xff\xfe", "\U000e0041"} {
		f.Add(s, uint(1))
	}
	f.Fuzz(func(t *testing.T, s string, cut uint) {
		got := Safe(s)
		checkSafe(t, got)
		if len(s) < maxLine/10 && Safe(got) != got {
			t.Errorf("not stable: %q", got)
		}
		var out bytes.Buffer
		w := &safeWriter{w: &out}
		at := int(cut % uint(len(s)+1))
		io.WriteString(w, s[:at])
		io.WriteString(w, s[at:])
		if whole := out.String() + string(w.e.rest(nil)); whole != got {
			t.Errorf("cut at %d: %q, want %q", at, whole, got)
		}
		if len(w.e.held) > 3 {
			t.Errorf("holds %d bytes", len(w.e.held))
		}
	})
}

// What a program prints is whole, and \r goes back; the rest is shown.
func TestOutputWriter(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	in := "10 %\r20 %\r\n\x1b[2J\xff" + long + "\né\r"
	want := "10 %\r20 %\r\n\\x1b[2J\\xff" + long + "\né\r"
	for _, step := range []int{1, 2, 3, 1000, len(in)} {
		var out strings.Builder
		w := OutputWriter(&out)
		for rest := in; rest != ""; {
			n := min(step, len(rest))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("by %d: %d bytes, want %d", step, out.Len(), len(want))
		}
	}
}
