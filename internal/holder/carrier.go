package holder

import (
	"io"
	"time"

	"nbremote/sshx"
)

// carrier is a session whose end is the end of its connection.
type carrier struct {
	*sshx.Process
	conn     *sshx.Conn
	k        *linked
	own      bool // the connection was made for it
	answered bool // guarded by k.mu
}

// Read: a session that ends with its line says nothing of the relay.
func (c *carrier) Read(b []byte) (int, error) {
	n, err := c.Stdout.Read(b)
	if c.answered { // this alone writes it
		return n, c.why(err)
	}
	if n > 0 {
		c.k.mu.Lock()
		c.answered = true
		c.k.mu.Unlock()
	}
	if err == io.EOF && !lives(c.conn) {
		err = lost(c.conn)
	}
	return n, err
}

// why has the connection's own words for its end. It waits a moment for them: a
// session's end is heard of before that of its connection.
func (c *carrier) why(err error) error {
	if err != io.EOF {
		return err
	}
	moment := time.NewTimer(100 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-c.conn.Done():
		return lost(c.conn)
	case <-moment.C:
		return err
	}
}

func (c *carrier) Write(b []byte) (int, error) {
	n, err := c.Stdin.Write(b)
	return n, c.why(err)
}

// Close ends the session and, once the link keeps the line, its connection.
func (c *carrier) Close() error {
	c.k.mu.Lock()
	for i, other := range c.k.alive {
		if other == c {
			c.k.alive = append(c.k.alive[:i:i], c.k.alive[i+1:]...)
			break
		}
	}
	on := c.k.on
	alone := on || c.own
	for _, other := range c.k.alive {
		alone = alone && other.conn != c.conn
	}
	c.k.mu.Unlock()
	if !alone {
		return c.Process.Close()
	}
	if on {
		c.k.h.line.replace(c.conn, c.k.newest())
	}
	return c.conn.Close()
}
