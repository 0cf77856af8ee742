package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/test/lab"
)

// sleepyPage acts as a JupyterLab in a Chromium whose laptop sleeps: all its
// TCP sockets are reset, none can be opened for a time, and it comes back with
// cookies, the same session id and the binary protocol.
type sleepyPage struct {
	t      *testing.T
	l      *lab.Lab
	port   int
	kernel string
	id     string
	cookie string
	old    bool // it speaks the protocol of servers before 2

	mu     sync.Mutex
	asleep bool
	conns  []net.Conn
	next   int // the line that must come
	lost   int
	twice  int // lines that came again
	most   int // of them in a row
	run    int
	idle   bool
	opened int

	busy  sync.Mutex // held while its main thread is
	turns int        // of that thread
}

var errAsleep = errors.New("the laptop sleeps")

// newSleepyPage signs in and opens a kernel's websocket; "" is a new kernel.
func newSleepyPage(ctx context.Context, t *testing.T, l *lab.Lab, port int, token, kernel string) *sleepyPage {
	t.Helper()
	p := &sleepyPage{t: t, l: l, port: port, kernel: kernel, id: newNonce()}
	p.signIn(token, "/lab")
	return p
}

// signIn gets what a page has: cookies, and a kernel.
func (p *sleepyPage) signIn(token, path string) {
	t, l, port := p.t, p.l, p.port
	t.Helper()
	if p.kernel == "" {
		var started struct {
			ID string `json:"id"`
		}
		post(t, l, opened{Port: port, Token: token}, "/api/kernels", `{"name": "python3"}`, &started)
		p.kernel = started.ID
	}
	client := &http.Client{
		Transport:     &http.Transport{DialContext: l.Dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s?token=%s", port, path, token))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		p.cookie += c.Name + "=" + c.Value + "; "
	}
}

// execute runs a cell and listens until ctx ends; without code it listens only.
func (p *sleepyPage) execute(ctx context.Context, code string) {
	p.t.Helper()
	c, err := p.dial(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	if code != "" {
		kind, message := websocket.MessageBinary, executeRequest(p.id, code)
		if p.old {
			kind, message = websocket.MessageText, oldRequest(p.id, code)
		}
		if err := c.Write(ctx, kind, message); err != nil {
			p.t.Fatal(err)
		}
	}
	go p.listen(ctx, c)
}

func (p *sleepyPage) dial(ctx context.Context) (*websocket.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	origin := fmt.Sprintf("http://127.0.0.1:%d", p.port)
	protocols := []string{"v1.kernel.websocket.jupyter.org"}
	if p.old {
		protocols = nil
	}
	c, _, err := websocket.Dial(limited, fmt.Sprintf("%s/api/kernels/%s/channels?session_id=%s", origin, p.kernel, p.id), &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: &http.Transport{DialContext: p.dialTCP}},
		HTTPHeader:   http.Header{"Cookie": {p.cookie}, "Origin": {origin}},
		Subprotocols: protocols,
	})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	return c, nil
}

func (p *sleepyPage) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	asleep := p.asleep
	p.mu.Unlock()
	if asleep {
		return nil, errAsleep
	}
	c, err := p.l.Dial(ctx, network, addr)
	if err == nil {
		p.mu.Lock()
		p.conns = append(p.conns, c)
		p.mu.Unlock()
	}
	return c, err
}

// sleep resets every socket of the page and lets it open none until wake.
func (p *sleepyPage) sleep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep = true
	for _, c := range p.conns {
		c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
	}
	p.conns = nil
}

func (p *sleepyPage) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep = false
}

func (p *sleepyPage) listen(ctx context.Context, c *websocket.Conn) {
	for ctx.Err() == nil {
		p.busy.Lock()
		p.turns++
		p.busy.Unlock()
		_, b, err := c.Read(ctx)
		if err == nil {
			p.hear(b)
			continue
		}
		_ = c.CloseNow()
		for c, err = p.dial(ctx); err != nil && ctx.Err() == nil; c, err = p.dial(ctx) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

func (p *sleepyPage) hear(b []byte) {
	parts := parts
	if p.old {
		parts = oldParts
	}
	_, header, parent, content, ok := parts(b)
	if !ok {
		p.t.Errorf("%d bytes are no message", len(b))
		return
	}
	var h, ph struct {
		Type string `json:"msg_type"`
	}
	var c struct {
		Text  string `json:"text"`
		State string `json:"execution_state"`
	}
	if json.Unmarshal(header, &h) != nil || json.Unmarshal(parent, &ph) != nil || json.Unmarshal(content, &c) != nil {
		p.t.Errorf("%q is no message", b[:min(len(b), 300)])
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case h.Type == "stream":
		for _, word := range strings.Fields(c.Text) {
			if n, err := strconv.Atoi(word); err == nil {
				p.line(n)
			}
		}
	case h.Type == "status" && c.State == "idle" && ph.Type == "execute_request":
		p.idle = true
	}
	if strings.Contains(c.Text, "rate exceeded") {
		p.t.Error("Jupyter itself dropped output: this machine is too slow, or the cell too fast")
	}
}

func (p *sleepyPage) line(n int) {
	if n < p.next {
		p.twice++
		p.run++
		p.most = max(p.most, p.run)
		return
	}
	p.lost += n - p.next
	p.next, p.run = n+1, 0
}

// state is how many lines came, are missing, came again, and whether the cell
// is known to have ended.
func (p *sleepyPage) state() (came, lost, twice, most int, idle bool, opened int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, p.lost, p.twice, p.most, p.idle, p.opened
}

// executeRequest is a message in Jupyter's binary protocol for websockets.
func executeRequest(session, code string) []byte {
	header, _ := json.Marshal(map[string]any{"msg_id": newNonce(), "username": "me", "session": session, "msg_type": "execute_request", "version": "5.3", "date": time.Now().Format(time.RFC3339)})
	content, _ := json.Marshal(map[string]any{"code": code, "silent": false, "store_history": true, "user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true})
	all := [][]byte{[]byte("shell"), header, []byte("{}"), []byte("{}"), content}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(all)+1))
	at := uint64(8 * (len(all) + 2))
	out = binary.LittleEndian.AppendUint64(out, at)
	for _, part := range all {
		at += uint64(len(part))
		out = binary.LittleEndian.AppendUint64(out, at)
	}
	return append(out, bytes.Join(all, nil)...)
}

// parts takes such a message apart.
func parts(b []byte) (channel string, header, parent, content []byte, ok bool) {
	if len(b) < 8 {
		return
	}
	n := binary.LittleEndian.Uint64(b)
	if n < 6 || 8*(n+1) > uint64(len(b)) {
		return
	}
	part := func(i int) []byte {
		from, to := binary.LittleEndian.Uint64(b[8*(i+1):]), binary.LittleEndian.Uint64(b[8*(i+2):])
		if from > to || to > uint64(len(b)) {
			return nil
		}
		return b[from:to]
	}
	return string(part(0)), part(1), part(2), part(4), true
}

// sleepTest lets the sockets of a page end while a cell prints.
type sleepTest struct {
	name    string
	seconds int // that the cell prints
	rate    int // lines a second
	behind  int // bytes behind each number
}

var sleepTests = []sleepTest{
	{name: "1000 lines/s", seconds: 45, rate: 1000},
	{name: "20 kB", seconds: 60, rate: 20, behind: 20_000},
}

const sleepFor = 30 * time.Second

// All TCP sockets of a page that falls behind are reset for 30 s while a second
// page is on the kernel: nothing is lost, doubled at most what one ping stands for. The second
// goes by `ssh -L`, and loses.
func TestN13_SleepingPage(t *testing.T) {
	t.Parallel()
	for _, c := range sleepTests {
		t.Run(strings.NewReplacer(" ", "_", "/", "_").Replace(c.name), func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (c sleepTest) run(t *testing.T) {
	l := lab.New(t, lab.Chain{})
	o := open(t, l, "gpu1")
	sock := strings.TrimSpace(l.Host("gpu1").ShAs(lab.Me, "ls /dev/shm/nbr.*/s*/s"))
	twinPort := plain(t, l, "gpu1", sock)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Slower than it could be: Jupyter drops what comes faster than 1000 a second.
	code := fmt.Sprintf("import time\nfor i in range(%d):\n    print(i, 'x' * %d, flush=True)\n    time.sleep(1 / %d)\n", c.seconds*c.rate, c.behind, c.rate)
	ours := newSleepyPage(ctx, t, l, o.Port, o.Token, "")
	// It is the second page on the kernel too.
	twin := newSleepyPage(ctx, t, l, twinPort, o.Token, ours.kernel)
	twin.execute(ctx, "")
	ours.execute(ctx, code)
	lab.Wait(t, 30*time.Second, "both to print", func() bool {
		a, _, _, _, _, _ := ours.state()
		b, _, _, _, _, _ := twin.state()
		return a > c.rate && b > c.rate
	})
	ours.busy.Lock()
	twin.busy.Lock()
	time.Sleep(2 * time.Second) // so long the main thread is busy
	ours.sleep()
	twin.sleep()
	ours.busy.Unlock()
	twin.busy.Unlock()
	time.Sleep(sleepFor)
	text := l.Must("status", "gpu1").Stdout
	ours.wake()
	twin.wake()
	if !strings.Contains(text, "the page of 1 kernel, since ") {
		t.Errorf("status does not say it:\n%s", text)
	}
	c.judge(t, ours, twin)
}

func (c sleepTest) judge(t *testing.T, ours, twin *sleepyPage) {
	end := func(p *sleepyPage, limit time.Duration) {
		for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
			if _, _, _, _, idle, _ := p.state(); idle {
				return
			}
		}
	}
	end(ours, 2*time.Duration(c.seconds)*time.Second+30*time.Second)
	came, lost, twice, most, idle, opened := ours.state()
	t.Logf("nbremote: %d came, %d lost, %d twice (%d in a row), finished %v, %d websockets", came, lost, twice, most, idle, opened)
	if came != c.seconds*c.rate || lost != 0 || most > pingBatch || !idle || opened < 2 {
		t.Error("that is not all")
	}
	end(twin, 5*time.Second)
	came, lost, twice, _, idle, opened = twin.state()
	lost += c.seconds*c.rate - came
	t.Logf("twin: %d lost, %d twice, finished %v, %d websockets", lost, twice, idle, opened)
	if lost == 0 {
		t.Error("the twin lost nothing: the sleep was none")
	}
}

// pingBatch is the most messages that one ping asks for, in internal/webproxy.
const pingBatch = 16
