//go:build unix

package remote

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseFields(t *testing.T) {
	good := "home 5\n/home\nempty 0\n\nraw 4\n\n\x00\xff\n\n"
	fields, err := ParseFields([]byte(good))
	if err != nil || len(fields) != 3 || fields[0].Name != "home" || string(fields[2].Value) != "\n\x00\xff\n" || len(fields[1].Value) != 0 {
		t.Errorf("%+v, %v", fields, err)
	}
	for _, bad := range []string{
		"home", "home 5", "home 5\n/hom", "home 5\n/home", "home 5\n/homes\n", "home -1\n\n", "home +5\n/home\n", "home 05\n/home\n",
		"home 99999999999999999999\n\n", " 1\nx\n", "ho me 1\nx\n", "h\x00 1\nx\n", "home 1 \nx\n", "\n", "noise\nhome 5\n/home\n", "a 9223372036854775807\nx\n",
	} {
		if fields, err := ParseFields([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, fields)
		}
	}
}

func TestPutfile(t *testing.T) {
	dir := t.TempDir()
	binary := bytes.Repeat([]byte{0, 1, '\n', 0xff, 'x'}, 3000)
	for name, b := range map[string][]byte{"binary": binary, "empty": nil, "-dash": []byte("d"), "blank in": []byte("b\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := Local{Dir: dir}.Run(context.Background(), Prelude+`
		putfile a binary 100000; putfile b binary 7; puttail c binary 7; puttail d binary 15000
		putfile e empty 5; puttail f empty 5; putfile g -dash 5; putfile h 'blank in' 5
		putfile none missing 5; putfile none . 5; putfile none /dev/zero 5`)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := ParseFields(out)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"a": binary, "b": binary[:7], "c": binary[len(binary)-7:], "d": binary, "e": nil, "f": nil, "g": []byte("d"), "h": []byte("b\n")}
	if len(fields) != len(want) {
		t.Errorf("%d fields, want %d", len(fields), len(want))
	}
	for _, f := range fields {
		if !bytes.Equal(f.Value, want[f.Name]) {
			t.Errorf("%s: %d bytes %.20q, want %d", f.Name, len(f.Value), f.Value, len(want[f.Name]))
		}
	}
}

func FuzzParseFields(f *testing.F) {
	f.Add([]byte("home 5\n/home\nempty 0\n\n"))
	f.Add([]byte("x 3\na\nb\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := ParseFields(b)
		var again bytes.Buffer
		for _, f := range fields {
			fmt.Fprintf(&again, "%s %d\n%s\n", f.Name, len(f.Value), f.Value)
		}
		if err == nil && !bytes.Equal(again.Bytes(), b) || !bytes.HasPrefix(b, again.Bytes()) {
			t.Errorf("%q was read as %+v", b, fields)
		}
	})
}

func TestNextField(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("log 70000000000\n"))
	if name, size, err := NextField(r); name != "log" || size != 70000000000 || err != nil {
		t.Errorf("%q, %d, %v", name, size, err)
	}
	if _, _, err := NextField(r); err != io.EOF {
		t.Error(err)
	}
	for _, bad := range []string{"\n", "log\n", "log -1\n", "log x\n", "l g 1\n", " 1\n", "log 99999999999999999999\n", strings.Repeat("x", 1000)} {
		if name, size, err := NextField(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q gives %q, %d", bad, name, size)
		}
	}
}
