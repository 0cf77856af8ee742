package webproxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"time"
)

const (
	headAtMost = 1 << 20 // bytes of an answer before its body
	askBuffer  = 4 << 10
	watchAfter = 100 * time.Millisecond // a connection that rests is read, to see its end
	announced  = 8                      // answers of 1xx before the one that counts
)

var errAnnounced = errors.New("the answer is only ever announced")

// quick asks for what is the most of a page: bodiless GETs. All of it happens in
// the goroutine that asks. http.Transport has two more for each connection, and
// to wake them is most of what a small answer takes.
type quick struct {
	ctx  context.Context // at whose end no connection is kept
	dial func(ctx context.Context) (net.Conn, error)

	mu      sync.Mutex
	idle    []*quickConn // the one used last at the end
	looking bool         // look will come
}

// quickConn is one connection, which belongs to who has taken it.
type quickConn struct {
	net.Conn
	from   *quick
	in     *bufio.Reader
	out    *bufio.Writer
	limit  int64         // of bytes that may come
	got    bool          // one has come since the last answer
	rested time.Time     // since then
	seen   chan struct{} // closed when something has come while it rested, nil = nobody looks
	late   *time.Timer   // ends it when it has rested for long, if somebody looks
}

func isQuick(req *http.Request) bool {
	return req.Method == http.MethodGet && req.ContentLength == 0 && (req.Body == nil || req.Body == http.NoBody) &&
		len(req.Header["Upgrade"]) == 0 && len(req.Header["Te"]) == 0 && len(req.Header["Expect"]) == 0
}

// roundTrip is that of http.RoundTripper; taken is told whether a connection has
// the request, or it waits for one.
func (q *quick) roundTrip(req *http.Request, taken func(bool)) (*http.Response, error) {
	ctx := req.Context()
	for {
		taken(false)
		c, used, err := q.take(ctx)
		if err != nil {
			return nil, err
		}
		taken(true)
		stop := context.AfterFunc(ctx, func() { c.Close() })
		resp, err := c.ask(req)
		if err == nil {
			resp.Body = &quickBody{ReadCloser: resp.Body, conn: c, stop: stop, again: !resp.Close}
			if resp.ContentLength == 0 {
				resp.Body.Read(nil)
			}
			return resp, nil
		}
		stop()
		c.end()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !used || c.got {
			return nil, err
		}
	}
}

// take gives a connection that rested, or a new one.
func (q *quick) take(ctx context.Context) (c *quickConn, used bool, err error) {
	q.mu.Lock()
	if n := len(q.idle); n > 0 {
		c = q.idle[n-1]
		q.idle = q.idle[:n-1]
	}
	q.mu.Unlock()
	if c != nil {
		return c, true, nil
	}
	conn, err := q.dial(ctx)
	if err != nil {
		return nil, false, err
	}
	c = &quickConn{Conn: conn, from: q, limit: headAtMost}
	c.in, c.out = bufio.NewReaderSize(c, bufferSize), bufio.NewWriterSize(conn, askBuffer)
	return c, false, nil
}

// ask sends a request, and reads the answer up to its body.
func (c *quickConn) ask(req *http.Request) (*http.Response, error) {
	err := req.Write(c.out)
	if err == nil {
		err = c.out.Flush()
	}
	if err != nil {
		return nil, err
	}
	c.unwatched()
	trace := httptrace.ContextClientTrace(req.Context())
	for range announced {
		resp, err := http.ReadResponse(c.in, req)
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errAnnounced
		case resp.StatusCode >= http.StatusOK:
			c.limit = math.MaxInt64
			return resp, nil
		}
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
		}
	}
	return nil, errAnnounced
}

// unwatched waits until nobody else reads.
func (c *quickConn) unwatched() {
	if c.seen != nil {
		c.late.Stop()
		<-c.seen
		c.seen = nil
	}
}

func (c *quickConn) end() {
	c.Close()
	c.unwatched()
}

// Read is for c.in.
func (c *quickConn) Read(b []byte) (int, error) {
	if c.limit <= 0 {
		return 0, errors.New("the head of the answer is too long")
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), c.limit)])
	c.limit -= int64(n)
	c.got = c.got || n > 0
	return n, err
}

// quickBody gives its connection back once it was read to its end.
type quickBody struct {
	io.ReadCloser
	conn  *quickConn // nil = given back
	stop  func() bool
	again bool // the connection may be used again
}

func (b *quickBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.leave(b.again)
	}
	return n, err
}

// isHere tells whether the whole of an answer has come.
func isHere(resp *http.Response) bool {
	b, ok := resp.Body.(*quickBody)
	return ok && resp.ContentLength >= 0 && (b.conn == nil || int64(b.conn.in.Buffered()) >= resp.ContentLength)
}

func (b *quickBody) Close() error {
	b.leave(false)
	return nil
}

func (b *quickBody) leave(again bool) {
	c := b.conn
	if c == nil {
		return
	}
	b.conn = nil
	if b.stop() && again && c.in.Buffered() == 0 && c.from.rest(c) {
		return
	}
	c.Close()
}

// rest keeps a connection for who asks next; false: nobody will.
func (q *quick) rest(c *quickConn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx.Err() != nil || len(q.idle) >= idleStreams {
		return false
	}
	c.rested, c.got, c.limit = time.Now(), false, headAtMost
	q.idle = append(q.idle, c)
	if !q.looking {
		q.looking = true
		time.AfterFunc(watchAfter, q.look)
	}
	return true
}

// look has those watched that rest by now.
func (q *quick) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.looking = false
	for _, c := range q.idle {
		switch {
		case c.seen != nil:
		case time.Since(c.rested) < watchAfter:
			q.looking = true
		default:
			c.seen = make(chan struct{})
			c.late = time.AfterFunc(idle, func() { q.drop(c) })
			go c.watch(c.seen)
		}
	}
	if q.looking {
		time.AfterFunc(watchAfter, q.look)
	}
}

// watch sees the end of a connection that rests, or a byte that comes: of an
// answer when somebody has taken it meanwhile.
func (c *quickConn) watch(seen chan struct{}) {
	defer close(seen)
	c.in.Peek(1)
	c.from.drop(c)
}

// drop ends a connection, unless somebody has taken it.
func (q *quick) drop(c *quickConn) {
	q.mu.Lock()
	i := slices.Index(q.idle, c)
	if i >= 0 {
		q.idle = slices.Delete(q.idle, i, i+1)
	}
	q.mu.Unlock()
	if i >= 0 {
		c.Close()
	}
}

func (q *quick) CloseIdleConnections() {
	q.mu.Lock()
	all := q.idle
	q.idle = nil
	q.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}
