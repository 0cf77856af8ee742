package session

import (
	"strings"
	"testing"
)

var names = []string{
	"", "main", "proj", "proj-2", "Proj", "a.b", "a:b", "a_b", "gpu1", "gpu10", "-", "-a", "--", "a-", "z", "zz", "pizza", "z61", "a", "A",
	"train.ipynb", "with blank", "it's", `"`, "`touch pwn`", "$(touch pwn)", "#{pane_pid}", "#(touch pwn)", "%n", "new\nline", "tab\t", "\x1b[31m",
	"é", "e\u0301", "日本語", "..", ".", "/", "a/b", "*", "?", "=main", "main ", " main", "\xff\xfe", "\x00", "NBR_TEXT", strings.Repeat("x", 119),
	strings.Repeat("x", 120), strings.Repeat("x", 121), strings.Repeat("x", 122), strings.Repeat("日", 85), strings.Repeat("日", 84) + "月",
}

func TestEncode(t *testing.T) {
	seen := map[string]string{}
	for _, name := range names {
		enc := Encode(name)
		if other, ok := seen[enc]; ok {
			t.Errorf("%q and %q are both %q", name, other, enc)
		}
		seen[enc] = name
		checkWord(t, enc)
		if got, err := Decode(enc); err == nil && got != name || err != nil && !strings.Contains(enc, "zz") {
			t.Errorf("%q became %q, and that %q, %v", name, enc, got, err)
		}
	}
	for name, enc := range map[string]string{"main": "main", "proj-2": "proj-2", "a.b": "az2eb", "-a": "z2da"} {
		if Encode(name) != enc {
			t.Errorf("Encode(%q) = %q", name, Encode(name))
		}
	}
	for _, enc := range []string{"A", "az", "az2", "az2E", "z61", "-a", "a b", "zz", "zg1", "z\x00\x00", strings.Repeat("a", 121), Encode(names[len(names)-1])} {
		if name, err := Decode(enc); err == nil {
			t.Errorf("Decode(%q) = %q", enc, name)
		}
	}
}

func checkWord(t *testing.T, enc string) {
	t.Helper()
	if len(enc) == 0 || len(enc) > 120 || enc[0] == '-' || strings.Trim(enc, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		t.Errorf("%q is not a word", enc)
	}
}

func FuzzEncode(f *testing.F) {
	for _, name := range names {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		enc := Encode(name)
		checkWord(t, enc)
		if got, err := Decode(enc); got != name && (err == nil || !strings.Contains(enc, "zz")) {
			t.Errorf("%q became %q, and that %q, %v", name, enc, got, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, name := range names {
		f.Add(Encode(name))
	}
	f.Fuzz(func(t *testing.T, enc string) {
		if name, err := Decode(enc); err == nil && Encode(name) != enc {
			t.Errorf("%q became %q, and that %q", enc, name, Encode(name))
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte("session 4\nmain\nenc 4\nmain\nrunning 1\n1\npid 3\n123\nexit 2\n0\n\n"))
	f.Add([]byte("pid 1\n1\nsession 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		infos, _ := parseList(b)
		for _, i := range infos {
			if Encode(i.Name) != i.Enc || i.PID < 0 || i.Exit < -1 || i.Exit > 255 {
				t.Errorf("%+v", i)
			}
		}
	})
}
