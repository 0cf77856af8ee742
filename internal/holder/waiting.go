package holder

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// waiting counts the requests that have no answer yet: those of a page, while
// the line is down, are held.
type waiting struct{ n atomic.Int64 }

// in counts what goes to a handler.
func (c *waiting) in(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.n.Add(1)
		u := &unanswered{ResponseWriter: w, answered: sync.OnceFunc(func() { c.n.Add(-1) })}
		defer u.answered()
		h.ServeHTTP(u, r)
	})
}

// unanswered tells when the answer begins.
type unanswered struct {
	http.ResponseWriter
	answered func()
}

// Unwrap is for http.ResponseController.
func (u *unanswered) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// WriteHeader: what is below 200 but for 101 only announces an answer.
func (u *unanswered) WriteHeader(code int) {
	if code >= 200 || code == http.StatusSwitchingProtocols {
		u.answered()
	}
	u.ResponseWriter.WriteHeader(code)
}

func (u *unanswered) Write(b []byte) (int, error) {
	u.answered()
	return u.ResponseWriter.Write(b)
}

// Hijack is how a websocket is answered.
func (u *unanswered) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	u.answered()
	return http.NewResponseController(u.ResponseWriter).Hijack()
}
