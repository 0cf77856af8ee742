package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nbremote/internal/remote"
)

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// fake is a host that says what a test wants.
type fake func(w *wire)

var mark = regexp.MustCompile(`printf 'begin %s\\n' ([0-9a-f]+)`)

func (f fake) Pipe(context.Context) (io.ReadWriteCloser, error) {
	near, far := io.Pipe()
	return &fakePipe{PipeReader: near, far: far, host: f}, nil
}

// fakePipe begins when the script is written, and looks at nothing else.
type fakePipe struct {
	*io.PipeReader
	far  *io.PipeWriter
	host fake
}

func (p *fakePipe) Write(b []byte) (int, error) {
	if m := mark.FindSubmatch(b); m != nil {
		go func() {
			defer p.far.Close()
			w := newWire(nil, p.far)
			io.WriteString(p.far, "begin "+string(m[1])+"\n")
			w.field("hello", "")
			p.host(&w)
			w.flush()
		}()
	}
	return len(b), nil
}

// said has the host send these fields: names and values by turns.
func said(all ...string) fake {
	return func(w *wire) {
		for i := 0; i < len(all); i += 2 {
			w.field(all[i], all[i+1])
		}
	}
}

const empty = "00000000" // the checksum of nothing

// around is a folder "in" to copy to, and beside it what must stay as it is.
func around(t *testing.T) (in string, unharmed func()) {
	t.Helper()
	dir := t.TempDir()
	in = filepath.Join(dir, "in")
	out := filepath.Join(dir, "out")
	for _, err := range []error{os.Mkdir(in, 0o755), os.Mkdir(out, 0o755), os.WriteFile(out+"/victim", []byte("unharmed"), 0o600), os.WriteFile(dir+"/victim", []byte("unharmed"), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink(out, in+"/planted")
	return in, func() {
		t.Helper()
		for _, name := range []string{dir, out} {
			entries, _ := os.ReadDir(name)
			want := map[string]int{dir: 3, out: 1}[name]
			if b, _ := os.ReadFile(name + "/victim"); len(entries) != want || string(b) != "unharmed" {
				t.Errorf("%v, %q", entries, b)
			}
		}
	}
}

// Names that lead elsewhere end the copy; nothing outside of the folder changes.
func TestD5_NamesFromAHost(t *testing.T) {
	for _, c := range [][]string{
		{"source", "../out"}, {"source", ".."}, {"source", "/etc"}, {"source", "a/b"}, {"source", "a\x00b"}, {"source", "."}, {"source", strings.Repeat("x", 256)},
		{"source", "a", "file", "644 0 0 0/b"},                             // in no folder
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 0/../victim"}, // up
		{"source", "a", "dir", "755 0 0 0", "dir", "755 0 0 0/..", "file", "644 0 0 0/../victim"},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 0//etc/passwd"},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 0/./x"},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 0/x\x00y"},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 /etc/passwd"},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 ../victim"},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 "},
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 0 0/x", "file", "644 0 0 0/x"},              // twice
		{"source", "a", "dir", "755 0 0 0", "link", "777 0 0 0/l\x00..", "file", "644 0 0 0/l/victim"}, // through a link
		{"source", "a", "dir", "755 0 0 0", "link", "777 0 0 0/l\x00b", "dir", "755 0 0 0/l", "dir", "755 0 0 0/l/x"},
		{"source", "a", "link", "777 0 0 0\x00../out", "dir", "755 0 0 0"},
		{"source", "a", "file", "644 0 -1 0"}, {"source", "a", "file", "x 0 0 0"}, {"source", "a", "file", "644 0 0"},
		{"source", "a", "file", "644 0 0 0", "file", "644 0 0 1"}, // two tops
		{"file", "644 0 0 0"},
	} {
		in, unharmed := around(t)
		r, err := Get(limit(t), said(append(c, "listed", "", "sent", "")...), Wish{From: []string{"x"}, To: in}, func(State) {})
		if err == nil || r.Files > 0 {
			t.Errorf("%q: %+v, %v", c, r, err)
		}
		unharmed()
	}
}

// A link of this computer's is not gone through, and what comes for one that
// leads out is left out.
func TestD5_LinksFromAHost(t *testing.T) {
	in, unharmed := around(t)
	r, err := Get(limit(t), said("source", "planted", "dir", "755 0 0 0", "file", "644 0 0 0/victim", "listed", "", "sent", ""),
		Wish{From: []string{"x"}, To: in, Force: true}, func(State) {})
	if err != nil || r.Failed != 1 || r.Troubles[0].Class != Exists {
		t.Errorf("%+v, %v", r, err)
	}
	unharmed()
	os.Mkdir(in+"/mine", 0o755)
	os.Symlink("mine", in+"/planted2")
	r, err = Get(limit(t), said("source", "planted2", "dir", "755 0 0 0", "file", "644 0 0 0/x", "listed", "", "sent", ""),
		Wish{From: []string{"x"}, To: in, Force: true}, func(State) {})
	if err != nil || r.Failed != 1 || r.Troubles[0].Class != Exists {
		t.Errorf("%+v, %v", r, err)
	}
	links := []string{"/etc/passwd", "../../out", "..", "x/../../out", "d/..", "a/b/../../..", `..`, "../in2", "./../.."}
	all := []string{"source", "s", "dir", "755 0 0 0"}
	for i, to := range links {
		all = append(all, "link", "777 0 0 0/l"+string(rune('a'+i))+"\x00"+to)
	}
	all = append(all, "link", "777 0 0 0/good\x00d/file", "dir", "755 0 0 0/d", "link", "777 0 0 0/d/up\x00../good", "listed", "", "sent", "")
	r, err = Get(limit(t), said(all...), Wish{From: []string{"x"}, To: in}, func(State) {})
	if err != nil || len(r.Troubles) != len(links) || r.Files != 2 || r.Failed != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, trouble := range r.Troubles {
		if trouble.Class != Skipped {
			t.Errorf("%+v", trouble)
		}
	}
	entries, _ := os.ReadDir(in + "/s")
	if len(entries) != 2 {
		t.Errorf("%v", entries)
	}
	unharmed()
}

// Bytes that are not what was listed, or not wanted, do not get a name.
func TestD5_BytesFromAHost(t *testing.T) {
	one := []string{"source", "a", "file", "4755 0 3 0", "listed", ""}
	for name, c := range map[string]struct {
		more []string
		err  bool
	}{
		"damaged":         {[]string{"begin", "0 0", "data", "abc", "end", empty + " ok", "sent", ""}, false},
		"cut":             {[]string{"begin", "0 0", "data", "ab"}, true},
		"not read":        {[]string{"begin", "0 0", "data", "ab", "end", "- Input/output error", "sent", ""}, false},
		"not wanted":      {[]string{"begin", "1 0", "sent", ""}, true},
		"less than none":  {[]string{"begin", "-1 0", "sent", ""}, true},
		"no file":         {[]string{"data", "abc", "sent", ""}, true},
		"no end":          {[]string{"begin", "0 0", "begin", "0 0", "sent", ""}, true},
		"from the middle": {[]string{"begin", "0 7", "data", "c", "end", empty + " ok", "sent", ""}, false},
		"much":            {[]string{"begin", "0 0", "data", strings.Repeat("x", piece+1)}, true},
		"never":           {[]string{"sent", ""}, true},
		"half":            {[]string{"begin", "0 0", "data", "ab", "sent", ""}, true},
	} {
		in, unharmed := around(t)
		r, err := Get(limit(t), said(append(one, c.more...)...), Wish{From: []string{"x"}, To: in}, func(State) {})
		if (err != nil) != c.err || r.Files != 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if entries, _ := os.ReadDir(in); len(entries) != 1 {
			t.Errorf("%s: left %v", name, entries)
		}
		unharmed()
	}
	in, _ := around(t)
	r, err := Get(limit(t), said(append(one, "begin", "0 0", "data", "abc", "end", "352441c2 changed", "sent", "")...), Wish{From: []string{"x"}, To: in}, func(State) {})
	if i, serr := os.Stat(in + "/a"); err != nil || serr != nil || r.Failed != 1 || r.Troubles[0].Class != Changed || i.Mode()&^0o755 != 0 {
		t.Errorf("%+v, %v, %v", r, err, i)
	}
}

// What comes to a name after the copy began, be it the copy's own where letters
// of both cases are one, is not replaced, not even by force.
func TestD5_SomethingElseComesMeanwhile(t *testing.T) {
	for _, before := range []string{"", "old"} {
		in, unharmed := around(t)
		if before != "" {
			os.WriteFile(in+"/a", []byte(before), 0o600)
		}
		r, err := Get(limit(t), fake(func(w *wire) {
			w.field("source", "a")
			w.field("file", "644 0 3 0")
			w.field("listed", "")
			w.field("begin", "0 0")
			w.flush() // all of it has been read
			w.field("data", "abc")
			w.flush()
			os.Remove(in + "/a")
			os.WriteFile(in+"/a", []byte("it came meanwhile"), 0o600)
			w.field("end", "352441c2 ok")
			w.field("sent", "")
		}), Wish{From: []string{"x"}, To: in, Force: true}, func(State) {})
		b, _ := os.ReadFile(in + "/a")
		if err != nil || r.Failed != 1 || r.Troubles[0].Class != Exists || string(b) != "it came meanwhile" {
			t.Errorf("%+v, %v, %q", r, err, b)
		}
		unharmed()
	}
}

// What the host says of its own failure is what is said here.
func TestCopy_TheHostFails(t *testing.T) {
	_, err := Get(limit(t), said("nbremote.class", "missing", "nbremote.fail", "no Python\x1b there", "nbremote.hint", "scp"), Wish{From: []string{"x"}, To: t.TempDir()}, func(State) {})
	var failed *remote.ScriptError
	if !errors.As(err, &failed) || failed.Class() != "missing" || failed.Hint() != "scp" {
		t.Errorf("%v", err)
	}
	_, err = Get(limit(t), said(), Wish{From: []string{"x"}, To: t.TempDir()}, func(State) {})
	if !errors.As(err, new(*BrokenError)) {
		t.Errorf("%v", err)
	}
	in := t.TempDir()
	ctx, cancel := context.WithCancelCause(limit(t))
	reason := errors.New("Ctrl-C")
	hangs := fake(func(w *wire) {
		w.field("source", "a")
		w.field("file", "644 0 9 0")
		w.field("listed", "")
		w.field("begin", "0 0")
		w.field("data", "abc")
		w.flush() // all of it has been read
		cancel(reason)
		<-ctx.Done()
	})
	if _, err := Get(ctx, hangs, Wish{From: []string{"x"}, To: in}, func(State) {}); err != reason {
		t.Errorf("%v", err)
	}
	if entries, _ := os.ReadDir(in); len(entries) != 0 {
		t.Errorf("left %v", entries)
	}
}

// FuzzFromAHost: whatever comes, nothing is written outside of the folder.
func FuzzD5_FromAHost(f *testing.F) {
	for _, seed := range [][]string{
		{"source", "a", "dir", "755 0 0 0", "file", "644 0 3 0/x", "link", "777 0 0 0/l\x00x", "listed", "", "begin", "0 0", "data", "abc", "end", empty + " ok", "sent", ""},
		{"source", "", "file", "644 0 0 0", "trouble", "other x\x00y", "listed", "", "same", "0 yes", "nbremote.fail", "x"},
	} {
		var b bytes.Buffer
		for i := 0; i < len(seed); i += 2 {
			remote.WriteField(&b, seed[i], seed[i+1])
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		in, unharmed := around(t)
		Get(t.Context(), fake(func(w *wire) { w.out.Write(sent) }), Wish{From: []string{"x"}, To: in, Force: true}, func(State) {})
		unharmed()
	})
}

// FuzzEntry: an entry that is taken stays where it is put, and is read as it is
// written.
func FuzzEntry(f *testing.F) {
	for _, seed := range []string{"644 5 3 0/a", "777 -1 0 0/l\x00../x", "755 0 0 0", "1 2 3 /x", "644 0 0 0/..", "644 0 0 0/a b\n\xff"} {
		f.Add("file", []byte(seed))
		f.Add("link", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, kind string, value []byte) {
		e, err := parseEntry(kind, value)
		if err != nil {
			return
		}
		if !filepath.IsLocal(filepath.FromSlash(e.path)) || filepath.Clean(e.path) != filepath.FromSlash(e.path) {
			t.Fatalf("%q", e.path)
		}
		if e.kind == "link" && staysInside(e.path, e.to) && !filepath.IsLocal(filepath.Join(filepath.Dir(e.path), e.to)) {
			t.Fatalf("%q to %q", e.path, e.to)
		}
		var b bytes.Buffer
		w := writer{bufio.NewWriter(&b)}
		w.entry(e)
		w.flush()
		r := newWire(bufio.NewReader(&b), nil)
		_, again, err := r.take(1 << 20)
		if kind != "file" && kind != "link" || err != nil {
			return
		}
		if same, err := parseEntry(kind, again); err != nil || same != e {
			t.Fatalf("%+v, %v, want %+v", same, err, e)
		}
	})
}
