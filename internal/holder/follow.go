package holder

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nbremote/internal/link"
)

const (
	followAfter = 2 * time.Second // what open does goes first
	followRest  = 5 * time.Minute // the longest pause after it went wrong again
	// maxFollowed bounds the ports here that programs on the host can bring about.
	maxFollowed = 20
	// followSpan is how far from its own number a port's local one is looked for.
	followSpan = 20
)

//go:embed ports.py
var portsText string

// portsCommand has the relay's own Python run ports.py: its parent, here.
func portsCommand() link.Command {
	return link.Command{
		Argv: []string{"/bin/sh", "-c", `p=$(readlink /proc/$PPID/exe) && exec "$p" -I -S -c 'import os; exec(os.environ.pop("NBREMOTE_PORTS"))'`},
		Env:  []string{"NBREMOTE_PORTS=" + portsText},
	}
}

// follower forwards the ports of programs that the host's sessions began, while
// a page wants that. By the relay alone: without it nothing says what listens.
type follower struct {
	h    *holder
	mu   sync.Mutex
	stop context.CancelFunc // nil: nothing is followed
	done chan struct{}
	shut map[int]bool // ports there that a person has closed here, until they are gone
	tell io.Writer    // to who looks on the host; nil: nobody does
	told string       // the ports of pages that it was told
	// writing is locked before mu.
	writing sync.Mutex
}

// settle follows if a page wants it, and else ends what was followed.
func (f *follower) settle() {
	if !f.h.pages.follow() {
		f.close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tellPages()
	if f.stop == nil {
		ctx, stop := context.WithCancel(f.h.ctx)
		done := make(chan struct{})
		f.stop, f.done = stop, done
		go func() { defer close(done); f.run(ctx) }()
	}
}

// tellPages says which Jupyters are open here that no session may have begun:
// what they began is followed too. f.mu is held.
func (f *follower) tellPages() {
	ports := strings.Join(f.h.pages.farPorts(), " ")
	if f.tell != nil && ports != f.told {
		f.told = ports
		go f.writePages() // a line that is down may take nothing for long
	}
}

func (f *follower) writePages() {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.mu.Lock()
	to, ports := f.tell, f.told
	f.mu.Unlock()
	if to != nil {
		io.WriteString(to, ports+"\n")
	}
}

func (f *follower) close() {
	f.mu.Lock()
	stop, done := f.stop, f.done
	f.stop = nil
	f.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop == nil {
		f.take(context.Background(), nil)
	}
}

// run follows until ctx ends, or where it cannot be done.
func (f *follower) run(ctx context.Context) {
	for pause := followAfter; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if !f.h.pages.awaitLine(ctx) {
			return
		}
		err := f.watch(ctx)
		if err == nil {
			pause = followAfter
			continue
		}
		if ctx.Err() != nil {
			return
		}
		f.h.log.Printf("follow ports: %v", err)
		ended := new(ExitError)
		if errors.Is(err, errNoRelay) || errors.As(err, &ended) && ended.Signal == "" {
			return
		}
		pause = min(2*pause, followRest)
	}
}

var errNoRelay = errors.New("no relay runs there")

// watch takes what the host says until that ends.
func (f *follower) watch(ctx context.Context) error {
	if _, err := f.h.runner(ctx); err != nil { // has the link begun
		return err
	}
	l, _ := f.h.linked.get(ctx)
	if l == nil {
		return errNoRelay
	}
	p, err := l.Exec(ctx, portsCommand())
	if err != nil {
		return err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	f.hears(p.Stdin)
	defer f.hears(nil)
	go io.Copy(io.Discard, p.Stderr)
	for lines := bufio.NewScanner(p.Stdout); lines.Scan(); {
		f.mu.Lock()
		if ctx.Err() == nil {
			f.take(ctx, parsePorts(lines.Text()))
		}
		f.mu.Unlock()
	}
	select {
	case <-p.Done():
		return p.Wait()
	case <-time.After(signOfLife):
		return errors.New("it says nothing any more")
	}
}

// hears has somebody who looks on the host told of pages, or nobody.
func (f *follower) hears(w io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell, f.told = w, ""
	f.tellPages()
}

// far is a port on the host, and whose it is.
type farPort struct {
	port    int
	program string
}

func (p farPort) addr() string { return "localhost:" + itoa(p.port) }

// parsePorts reads a line of ports.py. What makes no sense is left out.
func parsePorts(line string) (out []farPort) {
	for word := range strings.FieldsSeq(line) {
		number, program, _ := strings.Cut(word, "=")
		port, err := strconv.Atoi(number)
		known := slices.ContainsFunc(out, func(p farPort) bool { return p.port == port })
		if err == nil && port >= 1024 && port < 65536 && !known && len(program) < 64 {
			out = append(out, farPort{port, program})
		}
	}
	return out
}

// take has those ports forwarded, and of the followed ones no other. f.mu is held.
func (f *follower) take(ctx context.Context, now []farPort) {
	there := map[string]bool{}
	shut := map[int]bool{}
	for _, p := range now {
		there[p.addr()] = true
		shut[p.port] = f.shut[p.port]
	}
	f.shut = shut
	for _, t := range f.h.tunnels.list() {
		if t.Followed && !there[t.Addr] {
			f.h.tunnels.removeByID(t.ID())
			f.say(t.Local() + " is closed: nothing listens on " + t.Addr + " there any more")
		}
	}
	for _, p := range now {
		if !f.shut[p.port] {
			f.open(ctx, p)
		}
	}
}

// open forwards one port, unless it is forwarded already.
func (f *follower) open(ctx context.Context, p farPort) {
	all := f.h.tunnels.list()
	followed := 0
	for _, t := range all {
		if t.Kind == Forward && (t.Addr == p.addr() || t.Addr == "127.0.0.1:"+itoa(p.port)) {
			return
		}
		if t.Followed {
			followed++
		}
	}
	if followed >= maxFollowed {
		return
	}
	t, err := f.h.tunnels.add(ctx, TunnelSpec{
		Kind: Forward, Network: "tcp", Addr: p.addr(), Port: p.port, Followed: true, Program: p.program,
		Again: "nbremote forward " + f.h.spec.Target.Name + " " + itoa(p.port),
	})
	if err != nil {
		f.h.log.Printf("follow port %d: %v", p.port, err)
		return
	}
	text := t.Local() + " leads to " + t.Addr + " there"
	if p.program != "" {
		text += " (" + p.program + ")"
	}
	if t.Moved != 0 {
		text += fmt.Sprintf("; %d is taken here", t.Moved)
	}
	f.say(text)
}

func (f *follower) say(text string) {
	f.h.tell(Event{Kind: "port", Hop: f.h.spec.Target.Name, Text: text})
}

// closed: a person wants a followed port here no more.
func (f *follower) closed(t Tunnel) {
	_, port, _ := net.SplitHostPort(t.Addr)
	n, _ := strconv.Atoi(port)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut != nil {
		f.shut[n] = true
	}
}
