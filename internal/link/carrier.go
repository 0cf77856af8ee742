package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// takeTime is how long a relay that has welcomed us may take to answer.
const takeTime = 10 * time.Second

// carrier is one byte pipe to the relay while the link is on it.
type carrier struct {
	l      *Link
	rwc    io.ReadWriteCloser
	parser parser
	dead   bool // guarded by l.mu
	born   time.Time
	writes sync.Mutex // a carrier need not bear two writers
}

// result is how a dial ended.
type result struct {
	id      int
	rwc     io.ReadWriteCloser
	hello   hello
	welcome welcome
	taken   bool // it is the end of a take-over
	err     error
}

// dial opens a carrier and greets.
func (l *Link) dial(ctx context.Context, id int, h hello) result {
	rwc, err := l.cfg.Carrier(ctx)
	if err != nil {
		return result{id: id, err: err}
	}
	return l.greet(ctx, id, &closeOnce{ReadWriteCloser: rwc}, h)
}

// closeOnce may be closed by many.
type closeOnce struct {
	io.ReadWriteCloser
	once sync.Once
	err  error
}

func (c *closeOnce) Close() error {
	c.once.Do(func() { c.err = c.ReadWriteCloser.Close() })
	return c.err
}

// greet asks for the link on a carrier.
func (l *Link) greet(ctx context.Context, id int, rwc io.ReadWriteCloser, h hello) result {
	var w welcome
	b, err := exchange(ctx, rwc, h.bytes(), welcomeSize)
	if err == nil {
		w, err = parseWelcome(b)
	}
	if err != nil {
		rwc.Close()
		return result{id: id, err: fmt.Errorf("greet the relay: %w", err)}
	}
	return result{id: id, rwc: rwc, hello: h, welcome: w}
}

// exchange writes a message and reads the answer; the end of ctx closes rwc.
func exchange(ctx context.Context, rwc io.ReadWriteCloser, message []byte, size int) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { rwc.Close() })
	defer stop()
	if _, err := rwc.Write(message); err != nil {
		return nil, orCause(ctx, err)
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(rwc, answer); err != nil {
		return nil, orCause(ctx, err)
	}
	return answer, nil
}

func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// fence takes the link off its carrier: what that one still gives or wants is
// of no more consequence. The caller closes it, without l.mu, which is held
// here.
func (l *Link) fence() *carrier {
	c := l.carrier
	if c != nil {
		c.dead, l.carrier = true, nil
		l.out.Broadcast()
	}
	clear(l.pinged)
	l.pongs, l.ping, l.ackNow = nil, false, false
	return c
}

// takeOver puts the link on a carrier that was welcomed. The old one is closed
// and no longer read before the position is stated.
func (l *Link) takeOver(r result) error {
	l.mu.Lock()
	if l.closed != nil || r.hello.link != l.id {
		defer l.mu.Unlock()
		r.rwc.Close()
		return errors.New("the link is another now")
	}
	old, pos := l.fence(), l.received
	l.mu.Unlock()
	if old != nil {
		go old.rwc.Close() // a dead line would hold us up
	}
	ctx, cancel := context.WithTimeout(l.ctx, takeTime)
	defer cancel()
	b, err := exchange(ctx, r.rwc, take{epoch: r.hello.epoch, pos: pos}.bytes(), takeSize)
	var t take
	if err == nil {
		t, err = parseTaken(b)
	}
	if err == nil {
		err = l.ride(r, t)
	}
	if err != nil {
		r.rwc.Close()
	}
	return err
}

// ride starts on the carrier from the peer's position.
func (l *Link) ride(r result, t take) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed != nil || r.hello.link != l.id:
		return errors.New("the link is another now")
	case t.status == statusPosition:
		l.broken("the relay does not have what was sent to it")
		return errors.New("the relay does not have what was sent to it")
	case t.status != statusOK || t.epoch != r.hello.epoch:
		return fmt.Errorf("the relay answered %d", t.status)
	case !l.log.resume(t.pos):
		l.broken("the relay says that it has what was never sent")
		return badf("it has %d of %d bytes", t.pos, l.log.end)
	}
	l.create, l.relay, l.acked = false, r.welcome.relay, l.received
	l.ping = true // for the round trip, and for what waits there
	c := &carrier{l: l, rwc: r.rwc, born: l.clock.Now()}
	l.carrier = c
	l.life.up(c.born)
	l.tell()
	l.bump()
	l.freed()
	l.tasks.Add(2)
	go func() { defer l.tasks.Done(); c.read() }()
	go func() { defer l.tasks.Done(); c.write() }()
	return nil
}

// read passes on what the carrier gives until it ends.
func (c *carrier) read() {
	buf := make([]byte, 256<<10)
	for {
		n, err := c.rwc.Read(buf)
		if n > 0 {
			if perr := c.l.receive(c, buf[:n]); perr != nil {
				c.l.wrong(c, perr)
				return
			}
		}
		if err != nil {
			c.l.lost(c, err)
			return
		}
	}
}

// write gives the carrier what is to be sent until it is fenced.
func (c *carrier) write() {
	l, scratch := c.l, make([]byte, 0, maxPayload)
	var batch []entry
	for {
		l.mu.Lock()
		for !c.dead && !l.pending() {
			l.out.Wait()
		}
		if c.dead {
			l.mu.Unlock()
			return
		}
		scratch = l.control(scratch[:0])
		batch = l.log.take(batch[:0], 256<<10)
		l.freed()
		l.mu.Unlock()
		err := c.send(scratch, batch)
		for i := range batch {
			batch[i].mem.release()
			batch[i] = entry{}
		}
		if err != nil {
			l.lost(c, err)
			return
		}
	}
}

// send writes full frames as they are, and joins what is small.
func (c *carrier) send(joined []byte, batch []entry) error {
	c.writes.Lock()
	defer c.writes.Unlock()
	for _, e := range batch {
		if len(joined) > 0 && len(joined)+len(e.b) > cap(joined) {
			if _, err := c.rwc.Write(joined); err != nil {
				return err
			}
			joined = joined[:0]
		}
		if len(e.b) <= cap(joined)/2 || len(joined) > 0 && len(joined)+len(e.b) <= cap(joined) {
			joined = append(joined, e.b...)
			continue
		}
		if _, err := c.rwc.Write(e.b); err != nil {
			return err
		}
	}
	if len(joined) == 0 {
		return nil
	}
	_, err := c.rwc.Write(joined)
	return err
}

// pending says whether there is anything for the writer. l.mu is held.
func (l *Link) pending() bool {
	return l.log.sent < len(l.log.entries) || l.ackNow || l.ping || len(l.pongs) > 0
}

// control appends the frames that are not in the log. l.mu is held.
func (l *Link) control(b []byte) []byte {
	add := func(k kind, pos uint64) {
		b = append(b, make([]byte, headSize)...)
		putHead(b[len(b)-headSize:], k, 0, 0, pos)
	}
	// What is sent anyway takes the acknowledgement along.
	if l.received > l.acked {
		add(kindAck, l.received)
		l.acked = l.received
	}
	l.ackNow = false
	for _, token := range l.pongs {
		add(kindPong, token)
	}
	l.pongs = l.pongs[:0]
	if l.ping {
		l.ping = false
		l.pingID++
		l.pinged[l.pingID] = l.clock.Now()
		add(kindPing, l.pingID)
	}
	return b
}

// bye tells the relay that the link is over, if the carrier takes it at once.
func (c *carrier) bye(err error) {
	if !errors.Is(err, ErrReplaced) {
		text := []byte(err.Error())
		b := make([]byte, headSize+len(text))
		putHead(b, kindBye, len(text), 0, 0)
		copy(b[headSize:], text)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			c.writes.Lock()
			defer c.writes.Unlock()
			c.rwc.Write(b)
		}()
		select {
		case <-sent:
		case <-time.After(time.Second):
		}
	}
	c.rwc.Close()
}

// lost is the end of a carrier. Nothing is lost by it.
func (l *Link) lost(c *carrier, err error) {
	c.rwc.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.carrier != c {
		return
	}
	if err == io.EOF {
		err = errors.New("the carrier ended")
	}
	l.fence()
	l.life.lost(l.clock.Now(), err)
	l.tell()
	l.wake()
}

// wrong is the end of a link whose peer breaks the protocol or says farewell.
func (l *Link) wrong(c *carrier, err error) {
	var bye byeError
	if errors.As(err, &bye) && bye.code == byeReplaced {
		l.end(ErrReplaced)
		return
	}
	c.rwc.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.carrier != c {
		return
	}
	l.fence()
	l.broken(err.Error())
	l.life.lost(l.clock.Now(), err)
	l.tell()
	l.wake()
}
