package lab

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Wire carries Ethernet frames between two cards of the network, late or not
// at all. It stands in for tc netem, which not every kernel has.
type Wire struct {
	delay atomic.Int64
	loss  atomic.Int64 // of a thousand frames
	rate  atomic.Int64 // bits a second each way, 0 = all there are
	still atomic.Int64 // until when nothing arrives, Unix nanoseconds
	cut   atomic.Bool
	bytes atomic.Int64
	ends  [2]*os.File
	wg    sync.WaitGroup
}

// frame is one read: the offload header and the Ethernet frame behind it,
// with the moment it may arrive.
type frame struct {
	data []byte
	due  time.Time
}

// queued frames per direction; what exceeds it is lost, as on a real line.
const wireQueue = 8192

// wireWait is how long a frame waits for its turn on a slow line at most: what
// comes later is lost, as where a router's queue is full.
const wireWait = 4 * time.Second

func newWire(net *Machine, a, b string) (*Wire, error) {
	w := &Wire{}
	for i, card := range []string{a, b} {
		err := net.within(func() (err error) {
			w.ends[i], err = openCard(card)
			return err
		}, "net")
		if err != nil {
			w.Close()
			return nil, err
		}
	}
	for i := range w.ends {
		queue := make(chan frame, wireQueue)
		w.wg.Go(func() { w.read(w.ends[i], queue) })
		w.wg.Go(func() { w.write(w.ends[1-i], queue) })
	}
	return w, nil
}

// openCard makes a packet socket on a card that hands over unfinished
// checksums and large segments as they are (PACKET_VNET_HDR, packet(7)).
func openCard(card string) (*os.File, error) {
	const every = uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), card)
	ifr, err := unix.NewIfreq(card)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: int(ifr.Uint32())})
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (w *Wire) read(from *os.File, queue chan<- frame) {
	defer close(queue)
	buf := make([]byte, 1<<17)
	var free time.Time // when all before is on the line
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		now := time.Now()
		if err != nil || n == 0 || w.cut.Load() || rand.Int64N(1000) < w.loss.Load() || free.Sub(now) > wireWait {
			continue
		}
		if free.Before(now) {
			free = now
		}
		if rate := w.rate.Load(); rate > 0 {
			free = free.Add(time.Duration(int64(n) * 8 * int64(time.Second) / rate))
		}
		f := frame{data: append([]byte(nil), buf[:n]...), due: free.Add(time.Duration(w.delay.Load()))}
		select {
		case queue <- f:
		default:
		}
	}
}

func (w *Wire) write(to *os.File, queue <-chan frame) {
	for f := range queue {
		if wait := time.Until(f.due); wait > 0 {
			time.Sleep(wait)
		}
		if wait := time.Until(time.Unix(0, w.still.Load())); wait > 0 {
			time.Sleep(wait)
		}
		if w.cut.Load() {
			continue
		}
		w.bytes.Add(int64(len(f.data)))
		_, _ = to.Write(f.data)
	}
}

// SetDelay is for each direction, from now on.
func (w *Wire) SetDelay(d time.Duration) { w.delay.Store(int64(d)) }

// SetLoss is how many of a thousand frames are lost each way, by chance.
func (w *Wire) SetLoss(n int) { w.loss.Store(int64(n)) }

// SetRate is how many bits a second go each way, 0 for no limit.
func (w *Wire) SetRate(bits int) { w.rate.Store(int64(bits)) }

// Stall lets nothing arrive for d, and then all of it.
func (w *Wire) Stall(d time.Duration) { w.still.Store(time.Now().Add(d).UnixNano()) }

// Cut loses every frame, those under way too, until it is called with false.
func (w *Wire) Cut(cut bool) { w.cut.Store(cut) }

// Bytes is what has arrived so far, both ways.
func (w *Wire) Bytes() int64 { return w.bytes.Load() }

// Close ends the wire and waits for its goroutines.
func (w *Wire) Close() {
	for _, end := range w.ends {
		if end != nil {
			end.Close()
		}
	}
	w.wg.Wait()
}
