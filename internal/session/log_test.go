//go:build linux

package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"nbremote/internal/remote"
)

// maxTail is how much of a log's end is looked at for its last lines.
const maxTail = 256 << 10

// follow streams a log to its end.
func (h *testHost) follow(name string, lines int) (io.ReadCloser, func()) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w, err := Follow(ctx, h, name, WatchWish{Lines: lines})
	if err != nil {
		h.t.Fatal(err)
	}
	return &reading{Watch: w}, func() { w.Close(); cancel() }
}

// reading is a watch as a reader of the log.
type reading struct {
	*Watch
	left []byte
	end  *End
}

func (r *reading) Read(b []byte) (int, error) {
	for len(r.left) == 0 {
		if r.end != nil {
			return 0, io.EOF
		}
		p, err := r.Next()
		if err != nil {
			return 0, err
		}
		r.left, r.end = p.Data, p.End
	}
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}

// tailOf is the log's last lines.
func tailOf(h *testHost, name string, lines int) ([]byte, error) {
	w, err := Follow(context.Background(), h, name, WatchWish{Lines: lines, Once: true})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return io.ReadAll(&reading{Watch: w})
}

// ready waits until the log is followed.
func ready(t *testing.T, s io.Reader) {
	t.Helper()
	b := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(s, b); err != nil || string(b) != "ready\n" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestFollow_ToTheEnd(t *testing.T) {
	h := newHost(t)
	h.start("job", `echo ready; n=0; until [ -e "$HOME/go" ]; do sleep 0.05; done
		while [ $n -lt 3000 ]; do n=$((n+1)); echo "line $n"; [ $((n % 1000)) -ne 0 ] || sleep 0.4; done; printf 'no newline\000\377'`)
	s, done := h.follow("job", 10)
	defer done()
	ready(t, s)
	os.WriteFile(h.home+"/go", nil, 0o600)
	got, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for n := range 3000 {
		fmt.Fprintf(&want, "line %d\n", n+1)
	}
	want.WriteString("no newline\x00\xff")
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes, want %d", len(got), want.Len())
	}
	// It has ended: the last lines, and the end.
	for lines, want := range map[int]string{0: "", 1: "no newline\x00\xff", 2: "line 3000\nno newline\x00\xff"} {
		s, done := h.follow("job", lines)
		got, err := io.ReadAll(s)
		if err != nil || string(got) != want {
			t.Errorf("%d lines: %q, %v", lines, got, err)
		}
		done()
	}
}

// A reader slower than the writer gets every byte, also after the end.
func TestFollow_SlowReader(t *testing.T) {
	h := newHost(t)
	h.start("job", `echo ready; until [ -e "$HOME/go" ]; do sleep 0.05; done; head -c 3000000 /dev/zero`)
	s, done := h.follow("job", 10)
	defer done()
	ready(t, s)
	os.WriteFile(h.home+"/go", nil, 0o600)
	h.ended("job")
	got, err := io.ReadAll(s)
	if err != nil || len(got) != 3000000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// Nobody reads any more: nothing is left running on the host.
func TestFollow_ReaderGone(t *testing.T) {
	h := newHost(t)
	h.start("quiet", "echo one; exec sleep 1000")
	h.logs("quiet", "one")
	s, done := h.follow("quiet", 10)
	b := make([]byte, 10)
	if n, err := s.Read(b); err != nil || string(b[:n]) != "one\n" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	tails := func() int { return h.count("cat\x00") + h.count("/bin/sh\x00-s\x00") }
	if tails() == 0 {
		t.Error("nobody follows")
	}
	done()
	if !eventually(t, func() bool { return tails() == 0 }) {
		t.Errorf("%d are left", tails())
	}
	if !h.info("quiet").Running {
		t.Error("the session ended too")
	}
}

func TestFollow_NoSuchSession(t *testing.T) {
	h := newHost(t)
	s, done := h.follow("none", 10)
	defer done()
	out, err := io.ReadAll(s)
	var failed *remote.ScriptError
	if !errors.As(err, &failed) || failed.Class() != "not-found" || len(out) != 0 {
		t.Errorf("%q, %v", out, err)
	}
}

func TestTail(t *testing.T) {
	h := newHost(t)
	h.start("job", `i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo "line $i"; done`)
	h.ended("job")
	for lines, want := range map[int]string{0: "", 1: "line 500\n", 3: "line 498\nline 499\nline 500\n", -4: ""} {
		if got, err := tailOf(h, "job", lines); err != nil || string(got) != want {
			t.Errorf("%d lines: %q, %v", lines, got, err)
		}
	}
	if got := h.tail("job"); strings.Count(got, "\n") != 500 {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
}

// One line without an end, as long as the disk: 256 KiB of it.
func TestD2_EndlessOutput(t *testing.T) {
	h := newHost(t)
	h.start("job", "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo end")
	h.ended("job")
	got, err := tailOf(h, "job", 1_000_000)
	if err != nil || len(got) != maxTail || !bytes.HasSuffix(got, []byte("x\nend\n")) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	s, done := h.follow("job", 1_000_000)
	defer done()
	if got, err := io.ReadAll(s); err != nil || len(got) != maxTail {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestD4_FakeFrame(t *testing.T) {
	h := newHost(t)
	fake := "end 00112233445566778899aabbccddeeff 0\nbegin x\nnbremote.class 5\nstart\nsession 4\nevil\nenc 4\nevil\n"
	h.start("job", "cat <<'X'\n"+fake+"X")
	h.ended("job")
	if got := h.tail("job"); got != fake {
		t.Errorf("%q", got)
	}
	h.must("session_dir job; cp \"$S_DIR/log\" \"$S_DIR/spec\"")
	infos, err := List(context.Background(), h)
	if err != nil || len(infos) != 1 || string(infos[0].Spec) != fake {
		t.Errorf("%+v, %v", infos, err)
	}
	s, done := h.follow("job", 100)
	defer done()
	if got, err := io.ReadAll(s); err != nil || string(got) != fake {
		t.Errorf("%q, %v", got, err)
	}
}
