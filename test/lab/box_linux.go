package lab

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Box stands in front of a machine's sshd as a middlebox does: each side has a
// TCP connection with it, so the kernels at both ends see a healthy one
// whatever becomes of the bytes between.
type Box struct {
	listener net.Listener
	machine  *Machine
	wg       sync.WaitGroup

	mu      sync.Mutex
	dials   []time.Time
	open    map[*boxed]bool
	swallow bool
	refuse  bool
	flip    int64 // bytes towards the laptop until a bit is turned over; < 0: never
	flipped int
	closed  bool
}

// boxed is one connection through a Box.
type boxed struct {
	near, far *net.TCPConn
	starved   bool // guarded by the Box's mu
}

// Box has the laptop reach a machine through a box, from now on, when it uses
// that name.
func (l *Lab) Box(m *Machine, name string) *Box {
	l.t.Helper()
	listener, err := m.Listen("tcp", m.Addr+":0")
	must(l.t, err, "put a box before %s", m.Name)
	b := &Box{listener: listener, machine: m, open: map[*boxed]bool{}, flip: -1}
	l.Reach(name, listener.Addr(), m)
	b.wg.Go(b.accept)
	l.t.Cleanup(b.close)
	return b
}

func (b *Box) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.listener.Close()
	b.Reset()
	b.wg.Wait()
}

func (b *Box) accept() {
	for {
		c, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		b.mu.Lock()
		b.dials = append(b.dials, time.Now())
		refuse := b.refuse
		b.mu.Unlock()
		near := c.(*net.TCPConn)
		if refuse {
			reset(near)
			continue
		}
		b.wg.Go(func() { b.carry(near) })
	}
}

func (b *Box) carry(near *net.TCPConn) {
	defer near.Close()
	var c net.Conn
	err := b.machine.within(func() (err error) { c, err = net.Dial("tcp", "127.0.0.1:22"); return err }, "net")
	if err != nil {
		return
	}
	x := &boxed{near: near, far: c.(*net.TCPConn)}
	defer x.far.Close()
	b.mu.Lock()
	b.open[x] = true
	late := b.closed
	b.mu.Unlock()
	if late {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { b.pass(x, x.far, x.near) })
	both.Go(func() { b.pass(x, x.near, x.far) })
	both.Wait()
	b.mu.Lock()
	delete(b.open, x)
	b.mu.Unlock()
}

func (b *Box) pass(x *boxed, to, from *net.TCPConn) {
	defer to.CloseWrite()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && b.lets(x, buf[:n], to == x.near) {
			if _, err := to.Write(buf[:n]); err != nil {
				_, _ = io.Copy(io.Discard, from)
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// lets says whether bytes go on, and turns a bit over where that is due.
func (b *Box) lets(x *boxed, p []byte, towardsLaptop bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.swallow || x.starved {
		return false
	}
	if !towardsLaptop {
		return true
	}
	n := int64(len(p))
	if b.flip >= 0 && b.flip < n {
		p[b.flip] ^= 0x10
		b.flip, b.flipped = -1, b.flipped+1
	} else if b.flip >= 0 {
		b.flip -= n
	}
	return true
}

// Swallow has the box take every byte and give none on, both ways, of all
// connections there are and come, until it is called with false. What was
// swallowed is gone.
func (b *Box) Swallow(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.swallow = on
}

// Starve is Swallow for the connections that are open now, for good.
func (b *Box) Starve() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for x := range b.open {
		x.starved = true
	}
}

// Refuse has the box answer new connections with RST until it is called with
// false.
func (b *Box) Refuse(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = on
}

// Reset ends all connections through the box with RST to both sides, and says
// how many there were.
func (b *Box) Reset() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	for x := range b.open {
		reset(x.near)
		reset(x.far)
	}
	return len(b.open)
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Flip turns a bit over, once, so many bytes on from now on the way to the
// laptop. TCP does not notice.
func (b *Box) Flip(after int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flip = after
}

// Flipped is how many bits have been turned over.
func (b *Box) Flipped() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flipped
}

// Dials are the times at which connections came.
func (b *Box) Dials() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.dials...)
}
