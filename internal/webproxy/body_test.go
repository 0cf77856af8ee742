package webproxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

func TestBodySpools(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, size := range []int{0, 1, spoolMemory - 1, spoolMemory, spoolMemory + 1, 3*spoolMemory + 7} {
		want := random(size)
		b := newBody(io.NopCloser(bytes.NewReader(want)), func() { t.Error("broken") })
		b.spool()
		<-b.filled
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		b.end(httptest.NewRecorder())
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
			t.Errorf("%d bytes: %v are left", size, left)
		}
	}
}

// Reading and spooling at once, with a disk that takes nothing.
func TestBodySpoolsWithoutDisk(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	want := random(3*spoolMemory + 7)
	b := newBody(io.NopCloser(bytes.NewReader(want)), func() { t.Error("broken") })
	b.spool()
	if got, err := io.ReadAll(iotest.HalfReader(b)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d, %v", len(got), err)
	}
	b.end(httptest.NewRecorder())
}

// What is written and read in turn comes out in order.
func TestSpoolOrder(t *testing.T) {
	var s spool
	defer s.drop()
	r := rand.New(rand.NewPCG(1, 2))
	want, got := random(8<<20), []byte(nil)
	for rest := want; len(rest) > 0 || !s.empty(); {
		for range r.IntN(40) {
			n := s.write(rest[:min(len(rest), r.IntN(100_000))])
			rest = rest[n:]
		}
		for range r.IntN(40) {
			if s.empty() {
				break
			}
			p := make([]byte, 1+r.IntN(100_000))
			n, err := s.read(p)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			got = append(got, p[:n]...)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("bytes in disorder")
	}
	if s.file == nil {
		t.Error("never reached the disk")
	} else if info, err := s.file.Stat(); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Error("the file", info, err)
	}
}

func TestBodyDirectIsNotSpooled(t *testing.T) {
	b := newBody(io.NopCloser(bytes.NewReader([]byte("abc"))), func() {})
	one := make([]byte, 1)
	b.Read(one)
	b.spool()
	if rest, err := io.ReadAll(b); string(one)+string(rest) != "abc" || err != nil || b.spooling {
		t.Error(string(rest), err)
	}
	b.end(httptest.NewRecorder())
	if _, err := b.Read(one); !errors.Is(err, errEnded) {
		t.Error(err)
	}
}

func TestBodyThatBreaks(t *testing.T) {
	broken := false
	b := newBody(io.NopCloser(io.MultiReader(bytes.NewReader([]byte("ab")), iotest.ErrReader(os.ErrDeadlineExceeded))), func() { broken = true })
	b.spool()
	<-b.filled
	if got, err := io.ReadAll(b); string(got) != "ab" || !errors.Is(err, os.ErrDeadlineExceeded) || !broken {
		t.Error(string(got), err, broken)
	}
}
