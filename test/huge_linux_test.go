package test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nbremote/test/lab"
)

// hugeSize is that of a real file, which -race is too slow for.
func hugeSize() int64 {
	if raceEnabled {
		return 64 << 20
	}
	return 1 << 30
}

const deaths = 7 // of carriers, in each direction

// A huge file each way, with a real sshd whose sessions are killed again and
// again: what arrives is what was sent.
func TestN3_HugeFile(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Program: asInstalled(t)})
	host := l.Host("gpu1")
	dir, size := t.TempDir(), hugeSize()
	sent := filepath.Join(dir, "sent")
	want := writeNoise(t, sent, size)
	ln, err := host.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.ServeFile(w, r, sent)
			return
		}
		sum, err := save(filepath.Join(dir, "came"), r.Body)
		fmt.Fprint(w, sum, err)
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	page := heldPage(t, l, ln.Addr().String())
	url, c := fmt.Sprintf("http://127.0.0.1:%d/file", page.Port), client(l, meUID(t, l))

	began := time.Now()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	down := &dying{r: resp.Body, size: size, host: host}
	got, err := save(filepath.Join(dir, "got"), down)
	resp.Body.Close()
	if err != nil || got != want || down.died != deaths {
		t.Errorf("down: %s after %d deaths, want %s; %v", got, down.died, want, err)
	}
	took := time.Since(began)

	file, err := os.Open(sent)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	began = time.Now()
	up := &dying{r: file, size: size, host: host}
	if resp, err = c.Post(url, "application/octet-stream", up); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(said) != want+"<nil>" || up.died != deaths {
		t.Errorf("up: %s after %d deaths, want %s", said, up.died, want)
	}
	t.Logf("%d MiB: down in %v, up in %v, %d carriers killed each way; SHA-256 equal: %s", size>>20, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), deaths, want)
	if st := statusOf(t, l); !st.Link.On {
		t.Error("it did not go by the link")
	}

	resp, err = c.Get("http://" + sshForward(t, l, 7001, ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	twin := &dying{r: resp.Body, size: size, host: host}
	if _, err := io.Copy(io.Discard, twin); err == nil {
		t.Error("the twin over ssh -L got the whole file: nothing has died")
	} else {
		t.Logf("twin: %d MiB, then %v", twin.read>>20, err)
	}
}

// dying kills the host's SSH sessions each time another part has been read.
type dying struct {
	r    io.Reader
	read int64
	size int64
	died int64
	host *lab.Machine
}

func (d *dying) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	d.read += int64(n)
	if d.read > (d.died+1)*d.size/(deaths+1) && d.died < deaths {
		d.host.HangUp()
		d.died++
	}
	return n, err
}

func writeNoise(t *testing.T, name string, size int64) string {
	t.Helper()
	sum, err := save(name, io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// save writes a file and gives the SHA-256 of what was written.
func save(name string, r io.Reader) (string, error) {
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(f, h), struct{ io.Reader }{r}, make([]byte, 1<<20))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
