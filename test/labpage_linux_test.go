package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/test/lab"
)

// labPage acts as a page of JupyterLab does: one websocket with a session id
// of its own, which is opened again when it is lost, after ever longer pauses;
// nothing is sent twice.
type labPage struct {
	t      *testing.T
	l      *lab.Lab
	port   int
	token  string
	kernel string
	id     string // of its session

	mu     sync.Mutex
	lines  []string // that the kernel printed, as they came
	idle   bool     // the cell has finished
	opened int      // websockets so far
	last   time.Time
	gap    time.Duration // the longest without a line
	ends   []error       // of websockets
	bytes  int64         // that came
	skim   bool          // what is long is only counted
}

// newPage starts a kernel and opens its websocket.
func newPage(t *testing.T, l *lab.Lab, port int, token string) *labPage {
	t.Helper()
	p := &labPage{t: t, l: l, port: port, token: token}
	var started struct {
		ID string `json:"id"`
	}
	post(t, l, opened{Port: port, Token: token}, "/api/kernels", `{"name": "python3"}`, &started)
	p.kernel, p.id = started.ID, "fixed-"+started.ID
	return p
}

// second is another page on the same kernel, which only listens.
func (p *labPage) second(ctx context.Context) *labPage {
	p.t.Helper()
	other := &labPage{t: p.t, l: p.l, port: p.port, token: p.token, kernel: p.kernel, id: "second-" + p.kernel}
	c, err := other.dial(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	go other.listen(ctx, c)
	return other
}

// run executes a cell and keeps the websocket until ctx ends.
func (p *labPage) run(ctx context.Context, code string) {
	p.t.Helper()
	c, err := p.dial(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Write(ctx, websocket.MessageText, oldRequest(p.id, code)); err != nil {
		p.t.Fatal(err)
	}
	go p.listen(ctx, c)
}

func (p *labPage) dial(ctx context.Context) (*websocket.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url := fmt.Sprintf("ws://127.0.0.1:%d/api/kernels/%s/channels?session_id=%s", p.port, p.kernel, p.id)
	c, _, err := websocket.Dial(limited, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: p.l.Dial}},
		HTTPHeader: http.Header{"Authorization": {"token " + p.token}},
	})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(64 << 20)
	p.mu.Lock()
	p.opened++
	p.mu.Unlock()
	return c, nil
}

func (p *labPage) listen(ctx context.Context, c *websocket.Conn) {
	for pause := time.Second; ctx.Err() == nil; {
		_, b, err := c.Read(ctx)
		if err == nil {
			p.hear(b)
			pause = time.Second
			continue
		}
		_ = c.CloseNow()
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.ends = append(p.ends, err)
		p.mu.Unlock()
		for {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			pause = min(2*pause, 30*time.Second)
			if c, err = p.dial(ctx); err == nil {
				break
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

func (p *labPage) hear(b []byte) {
	p.mu.Lock()
	p.bytes += int64(len(b))
	skip := p.skim && len(b) > 10000
	p.mu.Unlock()
	if skip {
		return
	}
	var m struct {
		Header struct {
			Type string `json:"msg_type"`
		} `json:"header"`
		Parent struct {
			Type string `json:"msg_type"`
		} `json:"parent_header"`
		Content struct {
			Text  string `json:"text"`
			State string `json:"execution_state"`
		} `json:"content"`
	}
	if json.Unmarshal(b, &m) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case m.Header.Type == "stream":
		if !p.last.IsZero() {
			p.gap = max(p.gap, time.Since(p.last))
		}
		p.last = time.Now()
		p.lines = append(p.lines, strings.Fields(m.Content.Text)...)
	case m.Header.Type == "status" && m.Content.State == "idle" && m.Parent.Type == "execute_request":
		p.idle = true
	}
}

// got is what has come so far: how many of the lines 0 … n-1 are missing, how
// many came twice or out of order, and whether the cell is known to have ended.
func (p *labPage) got(n int) (lost, wrong int, idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[int]bool{}
	last := -1
	for _, line := range p.lines {
		i, err := strconv.Atoi(line)
		if err != nil {
			continue
		}
		if seen[i] || i < last {
			wrong++
		}
		seen[i], last = true, max(last, i)
	}
	return n - len(seen), wrong, p.idle
}

// finished waits until the cell has ended and all lines are there.
func (p *labPage) finished(n int, limit time.Duration) (lost, wrong int, idle bool) {
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		lost, wrong, idle = p.got(n)
		if lost == 0 && idle || time.Now().After(end) {
			return lost, wrong, idle
		}
	}
}
