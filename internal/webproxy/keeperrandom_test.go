package webproxy

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// serve is a far server for benchmarks.
func serve(t testing.TB, far http.Handler) (addr string) {
	s := httptest.NewServer(far)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.Listener.Addr().String()
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// Whatever becomes of its sockets, a page gets every message, in order, and
// twice at most those of the last batch.
func TestN13_RandomResets(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3, uint64(time.Now().UnixNano())}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); randomResets(t, seed) })
	}
}

func randomResets(t *testing.T, seed uint64) {
	const many = 6000
	r := rand.New(rand.NewPCG(seed, 0))
	j := newJupyter()
	s := newStage(t, j, func(s *stage) { s.Store = &Store{Dir: t.TempDir(), Memory: 200_000} })
	p := mute(t, s)
	far := <-j.opened
	go func() {
		r := rand.New(rand.NewPCG(seed, 1))
		for i := range many {
			behind := r.IntN(200)
			if r.IntN(50) == 0 {
				behind = 20_000
			}
			if r.IntN(1000) == 0 {
				behind = 1_200_000
			}
			far.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", behind)))
			if r.IntN(40) == 0 {
				time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
			}
		}
	}()
	last, before, doubled, most, resets, said := -1, -1, 0, 0, 0, 0
	for end := time.Now().Add(3 * patient); last < many-1; {
		if time.Now().After(end) {
			t.Fatalf("at line %d", last)
		}
		first := true
		for range r.IntN(800) { // read so many
			ctx, cancel := context.WithTimeout(context.Background(), patient)
			_, b, err := p.Read(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			n := number(b)
			switch {
			case n <= last && first && n > last-batchMessages:
				doubled, most = doubled+last-n+1, max(most, last-n+1)
			case n <= last && !first && n == before+1: // the rest of them
			case n != last+1:
				t.Fatalf("line %d after %d", n, last)
			}
			first, before, last = false, n, max(last, n)
			if last == many-1 {
				break
			}
		}
		p.Write(context.Background(), websocket.MessageText, fmt.Append(nil, said))
		said++
		if last == many-1 {
			break
		}
		if r.IntN(3) == 0 { // busy, so that much is written and not read
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		old := p
		if r.IntN(2) == 0 {
			old.reset() // else it is there when the next comes
		}
		p = mute(t, s)
		old.reset()
		resets++
	}
	t.Logf("seed %d: %d resets, %d doubled, at most %d", seed, resets, doubled, most)
	p.Close(websocket.StatusNormalClosure, "")
	<-far.ended
	close(far.heard)
	before = -1
	for got := range far.heard {
		if n := number([]byte(got)); n <= before {
			t.Errorf("the far server heard %d after %d", n, before)
		} else {
			before = n
		}
	}
	if before != said-1 {
		t.Errorf("the last that the far server heard is %d of %d", before, said)
	}
	if len(j.opened) != 0 {
		t.Error("the far websocket was opened again")
	}
}

// Whatever bytes a page sends, the far websocket hears whole messages only, and
// the page that returns gets what is kept.
func FuzzL12_PageBytes(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'})
	f.Add([]byte{0x01, 0x81, 0, 0, 0, 0, 'h', 0x8a, 0x81, 1, 2, 3, 4, '1', 0x80, 0x81, 0, 0, 0, 0, 'o'})
	f.Add([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
	f.Add([]byte{0x8a, 0x83, 0, 0, 0, 0, '9', '9', '9'})
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xc1, 0x05, 'h'})
	j := newJupyter()
	s := newStageTo(f, serve(f, j))
	f.Fuzz(func(t *testing.T, b []byte) {
		host := strings.TrimPrefix(s.base, "http://")
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", channels, host, strings.Join(websocketHeaders, "\r\n"))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(patient))
		for buf := make([]byte, 4096); ; {
			if _, err := c.Read(buf); err != nil {
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Error("it does not end")
				}
				break
			}
		}
		c.Close()
		p := mustVisit(t, s)
		if err := p.Conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		for len(j.opened) > 0 {
			<-j.opened
		}
		for len(j.asked) > 0 {
			<-j.asked
		}
	})
}
