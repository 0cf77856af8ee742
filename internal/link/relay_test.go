//go:build unix

package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// relay is a real one, started by the test.
type relay struct {
	t       testing.TB
	dir     string
	spool   string
	cmd     *exec.Cmd
	options []string
}

func python(t testing.TB) string {
	t.Helper()
	path := os.Getenv("NBREMOTE_PYTHON")
	if path == "" {
		path = "python3"
	}
	path, err := exec.LookPath(path)
	if err != nil {
		lab.Missing(t, "python3")
	}
	// A shim of a version manager costs more than the program.
	if real, err := exec.Command(path, "-c", "import sys; print(sys.executable)").Output(); err == nil {
		path = strings.TrimSpace(string(real))
	}
	return path
}

// startRelay starts a relay that ends with the test.
func startRelay(t testing.TB, options ...string) *relay {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbl") // a short path: a socket lives in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o700)
	r := &relay{t: t, dir: dir, spool: t.TempDir(), options: options}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// relayFile is the relay's program as a file.
func relayFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "relay.py")
	if err := os.WriteFile(file, []byte(relayText), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (r *relay) start() {
	r.t.Helper()
	r.cmd = exec.Command(python(r.t), append([]string{"-I", "-S", relayFile(r.t), "serve", "r", r.spool}, r.options...)...)
	r.cmd.Dir = r.dir
	r.cmd.Stderr = nil
	if os.Getenv("NBREMOTE_RELAY_STDERR") != "" {
		r.cmd.Stderr = os.Stderr
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	if said, _ := io.ReadAll(out); string(said) != "ok" {
		r.t.Fatalf("relay: %q", said)
	}
}

// kill ends it without warning.
func (r *relay) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// rss is its memory in bytes.
func (r *relay) rss() int {
	return procRSS(r.t, r.cmd.Process.Pid)
}

func procRSS(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		lab.Missing(t, err.Error())
	}
	pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
	return pages * os.Getpagesize()
}

// cable is a carrier that tests can cut, stop and count.
type cable struct {
	*os.File
	conn *net.UnixConn
	dead atomic.Bool

	mu      sync.Mutex
	stalled chan struct{} // closed when it goes on; nil: it goes
	budget  atomic.Int64  // bytes to either side before it dies; 0: no limit
	limited bool
}

// open opens a carrier: a socket pair of which the relay gets one end.
func (r *relay) open(ctx context.Context) (io.ReadWriteCloser, error) { return r.cable() }

func (r *relay) cable() (*cable, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	syscall.SetNonblock(fds[0], true)
	defer syscall.Close(fds[1])
	c := &cable{File: os.NewFile(uintptr(fds[0]), "cable")}
	c.conn, err = net.DialUnix("unix", nil, &net.UnixAddr{Name: r.dir + "/r.sock"})
	if err != nil {
		c.File.Close()
		return nil, err
	}
	if _, _, err = c.conn.WriteMsgUnix([]byte("A"), syscall.UnixRights(fds[1], fds[1]), nil); err == nil {
		_, err = io.ReadFull(c.conn, make([]byte, 1))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *cable) Close() error {
	c.dead.Store(true)
	c.unstall()
	c.conn.Close()
	return c.File.Close()
}

// stall stops both directions until unstall, as a dead line does.
func (c *cable) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled == nil {
		c.stalled = make(chan struct{})
	}
}

func (c *cable) unstall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled != nil {
		close(c.stalled)
		c.stalled = nil
	}
}

func (c *cable) gate() {
	c.mu.Lock()
	ch := c.stalled
	c.mu.Unlock()
	if ch != nil {
		<-ch
	}
}

// dieAfter lets n more bytes through, and no part of the next.
func (c *cable) dieAfter(n int64) { c.budget.Store(n); c.limited = true }

func (c *cable) spend(n int) int {
	if !c.limited {
		return n
	}
	if left := c.budget.Add(int64(-n)); left <= 0 {
		n += int(left)
		defer c.Close()
		return max(n, 0)
	}
	return n
}

func (c *cable) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	c.gate()
	if c.dead.Load() {
		return 0, io.EOF
	}
	if m := c.spend(n); m < n {
		return m, io.EOF
	}
	return n, err
}

func (c *cable) Write(b []byte) (int, error) {
	c.gate()
	m := c.spend(len(b))
	if m < len(b) {
		return m, io.ErrClosedPipe
	}
	return c.File.Write(b)
}

// newLink makes a link that ends with the test.
func newLink(t testing.TB, cfg Config) *Link {
	t.Helper()
	if cfg.Laptop == (ID{}) {
		cfg.Laptop = NewID()
	}
	l := New(cfg)
	t.Cleanup(func() { l.Close() })
	return l
}

func context10(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// serve listens on a unix socket and gives each connection to handle.
func serve(t testing.TB, handle func(c *net.UnixConn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbs")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); os.RemoveAll(dir) })
	lab.Accept(ln, func(c net.Conn) { handle(c.(*net.UnixConn)) })
	return dir + "/s"
}

func echo(c *net.UnixConn) { lab.Echo(c) }

func dial(t testing.TB, l *Link, kind, address string, options ...Option) *Stream {
	t.Helper()
	c, err := l.Dial(context10(t), kind, address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*Stream)
}

// noise is n bytes that seed decides.
func noise(seed uint64, n int) io.Reader {
	var key [32]byte
	be.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), int64(n))
}

func sum(t testing.TB, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	return fmt.Sprintf("%d %x", n, h.Sum(nil))
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it did not come to: %s", what)
}

func TestStream_Echo(t *testing.T) {
	for _, poll := range []string{"poll=0", "poll=1"} {
		t.Run(poll, func(t *testing.T) {
			r := startRelay(t, poll)
			l := newLink(t, Config{Carrier: r.open})
			s := dial(t, l, "unix", serve(t, echo))
			go func() { io.Copy(s, noise(1, 3<<20)); s.CloseWrite() }()
			if got, want := sum(t, s), sum(t, noise(1, 3<<20)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestDial_Fails(t *testing.T) {
	r := startRelay(t)
	l := newLink(t, Config{Carrier: r.open})
	for _, c := range [][3]string{
		{"unix", "/nowhere/at/all", "No such file"}, {"tcp", "127.0.0.1:1", "refused"},
		{"tcp", "no.such.host.invalid:80", ""}, {"tcp", "127.0.0.1", "HOST:PORT"}, {"udp", "x", "udp"},
	} {
		_, err := l.Dial(context10(t), c[0], c[1])
		if err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%v: %v", c, err)
		}
		var reset *ResetError
		if errors.As(err, &reset) && reset.Code != ResetRefused {
			t.Errorf("%v: %#v", c, reset)
		}
	}
	if n := l.Status().Streams; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// What could not be dialled is forgotten at once, also when the time for it is
// over.
func TestDial_FailedIsForgotten(t *testing.T) {
	r := startRelay(t, "connect=0.1")
	l := newLink(t, Config{Carrier: r.open})
	s := dial(t, l, "unix", serve(t, echo))
	for _, c := range [][2]string{{"unix", "/nowhere/at/all"}, {"tcp", "127.0.0.1:1"}} {
		if _, err := l.Dial(context10(t), c[0], c[1]); err == nil {
			t.Error("no error")
		}
	}
	time.Sleep(500 * time.Millisecond) // five times the time that a dial has
	before := cpu(t, r.cmd.Process.Pid)
	time.Sleep(time.Second)
	if took := cpu(t, r.cmd.Process.Pid) - before; took > 20 {
		t.Errorf("the relay at rest took %d hundredths of a second of one", took)
	}
	ping(t, s)
}

// cpu is the time that a process took, in hundredths of a second.
func cpu(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		lab.Missing(t, err.Error())
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

func BenchmarkDown(b *testing.B) { benchmark(b, true) }
func BenchmarkUp(b *testing.B)   { benchmark(b, false) }

// benchmark moves 64 MiB at a time through one stream over a socket pair.
func benchmark(b *testing.B, down bool) {
	const size = 64 << 20
	r := startRelay(b)
	l := newLink(b, Config{Carrier: r.open})
	piece := make([]byte, 256<<10)
	address := serve(b, func(c *net.UnixConn) {
		if !down {
			io.Copy(io.Discard, c)
			return
		}
		for n := 0; n < size; n += len(piece) {
			c.Write(piece)
		}
		c.CloseWrite()
	})
	b.SetBytes(size)
	for b.Loop() {
		s := dial(b, l, "unix", address)
		if !down {
			for n := 0; n < size; n += len(piece) {
				s.Write(piece)
			}
			s.CloseWrite()
		}
		if n, err := io.Copy(io.Discard, s); err != nil || down && n != size {
			b.Fatal(n, err)
		}
		s.Close()
	}
}
