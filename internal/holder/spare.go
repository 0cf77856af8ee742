package holder

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"
)

// streamScript runs a script in a session of its own and passes on its output
// as it comes.
func (h *holder) streamScript(w http.ResponseWriter, r *http.Request) {
	req, ok := read[scriptRequest](w, r)
	if !ok {
		return
	}
	defer h.hold(&h.busy)()
	p, err := h.streaming(r.Context())
	if err != nil {
		reply(w, nil, err)
		return
	}
	defer p.close()
	stop := context.AfterFunc(r.Context(), func() { p.close() })
	defer stop()
	go io.WriteString(p.stdin, req.text()) // framed by the command, which knows the nonce
	w.Header().Set("Content-Type", "application/octet-stream")
	flush := http.NewResponseController(w)
	flush.Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := p.stdout.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return
			}
			flush.Flush()
		}
		if err != nil {
			return
		}
	}
}

// streaming is a shell for a stream: on the link one that waits for a script
// already, which saves a round trip.
func (h *holder) streaming(ctx context.Context) (*session, error) {
	if _, err := h.runner(ctx); err != nil { // has the link begun
		return nil, err
	}
	if l, _ := h.linked.get(ctx); l != nil {
		all := h.linked.shells()
		p := all.spare()
		go all.refill(h.ctx) // for the next one
		if p != nil {
			return p, nil
		}
	}
	return h.session(ctx)
}

// spare gives an idle shell away; nil: there is none that lives.
func (s *shells) spare() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.paused && len(s.idle) > 0 {
		sh := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		s.open--
		s.signal()
		select {
		case <-sh.process.done:
			sh.process.close()
		default:
			return &session{stdin: sh.process.stdin, stdout: sh.answers, close: sh.process.close}
		}
	}
	return nil
}

const refillTime = 10 * time.Second

// refill opens a shell in the place of one that was given away.
func (s *shells) refill(ctx context.Context) {
	s.mu.Lock()
	if s.paused || len(s.idle) > 0 || s.open >= s.limit {
		s.mu.Unlock()
		return
	}
	s.open++
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, refillTime)
	defer cancel()
	p, err := s.start(ctx)
	if err != nil {
		s.mu.Lock()
		s.open--
		s.signal()
		s.mu.Unlock()
		return
	}
	s.give(&shell{process: p, answers: bufio.NewReaderSize(p.stdout, 64<<10)})
}
