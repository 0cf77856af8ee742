package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
)

// host is a home with a shell, beside a folder of this computer.
type host struct {
	home, here string
	remote.Local
}

func newHost(t *testing.T) *host {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatal("it needs python3")
	}
	dir := t.TempDir()
	h := &host{home: filepath.Join(dir, "home"), here: filepath.Join(dir, "here")}
	for _, d := range []string{h.home, h.here} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.Local.Env = []string{"HOME=" + h.home, "PATH=" + os.Getenv("PATH")}
	return h
}

func (h *host) get(t *testing.T, p remote.Piper, wish Wish) (Result, error) {
	return Get(limit(t), p, wish, func(State) {})
}

func (h *host) put(t *testing.T, p remote.Piper, wish Wish) (Result, error) {
	return Put(limit(t), p, wish, func(State) {})
}

// folder is the copy of a folder proj, which way "get" or "put", to a new name.
func (h *host) folder(way string) (from, to string, copying func(*testing.T, remote.Piper, Wish) (Result, error), wish Wish) {
	if way == "put" {
		return h.here, h.home, h.put, Wish{From: []string{h.here + "/proj"}, To: "new"}
	}
	return h.home, h.here, h.get, Wish{From: []string{"proj"}, To: h.here + "/new"}
}

func write(t *testing.T, name string, size int, mode os.FileMode) []byte {
	t.Helper()
	b := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(b)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(name, b, mode), os.Chmod(name, mode), os.Chtimes(name, time.Time{}, time.Unix(1700000000+int64(size), 123456789))); err != nil {
		t.Fatal(err)
	}
	return b
}

// tree makes a folder with what there can be.
func tree(t *testing.T, top string) {
	t.Helper()
	write(t, top+"/a.txt", 10, 0o640)
	write(t, top+"/empty", 0, 0o600)
	write(t, top+"/sub/deep/big", 3<<20+17, 0o644)
	write(t, top+"/sub/run.sh", 100, 0o755)
	write(t, top+"/odd/\n\x1b[2J\xff -x", 5, 0o444)
	for _, err := range []error{
		os.Symlink("../a.txt", top+"/sub/inside"), os.Symlink("../../elsewhere", top+"/sub/out"), os.Symlink("/etc/passwd", top+"/absolute"),
		syscall.Mkfifo(top+"/fifo", 0o600), os.Mkdir(top+"/nothing", 0o755), os.Chmod(top+"/odd", 0o555),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(top+"/odd", 0o755) })
}

// listing is what is below a folder: names, kinds, modes, times and bytes.
func listing(t *testing.T, top string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$1" && find . \( -type l -printf '%p -> %l\n' \) -o -type d -printf '%p %m\n' -o -type f -printf '%p %m %T@ ' -exec sha256sum {} + | sort`, "sh", top).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestCopy_BothWays(t *testing.T) {
	for _, way := range []string{"get", "put"} {
		h := newHost(t)
		from, to := h.home, h.here
		copying, wish := h.get, Wish{From: []string{"proj"}, To: h.here}
		if way == "put" {
			from, to = h.here, h.home
			copying, wish = h.put, Wish{From: []string{h.here + "/proj"}, To: "~"}
		}
		tree(t, from+"/proj")
		r, err := copying(t, h, wish)
		if err != nil || r.Failed != 0 || r.Files != 6 || len(r.Troubles) != 3 || r.Bytes != r.AllBytes {
			t.Errorf("%s: %+v, %v", way, r, err)
		}
		for _, odd := range []string{"fifo", "absolute", "sub/out"} {
			os.Remove(from + "/proj/" + odd)
		}
		if got, want := listing(t, to+"/proj"), listing(t, from+"/proj"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", way, got, want)
		}
		t.Cleanup(func() { os.Chmod(to+"/proj/odd", 0o755) })
		if r, err := copying(t, h, wish); err != nil || r.Already != 6 || r.Files != 0 || r.Failed != 0 {
			t.Errorf("%s again: %+v, %v", way, r, err)
		}
		// Of another time and the same bytes; other bytes; other bytes of another length.
		os.Chtimes(to+"/proj/a.txt", time.Time{}, time.Unix(5, 0))
		os.WriteFile(to+"/proj/sub/run.sh", bytes.Repeat([]byte("x"), 100), 0o600)
		os.WriteFile(to+"/proj/empty", []byte("mine"), 0o600)
		r, err = copying(t, h, wish)
		if err != nil || r.Already != 4 || r.Files != 0 || r.Failed != 2 || r.Troubles[0].Class != Exists || !strings.HasSuffix(r.Troubles[0].Path, "proj/empty") {
			t.Errorf("%s over others: %+v, %v", way, r, err)
		}
		if b, _ := os.ReadFile(to + "/proj/empty"); string(b) != "mine" {
			t.Errorf("%s: it was overwritten: %q", way, b)
		}
		wish.Force = true
		if r, err := copying(t, h, wish); err != nil || r.Failed != 0 || r.Files != 3 {
			t.Errorf("%s by force: %+v, %v", way, r, err)
		}
		if got, want := listing(t, to+"/proj"), listing(t, from+"/proj"); got != want {
			t.Errorf("%s by force: got\n%s\nwant\n%s", way, got, want)
		}
	}
}

func TestCopy_Names(t *testing.T) {
	h := newHost(t)
	write(t, h.home+"/one", 7, 0o600)
	write(t, h.home+"/d/x.csv", 8, 0o600)
	write(t, h.home+"/d/y.csv", 9, 0o600)
	get := func(want string, wish Wish) {
		t.Helper()
		r, err := h.get(t, h, wish)
		said := ""
		if err != nil {
			said = err.Error()
		}
		for _, trouble := range r.Troubles {
			said += trouble.Class
		}
		if !strings.Contains(said, want) || want == "" && said != "" {
			t.Errorf("%+v: %q, want %q", wish, said, want)
		}
	}
	get("", Wish{From: []string{"one"}, To: h.here + "/two"})
	get("", Wish{From: []string{"~/one"}, To: h.here + "/"})
	get("", Wish{From: []string{"d/*.csv"}, To: h.here, Folder: true})
	get("", Wish{From: []string{"d"}, To: h.here + "/copy"})
	get("", Wish{From: []string{"d/."}, To: h.here + "/contents"})
	get("not-found", Wish{From: []string{"nothing"}, To: h.here})
	get("find the folder", Wish{From: []string{"one"}, To: h.here + "/none/two"})
	get("find the folder", Wish{From: []string{"one"}, To: h.here + "/none", Folder: true})
	get("exists", Wish{From: []string{"d"}, To: h.here + "/two"})
	get("several", Wish{From: []string{"d/*"}, To: h.here + "/three"})
	for _, name := range []string{"two", "one", "x.csv", "y.csv", "copy/x.csv", "contents/x.csv"} {
		if _, err := os.Stat(h.here + "/" + name); err != nil {
			t.Error(err)
		}
	}
	if r, err := h.put(t, h, Wish{From: []string{h.here + "/copy"}, To: "none/x"}); err == nil || !strings.Contains(err.Error(), "find the folder") {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := h.put(t, h, Wish{From: []string{h.here + "/copy/", h.here + "/one"}, To: "new"}); err == nil || !strings.Contains(err.Error(), "find the folder") {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := h.put(t, h, Wish{From: []string{h.here + "/copy/"}, To: "other"}); err != nil || r.Files != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// breaking ends a pipe after so many bytes, in both directions.
type breaking struct {
	remote.Piper
	after int
}

type broke struct {
	io.ReadWriteCloser
	left atomic.Int64
}

func (b breaking) Pipe(ctx context.Context) (io.ReadWriteCloser, error) {
	p, err := b.Piper.Pipe(ctx)
	out := &broke{ReadWriteCloser: p}
	out.left.Store(int64(b.after))
	return out, err
}

func (b *broke) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	return n, b.count(n, err)
}

func (b *broke) Write(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Write(p)
	return n, b.count(n, err)
}

func (b *broke) count(n int, err error) error {
	if b.left.Add(-int64(n)) < 0 {
		b.ReadWriteCloser.Close()
		return io.ErrUnexpectedEOF
	}
	return err
}

// A copy that breaks leaves nothing under the final name, and goes on where it
// was when it is given again.
func TestCopy_GoesOn(t *testing.T) {
	for _, way := range []string{"get", "put"} {
		h := newHost(t)
		from, to := h.home, h.here
		copying, wish := h.get, Wish{From: []string{"big", "small"}, To: h.here}
		if way == "put" {
			from, to = h.here, h.home
			copying, wish = h.put, Wish{From: []string{h.here + "/big", h.here + "/small"}, To: ""}
		}
		big := write(t, from+"/big", 9<<20, 0o600)
		write(t, from+"/small", 50, 0o600)
		r, err := copying(t, breaking{h, 6 << 20}, wish)
		var lost *BrokenError
		if !errors.As(err, &lost) {
			t.Fatalf("%s: %+v, %v", way, r, err)
		}
		if _, err := os.Stat(to + "/big"); err == nil {
			t.Errorf("%s: half of it has its name", way)
		}
		left := glob(t, to+"/.nbremote-*")
		if way == "put" { // its Python was killed
			for _, name := range left {
				os.Remove(name)
			}
			left = []string{to + "/" + part("big")}
			os.WriteFile(left[0], big[:5<<20], 0o600)
		}
		if len(left) != 1 || left[0] != to+"/"+part("big") {
			t.Fatalf("%s: left %q", way, left)
		}
		var got atomic.Int64
		r, err = copying(t, counting{h, &got}, wish)
		if b, rerr := os.ReadFile(to + "/big"); err != nil || r.Files != 2 || !bytes.Equal(b, big) {
			t.Errorf("%s: %+v, %v, %v", way, r, err, rerr)
		}
		if n := got.Load(); n > 7<<20 || n == 0 {
			t.Errorf("%s: it began anew: %d bytes", way, n)
		}
		if left := glob(t, to+"/.nbremote-*"); len(left) != 0 {
			t.Errorf("%s: left %q", way, left)
		}
	}
}

// A folder that is copied to another name and breaks goes on in it, and is not
// copied into it; once it is whole, the next copy is.
func TestCopy_FolderGoesOn(t *testing.T) {
	for _, way := range []string{"get", "put"} {
		h := newHost(t)
		from, to, copying, wish := h.folder(way)
		write(t, from+"/proj/a", 1<<10, 0o600)
		write(t, from+"/proj/sub/b", 6<<20, 0o600)
		var lost *BrokenError
		if r, err := copying(t, breaking{h, 4 << 20}, wish); !errors.As(err, &lost) {
			t.Fatalf("%s: %+v, %v", way, r, err)
		}
		if _, err := os.Stat(to + "/new/a"); err != nil {
			t.Fatalf("%s: it did not break on its way: %v", way, err)
		}
		other := wish
		other.From = []string{filepath.Dir(wish.From[0]) + "/elsewhere"}
		write(t, from+"/elsewhere/c", 10, 0o600)
		if r, err := copying(t, h, other); err != nil || r.Failed != 0 {
			t.Errorf("%s, of another: %+v, %v", way, r, err)
		}
		for again := range 2 {
			if r, err := copying(t, h, wish); err != nil || r.Failed != 0 {
				t.Errorf("%s, again %d: %+v, %v", way, again, r, err)
			}
			_, below := os.Stat(to + "/new/proj")
			if (below == nil) != (again == 1) {
				t.Errorf("%s, again %d: %v", way, again, below)
			}
		}
		os.RemoveAll(to + "/new/elsewhere")
		os.RemoveAll(to + "/new/proj")
		for _, name := range glob(t, to+"/new/sub/.nbremote-*") { // its Python was killed
			os.Remove(name)
		}
		if got, want := listing(t, to+"/new"), listing(t, from+"/proj"); got != want {
			t.Errorf("%s: %s, want %s", way, got, want)
		}
		if left := glob(t, to+"/.nbremote-*"); len(left) != 0 {
			t.Errorf("%s: left %q", way, left)
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// counting counts the bytes of a pipe.
type counting struct {
	remote.Piper
	n *atomic.Int64
}

type counted struct {
	io.ReadWriteCloser
	n *atomic.Int64
}

func (c counting) Pipe(ctx context.Context) (io.ReadWriteCloser, error) {
	p, err := c.Piper.Pipe(ctx)
	return counted{p, c.n}, err
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// meddling does something, once, when so many bytes are written.
type meddling struct {
	remote.Piper
	after int
	do    func(p []byte, at int)
}

type meddled struct {
	io.ReadWriteCloser
	left int
	do   func(p []byte, at int)
}

func (m meddling) Pipe(ctx context.Context) (io.ReadWriteCloser, error) {
	p, err := m.Piper.Pipe(ctx)
	return &meddled{p, m.after, m.do}, err
}

func (m *meddled) Write(p []byte) (int, error) {
	if m.left > 0 && m.left < len(p) {
		p = bytes.Clone(p)
		m.do(p, m.left)
	}
	m.left -= len(p)
	return m.ReadWriteCloser.Write(p)
}

// What is damaged on the way to a host does not get its name, and neither does
// what another file has come before.
func TestPut_DoesNotArrive(t *testing.T) {
	h := newHost(t)
	write(t, h.here+"/big", 3<<20, 0o600)
	for want, do := range map[string]func(p []byte, at int){
		"its checksum is another": func(p []byte, at int) { p[at] ^= 1 },
		"something else has come": func([]byte, int) { os.WriteFile(h.home+"/big", []byte("other"), 0o600) },
	} {
		r, err := h.put(t, meddling{h, 2<<20 + 1000, do}, Wish{From: []string{h.here + "/big"}, To: "big"})
		if b, _ := os.ReadFile(h.home + "/big"); err != nil || r.Failed != 1 || !strings.Contains(r.Troubles[0].Text, want) || len(b) > 5 {
			t.Errorf("%+v, %v, %d bytes", r, err, len(b))
		}
		os.Remove(h.home + "/big")
		os.Remove(h.home + "/" + part("big"))
	}
	if r, err := h.put(t, h, Wish{From: []string{h.here + "/big"}, To: "big"}); err != nil || r.Files != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A file that changes while it is read is copied as it was read, which is said.
func TestCopy_Changed(t *testing.T) {
	h := newHost(t)
	grow := func(name string) {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("more")
			f.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}
	changed := func(r Result, err error, to string) {
		t.Helper()
		if i, serr := os.Stat(to); err != nil || serr != nil || r.Files != 1 || r.Failed != 1 || r.Troubles[0].Class != Changed || i.Size() != 9<<20 {
			t.Errorf("%+v, %v, %v", r, err, serr)
		}
	}
	write(t, h.here+"/up", 9<<20, 0o600)
	r, err := h.put(t, meddling{h, 2 << 20, func([]byte, int) { grow(h.here + "/up") }}, Wish{From: []string{h.here + "/up"}, To: ""})
	changed(r, err, h.home+"/up")

	write(t, h.home+"/down", 9<<20, 0o600)
	once := sync.OnceFunc(func() { grow(h.home + "/down") })
	r, err = Get(limit(t), h, Wish{From: []string{"down"}, To: h.here}, func(now State) {
		if now.Bytes > 1<<20 {
			once()
		}
	})
	changed(r, err, h.here+"/down")
}
