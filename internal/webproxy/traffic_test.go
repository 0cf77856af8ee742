package webproxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pattern is n bytes that tell where they belong, without being kept.
type pattern struct{ at, n int64 }

var patternPiece = random(1<<20 + 7)

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.n {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.n-p.at)]
	n := copy(b, patternPiece[p.at%int64(len(patternPiece)):])
	p.at += int64(n)
	return n, nil
}

// judge is written to, and knows whether it was the pattern.
type judge struct {
	at    int64
	wrong bool
}

func (j *judge) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		piece := patternPiece[j.at%int64(len(patternPiece)):]
		n := min(len(rest), len(piece))
		j.wrong = j.wrong || !bytes.Equal(rest[:n], piece[:n])
		j.at += int64(n)
		rest = rest[n:]
	}
	return len(b), nil
}

// mostMemory watches how much more of the heap is in use until stop is called.
// What nobody needs any more is not counted: when that goes is a matter of how
// busy the machine is. What a holder takes in all is measured by the bench.
func mostMemory() (stop func() uint64) {
	before := live()
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		var top uint64
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if now := live(); now > before {
					top = max(top, now-before)
				}
			case <-done:
				most <- top
				return
			}
		}
	}()
	return func() uint64 { close(done); return <-most }
}

// live is how many bytes of the heap are in use.
func live() uint64 {
	runtime.GC() // what is there after it began still counts: twice would not help
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(heap)
	return heap[0].Value.Uint64()
}

// hugeSize is more than 32 bits count.
func hugeSize() int64 {
	switch {
	case testing.Short():
		return 32 << 20
	case raceEnabled && os.Getenv("NBREMOTE_SOAK") == "":
		return 256 << 20
	}
	return 4<<30 + 1
}

func TestL12_HugeUpload(t *testing.T) {
	size := hugeSize()
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var j judge
		n, err := io.CopyBuffer(struct{ io.Writer }{&j}, struct{ io.Reader }{r.Body}, make([]byte, 1<<20))
		fmt.Fprint(w, n, j.wrong, err, r.ContentLength)
	}))
	for _, length := range []int64{size, -1} {
		memory := mostMemory()
		req, _ := http.NewRequest("PUT", s.base+"/files/x", io.NopCloser(&pattern{n: size}))
		req.ContentLength = length
		started := time.Now()
		resp, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprint(size, false, nil, length); string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
		top := memory()
		t.Logf("%d MiB in %v, heap grew by at most %d MiB", size>>20, time.Since(started), top>>20)
		if top > 32<<20 {
			t.Errorf("the heap grew by %d MiB", top>>20)
		}
		if size > 1<<30 {
			size = 64 << 20 // chunked: once is enough of the huge one
		}
	}
}

func TestHugeDownload(t *testing.T) {
	size := int64(512 << 20)
	if testing.Short() {
		size = 32 << 20
	}
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		io.Copy(w, &pattern{n: size})
	}))
	for _, path := range []string{"/length", "/chunked"} {
		memory := mostMemory()
		resp, err := client(t).Get(s.base + path)
		if err != nil {
			t.Fatal(err)
		}
		var j judge
		n, err := io.Copy(&j, resp.Body)
		resp.Body.Close()
		if n != size || j.wrong || err != nil {
			t.Errorf("%s: %d bytes, wrong %v, %v", path, n, j.wrong, err)
		}
		if top := memory(); top > 32<<20 {
			t.Errorf("%s: the heap grew by %d MiB", path, top>>20)
		}
	}
}

func TestN26_500AtOnce(t *testing.T) {
	const each = 1 << 20
	many := 500
	if testing.Short() {
		many = 100
	}
	var reached atomic.Int64
	all := make(chan struct{})
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reached.Add(1) == int64(many) {
			close(all)
		}
		<-all // really at once
		var j judge
		n, err := io.Copy(&j, r.Body)
		if n != each || j.wrong || err != nil {
			http.Error(w, "wrong", 500)
			return
		}
		io.Copy(w, &pattern{n: each})
	}))
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for range many {
		wg.Go(func() {
			resp, err := client(t).Post(s.base+"/x", "a/b", &pattern{n: each})
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var j judge
			if n, err := io.Copy(&j, resp.Body); n != each || j.wrong || err != nil {
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	if wrong.Load() != 0 {
		t.Errorf("%d of %d wrong", wrong.Load(), many)
	}
}

// Events must not wait in a buffer, and the far server learns at once that
// the page has gone.
func TestServerSentEvents(t *testing.T) {
	next, gone := make(chan string), make(chan struct{})
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-next:
				fmt.Fprintf(w, "data: %s\n", e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	}))
	resp, err := client(t).Get(s.base + "/events")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for i := range 20 {
		next <- fmt.Sprint(i)
		if got, err := lines.ReadString('\n'); got != fmt.Sprintf("data: %d\n", i) || err != nil {
			t.Fatal(got, err)
		}
	}
	resp.Body.Close()
	select {
	case <-gone:
	case <-time.After(patient):
		t.Error("the far server was not told")
	}
}

// Nor must an answer of known length that comes in pieces.
func TestSlowAnswerIsNotBuffered(t *testing.T) {
	seen := make(chan struct{})
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "6")
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		select {
		case <-seen:
		case <-r.Context().Done():
		}
		io.WriteString(w, "two")
	}))
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.base, nil)
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 3)); err != nil {
		t.Fatal("the first half waits in a buffer: ", err)
	}
	close(seen)
	if rest, err := io.ReadAll(resp.Body); string(rest) != "two" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// Compressed answers, ranges, trailers and early answers pass as they are.
func TestPassesAnswers(t *testing.T) {
	s := newStage(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "not really gzip")
		case "/range":
			http.ServeContent(w, r, "x", time.Time{}, strings.NewReader("0123456789"))
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "body")
			w.Header().Set("X-Sum", "42")
		case "/early":
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		case "/502":
			w.WriteHeader(502)
		}
	}))
	ask(t.Context(), t, "GET", s.base+"/gzip", "", "Accept-Encoding: gzip").want(t, 200, "not really gzip")
	ask(t.Context(), t, "GET", s.base+"/range", "", "Range: bytes=2-4").want(t, 206, "234")
	if a := ask(t.Context(), t, "GET", s.base+"/trailer", ""); a.Trailer.Get("X-Sum") != "42" {
		t.Errorf("trailer %v", a.Trailer)
	}
	ask(t.Context(), t, "GET", s.base+"/502", "").want(t, 502, "") // what Jupyter itself says
	req, _ := http.NewRequest("PUT", s.base+"/early", &pattern{n: 64 << 20})
	if resp, err := client(t).Do(req); err == nil { // or the upload breaks: both are what HTTP allows
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("early answer %d", resp.StatusCode)
		}
		resp.Body.Close()
	}
}

// The expectation of 100-continue does not hold an upload up.
func TestExpectContinue(t *testing.T) {
	s := newStage(t, echo)
	for _, down := range []bool{false, true} {
		if down {
			s.line.cut()
		}
		c := asked(t, func() answer { return ask(t.Context(), t, "PUT", s.base+"/x", "the body", "Expect: 100-continue") })
		if down {
			eventually(t, "it waits", func() bool { return s.crowd.count() == 1 })
			s.line.mend()
		}
		a := <-c
		a.want(t, 200, "the body")
	}
}

func benchmark(b *testing.B, through bool) {
	const size = 64 << 20
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{&pattern{n: size}}, make([]byte, 1<<20))
	}))
	defer far.Close()
	url := far.URL
	if through {
		url = newStageTo(b, far.Listener.Addr().String()).base
	}
	c, buf := client(b), make([]byte, 1<<20)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf)
		resp.Body.Close()
	}
}

func BenchmarkDirect64MiB(b *testing.B) { benchmark(b, false) }
func BenchmarkProxy64MiB(b *testing.B)  { benchmark(b, true) }

func BenchmarkSmallRequests(b *testing.B) {
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") }))
	defer far.Close()
	s := newStageTo(b, far.Listener.Addr().String())
	c := client(b)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Get(s.base)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
