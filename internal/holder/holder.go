package holder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"nbremote/sshx"
)

// idleEnd is how long a holder lives with no page, no command connected and
// nobody behind it.
const idleEnd = 60 * time.Second

// ErrTaken says that another holder of the same target is there already.
var ErrTaken = errors.New("another holder has this target")

// holder is the whole of one background process.
type holder struct {
	spec    Spec
	version string
	log     *log.Logger
	memory  *memory
	redials sshx.Redials
	crowd   crowd
	line    *line
	asks    *attached
	pages   *pages
	scripts *scripts
	tunnels *tunnels
	follow  *follower
	names   names
	stop    context.CancelFunc
	ctx     context.Context // ends with the holder
	linked  *linked
	notices *notices

	mu         sync.Mutex
	aliases    []string
	signed     sshx.Signed
	sought     *Sought // the machine that was not found behind the name
	viaErr     error   // of the gateway before it, at the last dial
	pinned     string  // the host key of this holder's life, where none is kept
	pinnedNext string  // likewise, of the machine that was gone on to
	shells     *shells
	under      *sshx.Conn // of the shells
	// childAsks counts the questions through Client.Ask; childAsked: the last
	// sign-in had some.
	childAsks  int
	childAsked bool
	ownAsks    int // all questions of our sign-ins, not of a gateway's

	behind int
	busy   int // scripts and streams under way
	idle   time.Time
}

// Serve is the life of a holder: it returns when it was closed, when nothing
// is left to hold, or when the first sign-in failed. ready is called once
// commands can connect. It never touches a terminal.
func Serve(ctx context.Context, spec Spec, version string, logTo io.Writer, ready func()) error {
	key := spec.Target.Key()
	lock := flock.New(spec.Place.path(key + ".lock"))
	// A holder that was just closed may still be ending.
	limit, cancelLimit := context.WithTimeout(ctx, 5*time.Second)
	defer cancelLimit()
	if ok, err := lock.TryLockContext(limit, 10*time.Millisecond); !ok {
		return fmt.Errorf("%w: %v", ErrTaken, err)
	}
	defer lock.Unlock()
	sock := spec.Place.path(key + ".sock")
	os.Remove(sock) // ours alone: we hold the lock
	l, err := net.Listen("unix", sock)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", sock, err)
	}
	defer os.Remove(sock)
	pins := sshx.PinFile(spec.Place.Run, spec.Target)
	os.Remove(pins)
	defer os.Remove(pins)
	if err := os.Chmod(sock, 0o600); err != nil {
		l.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := newHolder(spec, version, log.New(logTo, "", log.LstdFlags|log.LUTC), cancel)
	h.ctx = ctx
	defer h.dropAliases()
	return h.serve(ctx, l, ready)
}

func newHolder(spec Spec, version string, logger *log.Logger, stop context.CancelFunc) *holder {
	h := &holder{
		spec: spec, version: version, log: logger, asks: newAttached(), stop: stop, ctx: context.Background(),
		memory: loadMemory(spec.Place, spec.Target.Key()), idle: time.Now(),
	}
	h.line = newLine(spec.Target.Name)
	h.line.dial, h.line.asker, h.line.asking, h.line.notify = h.dialLine, h.asks.canAsk, h.asks.asking, h.tell
	h.line.person = func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.signed.Person || h.childAsked }
	h.pages, h.scripts, h.tunnels = newPages(h), newScripts(h), &tunnels{h: h, all: map[string]*tunnel{}}
	h.follow = &follower{h: h}
	h.linked = &linked{h: h}
	h.notices = h.newNotices()
	return h
}

func (h *holder) serve(ctx context.Context, l net.Listener, ready func()) error {
	server := &http.Server{Handler: h.routes(), BaseContext: func(net.Listener) context.Context { return ctx }}
	var wg sync.WaitGroup
	wg.Add(5)
	go func() { defer wg.Done(); server.Serve(l) }()
	go func() { defer wg.Done(); h.pages.watch(ctx) }()
	go func() { defer wg.Done(); h.scripts.watch(ctx) }()
	go func() { defer wg.Done(); h.endWhenIdle(ctx) }()
	go func() { defer wg.Done(); watchAddresses(ctx, h.addressesChanged) }()
	ready()
	err := h.waitForFirst(ctx)
	if err == nil {
		err = h.line.run(ctx)
		if ctx.Err() == nil {
			// The first sign-in failed: those connected have been told. Give
			// them a moment to read it.
			h.lastWords(ctx)
		}
	}
	h.stop()
	h.notices.close()
	h.pages.close()
	h.follow.close()
	h.tunnels.close()
	h.linked.close()
	server.Close()
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// waitForFirst waits for the command that started this holder: without it
// nobody could be asked.
func (h *holder) waitForFirst(ctx context.Context) error {
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-h.line.kick:
		return nil
	case <-limit.C:
		return errors.New("no command connected")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastWords waits until the connected commands have left, at most two seconds.
func (h *holder) lastWords(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < 200 && h.asks.count() > 0; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// dial makes one connection to the target, through the holder of the gateway
// before it if there is one.
// Again: it replaces one that was lost.
func (h *holder) dial(ctx context.Context, again bool) (conn *sshx.Conn, _ error) {
	t := h.spec.Target
	start := time.Now()
	h.mu.Lock()
	asked := h.childAsks
	opts := sshx.Options{
		Timeout: h.spec.ConnectTimeout, LastKey: h.memory.lastKey(), PinnedHostKey: h.pinned,
		Notice: func(text string) { h.tell(Event{Kind: "notice", Hop: t.Name, Text: text}) },
	}
	h.mu.Unlock()
	if h.asks.canAsk() {
		opts.Ask = h.askOwn
	}
	opts.Asking, opts.Dir = h.asks.asking, h.spec.Place.Run
	if conn := sshx.Attach(ctx, t, opts); conn != nil {
		h.signedIn(conn, start, false)
		return h.toNode(ctx, conn, opts, again)
	}
	if t.Via != nil {
		end, err := h.byGateway(ctx, again, &opts)
		if err != nil {
			return nil, err
		}
		defer func() { end(conn != nil) }()
		start = time.Now()
	}
	if again {
		opts.Again = &h.redials
		if l, _ := h.linked.now(); l != nil {
			opts.RTT = l.Status().RTT
		}
	}
	if quiet := again && !h.line.person(); !quiet { // else several are under way
		h.tell(Event{Kind: "start", Hop: t.Name, Text: "signing in"})
	}
	first, err := sshx.Connect(ctx, t, opts)
	if err != nil {
		h.log.Printf("sign in: %v", err)
		return nil, err
	}
	h.mu.Lock()
	byChild := h.childAsks > asked
	h.mu.Unlock()
	h.signedIn(first, start, byChild)
	return h.toNode(ctx, first, opts, again)
}

func (h *holder) tell(e Event) {
	if e.Kind == "state" {
		h.log.Printf("line: %s %s", e.State, e.Text)
		h.notices.hear(e.State, h.line.downSince())
	}
	h.asks.tell(e)
}

// runner is the connection's shells, once the line is up.
func (h *holder) runner(ctx context.Context) (*shells, error) {
	if l, _ := h.linked.now(); l != nil {
		if err := h.line.passable(); err != nil {
			return nil, err
		}
		return h.linked.shells(), nil
	}
	conn, err := h.line.wait(ctx)
	if err != nil {
		return nil, err
	}
	sh := h.shellsOn(conn)
	h.linked.begin()
	return sh, nil
}

// shellsOn are the shells of a connection of the line.
func (h *holder) shellsOn(conn *sshx.Conn) *shells {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.under != conn {
		h.shells, h.under = directShells(conn), conn
	}
	return h.shells
}

// direct are the shells of the last connection that was used for some.
func (h *holder) direct() *shells {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shells
}

// ask puts a question of the dial of ctx to a person.
func (h *holder) ask(ctx context.Context, q Question) (string, error) {
	if !asks(ctx) {
		<-ctx.Done() // another dial asks
		return "", context.Cause(ctx)
	}
	return h.asks.ask(ctx, q)
}

// hold counts something under way that keeps the holder alive.
func (h *holder) hold(counter *int) (release func()) {
	h.mu.Lock()
	*counter++
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		*counter--
		h.idle = time.Now()
		h.mu.Unlock()
	}
}

// endWhenIdle ends a holder that has had nothing to hold for a while.
func (h *holder) endWhenIdle(ctx context.Context) {
	tick := time.NewTicker(idleEnd / 6)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		used := h.behind > 0 || h.busy > 0 || h.asks.count() > 0 || h.pages.count() > 0 || h.scripts.running() || h.tunnels.count() > 0
		if used {
			h.idle = time.Now()
		}
		idle := time.Since(h.idle)
		h.mu.Unlock()
		if idle >= idleEnd {
			h.log.Print("nothing left to hold")
			h.stop()
			return
		}
	}
}

func (h *holder) status() Status {
	t := h.spec.Target
	s := Status{
		API: API, Version: h.version, PID: os.Getpid(), Key: t.Key(), Name: t.Name,
		Address: t.Address(), User: t.User, Via: []string{}, Aliases: []string{}, Pages: h.pages.list(), Scripts: h.scripts.list(), Tunnels: h.tunnels.list(),
		Goroutines: runtime.NumGoroutine(), Live: liveBytes(),
	}
	for _, hop := range t.Hops() {
		if hop != t {
			s.Via = append(s.Via, hop.Name)
		}
	}
	h.line.mu.Lock()
	s.State, s.Since, s.NextTry, s.Reason = h.line.state, h.line.since, h.line.nextTry, errText(h.line.err)
	h.line.mu.Unlock()
	s.Link, s.Node = h.linked.status(), h.nodeName()
	if l, _ := h.linked.now(); l != nil { // it dials, and knows since when
		st := l.Status()
		s.NextTry = st.NextTry
		if s.State == Down && !st.Down.IsZero() {
			s.Since = st.Down
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Aliases = append(s.Aliases, h.aliases...)
	s.SignIn, s.Behind, s.Sought = h.signed.Method, h.behind, h.sought
	return s
}

func (p Place) path(name string) string { return filepath.Join(p.Run, name) }
