package holder

import (
	"context"
	"io"
	"net"
	"net/http"
)

// pipe joins the command's connection to the stdin and stdout of a shell on the
// host, which outlives cuts where there is a link. It ends with either of them.
func (h *holder) pipe(w http.ResponseWriter, r *http.Request) {
	if _, ok := read[struct{}](w, r); !ok {
		return
	}
	defer h.hold(&h.busy)()
	p, err := h.streaming(r.Context())
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer p.close()
	near, first, ok := switched(w)
	if !ok {
		return
	}
	defer near.Close()
	if unix, ok := near.(*net.UnixConn); ok {
		unix.SetWriteBuffer(1 << 20) // each time it is full costs two changes of process
	}
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		io.CopyN(p.stdin, first, int64(first.Buffered()))
		io.Copy(p.stdin, onlyReader{near})
		p.close()
		io.Copy(io.Discard, near) // what is left unread would reset the answer
	}()
	io.Copy(near, p.stdout)
	p.close()
	closeWrite(near)
	<-typed
}

// onlyReader has a copy done by what it goes to.
type onlyReader struct{ io.Reader }

// Pipe is remote.Piper: a shell on the host. On the link it outlives cuts.
func (c *Client) Pipe(ctx context.Context) (io.ReadWriteCloser, error) {
	conn, err := c.upgrade(ctx, "/v1/pipe", struct{}{})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn, nil
}
