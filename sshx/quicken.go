package sshx

import (
	"context"
	"io"
	"time"
)

// quickenTime is how long the command of quicken may take.
const quickenTime = 5 * time.Second

// quicken has the server send small messages at once. OpenSSH's sshd sets
// TCP_NODELAY with the first command of a connection only; one that carries
// nothing but connections to other machines waits for the acknowledgement of
// each message before the next: a round trip more for every answer, or 40 ms.
// The command does nothing in any shell. A server that refuses it is as quick as
// it was.
func (c *Conn) quicken() {
	c.quickened.Do(func() {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), quickenTime)
			defer cancel()
			p, err := c.Exec(ctx, "exit")
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { p.Close() })
			defer stop()
			go io.Copy(io.Discard, p.Stderr)
			io.Copy(io.Discard, p.Stdout)
			p.Close()
		}()
	})
}
