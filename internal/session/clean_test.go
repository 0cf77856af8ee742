//go:build linux

package session

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

// data is where our things are in the host's home.
func (h *testHost) data(parts ...string) string {
	return filepath.Join(append([]string{h.home, ".local/share/nbremote"}, parts...)...)
}

// value is what a script says of a variable of Dirs.
func (h *testHost) value(name string) string {
	h.t.Helper()
	return h.must(`printf %s "$` + name + `"`)
}

func (h *testHost) look() *Kept {
	h.t.Helper()
	k, err := Look(context.Background(), h)
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

func (h *testHost) clean(names ...string) *Kept {
	h.t.Helper()
	encs := []string{}
	for _, n := range names {
		encs = append(encs, Encode(n))
	}
	k, err := Clean(context.Background(), h, encs)
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

// tree is everything below a directory, with links not followed.
func tree(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$1" && find . -printf '%p %y %l\n' | sort; find . -type f -exec cat {} +`, "sh", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return string(out)
}

// old makes a path look untouched for days.
func old(t *testing.T, days int, paths ...string) {
	t.Helper()
	at := time.Now().Add(-time.Duration(days) * 24 * time.Hour)
	for _, p := range paths {
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func kinds(k *Kept) (out []string) {
	for _, l := range k.Left {
		out = append(out, fmt.Sprint(l.Count, " ", l.Kind))
	}
	slices.Sort(out)
	return out
}

func TestClean_WhatIsOverAndNothingElse(t *testing.T) {
	lab.Needs(t, "python3")
	h := newHost(t)
	if k := h.look(); len(k.Sessions)+len(k.Left)+len(k.Strange) != 0 {
		t.Errorf("a home without anything: %+v", k)
	}
	if _, err := os.Stat(h.data()); err == nil {
		t.Error("looking made a directory")
	}
	h.start("lives", "sleep 600")
	h.start("was it", "head -c 3000000 /dev/zero")
	h.ended("was it")
	host, run := h.value("NBR_HOST"), h.value("NBR_RUN")
	link := filepath.Join(run, "link")
	put(t, filepath.Join(link, "relay-0123456789ab.py"), strings.Repeat("x", 10000))
	put(t, filepath.Join(link, "relay-0123456789ab.lock"), "")
	put(t, filepath.Join(link, "relay-ba9876543210.py"), "y")
	other, err := net.Listen("unix", filepath.Join(link, "relay-ba9876543210.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	put(t, h.data("sessions", host, "half", "spec"), "{}")
	put(t, h.data("sessions", host, "begun", "spec"), "{}")
	put(t, h.data("sessions", "elsewhere-12345678", "x", "name"), "x")
	put(t, h.data("spool", "spool.1.1"), "z")
	put(t, h.data("spool", "spool.1.2"), "z")
	put(t, filepath.Join(run, "sabcdef", "s"), "")
	old(t, 1, h.data("sessions", host, "half"), filepath.Join(run, "sabcdef"))
	old(t, 9, h.data("spool", "spool.1.1"))
	old(t, 6, h.data("spool", "spool.1.2"))
	gone, err := os.MkdirTemp("/tmp", "nbr.")
	if err != nil {
		t.Fatal(err)
	}
	place := gone[:len("/tmp/nbr.")] + "Ab" + fmt.Sprintf("%06d", os.Getpid()%1000000)
	if err := os.Rename(gone, place); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	put(t, filepath.Join(place, "link", "relay-0123456789ab.py"), "")
	put(t, h.data("run", host+".11111111-2222-3333-4444-555555555555.1"), place)

	before := tree(t, h.home)
	k := h.look()
	if tree(t, h.home) != before {
		t.Error("looking changed something")
	}
	want := []string{"1 half", "1 record", "1 relay", "1 spool", "2 place"}
	if got := kinds(k); !slices.Equal(got, want) {
		t.Errorf("left over: %v, want %v", got, want)
	}
	if len(k.Sessions) != 2 || k.Relays != 1 || len(k.Others) != 1 || !k.Others[0].Perhaps || len(k.Strange) != 0 {
		t.Errorf("%+v", k)
	}
	for _, s := range k.Sessions {
		if s.Running != (s.Name == "lives") || s.Name == "was it" && s.Bytes < 2<<20 {
			t.Errorf("%+v", s)
		}
	}

	gone1 := h.clean("was it", "lives", "was never")
	if got := kinds(gone1); !slices.Equal(got, want) || len(gone1.Sessions) != 1 || gone1.Sessions[0].Enc != Encode("was it") {
		t.Errorf("removed: %v %+v", got, gone1.Sessions)
	}
	if i := h.info("lives"); !i.Running || i.PID == 0 {
		t.Errorf("what lived: %+v", i)
	}
	left := tree(t, h.data()) + tree(t, run)
	for _, has := range []string{"sessions/elsewhere-12345678/x/name", "spool.1.2", "relay-ba9876543210.py", "relay-ba9876543210.sock", "begun/spec"} {
		if !strings.Contains(left, has) {
			t.Errorf("%s is gone", has)
		}
	}
	for _, no := range []string{Encode("was it"), "half", "11111111-", "spool.1.1", "relay-0123456789ab.py", "sabcdef"} {
		if strings.Contains(left, no) {
			t.Errorf("%s is still there:\n%s", no, left)
		}
	}
	if _, err := os.Stat(place); err == nil {
		t.Errorf("%s is still there", place)
	}
}

// With the last thing go the directories; another's home is not needed for it,
// and neither is room.
func TestClean_LeavesNothing(t *testing.T) {
	h := newHost(t)
	h.start("done", "true")
	h.ended("done")
	run := h.value("NBR_RUN")
	h.clean("done")
	for _, dir := range []string{h.data(), run} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is still there:\n%s", dir, tree(t, dir))
		}
	}
}

// Whatever lies where our things lie: nothing outside of them goes.
func TestF1_CleanStaysAtHome(t *testing.T) {
	h := newHost(t)
	h.start("lives", "sleep 600")
	h.start("done", "true")
	h.ended("done")
	host, run := h.value("NBR_HOST"), h.value("NBR_RUN")
	mine := h.data("sessions", host)
	precious := filepath.Join(h.home, "precious")
	put(t, filepath.Join(precious, "name"), "done")
	put(t, filepath.Join(precious, "thesis.tex"), "ten years")
	put(t, filepath.Join(precious, "deep", "data.bin"), "and more")
	outside, err := os.MkdirTemp("/tmp", "nbr.precious")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(outside) })
	put(t, filepath.Join(outside, "x"), "kept")
	old(t, 100, filepath.Join(precious, "thesis.tex"), precious, outside)

	for _, at := range []string{
		filepath.Join(mine, "evil"), filepath.Join(mine, "two words"), filepath.Join(mine, "-rf"), filepath.Join(mine, "*"),
		filepath.Join(mine, "a\nb"), filepath.Join(run, "sabcdef"), h.data("sessions", "other-12345678"), h.data("spool", "spool.9.9"),
	} {
		os.MkdirAll(filepath.Dir(at), 0o700)
		if err := os.Symlink(precious, at); err != nil {
			t.Fatal(err)
		}
	}
	// What our own files say may lead anywhere too.
	put(t, filepath.Join(mine, Encode("done"), "run"), run+"/s/../..")
	put(t, filepath.Join(mine, Encode("liar"), "name"), "liar")
	put(t, filepath.Join(mine, Encode("liar"), "run"), precious)
	for i, where := range []string{precious, outside, "/tmp/nbr.a/../" + filepath.Base(outside), outside + "\n" + precious, "~", "", "/tmp/nbr.*******", h.home} {
		put(t, h.data("run", fmt.Sprintf("%s.11111111-2222-3333-4444-555555555555.%d", host, i+1)), where)
	}
	if err := os.Symlink(precious, h.data("run", host+".11111111-2222-3333-4444-555555555555.99")); err != nil {
		t.Fatal(err)
	}
	before, far := tree(t, precious), tree(t, outside)
	k := h.look()
	if len(k.Strange) < 6 {
		t.Errorf("named as strange: %q", k.Strange)
	}
	h.clean("done", "liar", "lives")
	if tree(t, precious) != before || tree(t, outside) != far {
		t.Errorf("something outside is gone:\n%s%s", tree(t, precious), tree(t, outside))
	}
	if _, err := Clean(context.Background(), h, []string{"../../../precious"}); err == nil {
		t.Error("it takes a path for a session")
	}
	if i := h.info("lives"); !i.Running {
		t.Errorf("%+v", i)
	}
	if _, err := os.Stat(filepath.Join(mine, Encode("done"))); err == nil {
		t.Error("what had ended is still there")
	}
}

// Where the directory is a link, or others may write in it, nothing is touched.
func TestF1_CleanOfAStrangeDirectory(t *testing.T) {
	h := newHost(t)
	precious := filepath.Join(h.home, "precious")
	put(t, filepath.Join(precious, "sessions", h.hostKey(), "done", "name"), "done")
	os.MkdirAll(filepath.Dir(h.data()), 0o700)
	if err := os.Symlink(precious, h.data()); err != nil {
		t.Fatal(err)
	}
	before := tree(t, precious)
	if k := h.clean("done"); len(k.Strange) != 1 || k.Strange[0] != h.data() || tree(t, precious) != before {
		t.Errorf("a link: %+v\n%s", k, tree(t, precious))
	}
	os.Remove(h.data())
	os.Rename(precious, h.data())
	os.Chmod(h.data(), 0o777)
	if k := h.clean("done"); len(k.Strange) != 1 || tree(t, h.data()) != before {
		t.Errorf("open to others: %+v", k)
	}
	os.RemoveAll(h.data())
}

// hostKey is NBR_HOST, and nothing is made for it.
func (h *testHost) hostKey() string {
	out, err := h.Run(context.Background(), remote.Prelude+remote.Places+`printf %s "$NBR_HOST"`)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(out)
}
