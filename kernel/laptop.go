package kernel

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"nbremote/internal/remote"
	"nbremote/internal/session"
)

//go:embed laptop.sh
var laptopText string

//go:embed supervise.py
var superviseText string

const (
	laptopMost = 64               // kernels of one kernelspec for laptops
	keepTime   = 10 * time.Minute // that a kernel is kept for its window to come back
	sayMost    = 1 << 20          // bytes of one answer of the supervisor
	startMost  = 15 * time.Second // that a session may take to end before it is begun anew
)

// Host is where a kernel for this computer runs.
type Host interface {
	remote.Runner
	// Dial connects to a server of the account there, once it can be reached.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Window is a kernel that somebody's editor wants: one of a kernelspec on the
// host, for the channels of a connection file here.
type Window struct {
	Name   string // of the kernelspec, for people
	Spec   string // its directory on the host
	Dir    string // that it runs in, there; "" = the home
	Key    string // of the connection file
	Scheme string
	// Title is the window's own name for its session (JPY_SESSION_NAME), Owner
	// who and which computer it is: a kernel that lost its window is given to
	// the next with the same two. No title: to none, but what starts its kernel
	// anew (the key is the same) still finds the one before.
	Title, Owner string
	Keep         time.Duration // 0 = 10 min
	Sockets      bool          // its channels there are sockets, not ports that other users can read
}

// forWhom marks the session with what it was begun for.
func (w *Window) forWhom() string {
	who := w.Title
	if who == "" {
		who = "\x00" + w.Key
	}
	sum := sha256.Sum256([]byte(w.Owner + "\x00" + who + "\x00" + w.Spec))
	return hex.EncodeToString(sum[:16])
}

// Text is what ls says of it.
func (w *Window) Text() string {
	text := "kernel " + w.Name
	if w.Title != "" {
		text += " for " + w.Title[strings.LastIndexAny(w.Title, `/\`)+1:]
	}
	return text + " on " + w.Owner
}

func (w *Window) script() (string, error) {
	keep := w.Keep
	if keep <= 0 {
		keep = keepTime
	}
	wish, err := json.Marshal(map[string]any{"key": w.Key, "scheme": w.Scheme, "name": w.Name, "session": w.Title, "keep": keep.Seconds(), "sockets": w.Sockets})
	if err != nil {
		return "", err
	}
	spec, err := session.ScriptSpec{Command: w.Text(), Dir: w.Dir, Owner: w.Owner}.File()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(remote.Prelude + remote.Dirs + session.Lib + session.Place + remote.Compact(laptopText))
	for _, v := range [][2]string{
		{"L_NAME", w.Name}, {"L_SPEC", w.Spec}, {"R_DIR", w.Dir}, {"L_FOR", w.forWhom()}, {"L_KIND", string(spec)},
		{"L_WISH", strings.TrimSuffix(string(wish), "}")}, {"L_SUPERVISE", superviseText},
		{"L_RUN", `exec "$R_PY" -I -S ./supervise.py "$S_RUN"` + "\n"},
	} {
		b.WriteString(v[0] + "=" + quote(v[1]) + "\n")
	}
	b.WriteString("l_begin")
	for i := 1; i <= laptopMost; i++ {
		name := "kernel-" + w.Name
		if i > 1 {
			name += fmt.Sprintf("-%d", i)
		}
		b.WriteString(" " + session.Encode(name) + " " + quote(name))
	}
	b.WriteString("\n")
	return b.String(), nil
}

// supervised is the control stream of one kernel: what watches it on the host
// answers on it.
type supervised struct {
	Session string `json:"-"` // on the host

	State   string         `json:"state"` // new, again, adopted or busy
	Ports   map[string]int `json:"ports"`
	Message bool           `json:"message"` // the kernel takes interrupts as messages
	Key     string         `json:"key"`     // its own, when it was adopted
	Scheme  string         `json:"scheme"`
	Pings   bool           `json:"pings"`   // it answers questions
	Sockets string         `json:"sockets"` // beginning of its sockets' paths; "": it has ports

	sock string
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex // of what is written
}

// told is one line of the supervisor's.
type told struct {
	Event  string   `json:"event"` // up, pong or end
	N      uint64   `json:"n"`     // of a pong: of which ping
	Exit   int      `json:"exit"`
	Signal string   `json:"signal"`
	Memory bool     `json:"memory"`
	Asked  bool     `json:"asked"`
	Words  []string `json:"words"`
}

// begin starts the window's kernel, or finds the one that it had.
func (w *Window) begin(ctx context.Context, h Host) (*supervised, error) {
	for end := time.Now().Add(startMost); ; {
		s, err := w.beginOnce(ctx, h)
		if err != nil || s != nil {
			return s, err
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("start the kernel: the one before has not ended")
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// beginOnce gives nil when what runs for the window is just ending, or is
// another window's.
func (w *Window) beginOnce(ctx context.Context, h Host) (*supervised, error) {
	text, err := w.script()
	if err != nil {
		return nil, err
	}
	out, err := h.Run(ctx, text)
	if err != nil {
		return nil, err
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return nil, fmt.Errorf("read what the host answers: %w", err)
	}
	s, state, log := &supervised{}, "", ""
	for _, f := range fields {
		switch f.Name {
		case "state":
			state = string(f.Value)
		case "name":
			s.Session = string(f.Value)
		case "sock":
			s.sock = string(f.Value)
		case "log":
			log = string(f.Value)
		}
	}
	if state == "ended" {
		return nil, &DiedError{Kernel: w.Name, Exit: 1, Words: strings.Split(strings.TrimSpace(log), "\n")}
	}
	if s.sock == "" || !strings.HasPrefix(s.sock, "/") {
		return nil, fmt.Errorf("read what the host answers: it broke off")
	}
	err = s.hello(ctx, h, w, false)
	if err != nil && state == "runs" && ctx.Err() == nil {
		return nil, nil
	}
	if err == nil && s.State == "busy" {
		s.conn.Close()
		w.Title = "" // two windows of one name: the kernel is the first's
		return nil, nil
	}
	return s, err
}

// hello connects to the supervisor; resume: once more, after the stream was lost.
func (s *supervised) hello(ctx context.Context, h Host, w *Window, resume bool) error {
	conn, err := h.Dial(ctx, "unix", s.sock)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s.conn, s.in = conn, bufio.NewReaderSize(conn, 64<<10)
	if err := s.say(map[string]any{"key": w.Key, "resume": resume}); err != nil {
		conn.Close()
		return err
	}
	line, err := s.line()
	if err != nil {
		conn.Close()
		return err
	}
	var end told
	if json.Unmarshal(line, &end) == nil && end.Event == "end" {
		conn.Close()
		return end.died(w.Name)
	}
	if err := json.Unmarshal(line, s); err != nil {
		conn.Close()
		return fmt.Errorf("read what the host answers: %v", err)
	}
	if s.Sockets != "" && !strings.HasPrefix(s.Sockets, "/") {
		conn.Close()
		return fmt.Errorf("read what the host answers: sockets at %.40q", s.Sockets)
	}
	for _, port := range s.Ports {
		if port <= 0 || port > 65535 {
			conn.Close()
			return fmt.Errorf("read what the host answers: a port %d", port)
		}
	}
	return nil
}

func (s *supervised) say(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.conn.Write(append(raw, '\n'))
	return err
}

// close leaves the kernel.
func (s *supervised) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Close()
}

// line is the next one of the supervisor's.
func (s *supervised) line() ([]byte, error) {
	var line []byte
	for {
		part, err := s.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == bufio.ErrBufferFull && len(line) < sayMost:
		case err != nil:
			return nil, err
		default:
			return line, nil
		}
	}
}

// next waits for what happens to the kernel.
func (s *supervised) next() (t told, err error) {
	line, err := s.line()
	if err == nil {
		err = json.Unmarshal(line, &t)
	}
	return t, err
}

// ping asks for an answer of that number.
func (s *supervised) ping(n uint64) { s.say(map[string]any{"do": "ping", "n": n}) }

// interrupt is what Ctrl-C would be.
func (s *supervised) interrupt() { s.say(map[string]any{"do": "signal", "number": 2}) }

// ending: the kernel was asked to end, and has a moment for it.
func (s *supervised) ending() { s.say(map[string]any{"do": "stopping"}) }

// stop ends the kernel.
func (s *supervised) stop() { s.say(map[string]any{"do": "stop"}) }

// died is the kernel's end as an error; nil when it was asked to end, or did by
// itself without complaint.
func (t told) died(name string) error {
	if t.Asked || t.Exit == 0 && t.Signal == "" {
		return nil
	}
	return &DiedError{Kernel: name, Exit: t.Exit, Signal: t.Signal, Memory: t.Memory, Words: t.Words}
}
