package jupyter

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	askTime     = 15 * time.Second
	headLimit   = 64 << 10 // bytes of one answer's head
	bodyLimit   = 1 << 20  // bytes of one answer's body
	framesLimit = 64 << 10 // what chunks may cost beside the body
)

// question is one GET.
type question struct {
	path  string // behind the base URL
	token string // "" = none is sent
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
	date   time.Time // of the host's clock, zero = it was not told
	hub    bool      // a JupyterHub, or a server behind one
}

// ask sends all questions at once on one connection and reads the answers. It
// ends after 15 s, or with ctx, by closing the connection; what comes is
// bounded. No redirect is followed.
func ask(ctx context.Context, dial func(context.Context) (net.Conn, error), s *Server, questions ...question) ([]answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	answers, err := exchange(conn, s, questions)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return answers, err
}

func exchange(conn net.Conn, s *Server, questions []question) ([]answer, error) {
	var b strings.Builder
	for i, q := range questions {
		fmt.Fprintf(&b, "GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: nbremote\r\nAccept: application/json\r\n", s.BaseURL, q.path, hostHeader(s))
		if q.token != "" {
			fmt.Fprintf(&b, "Authorization: token %s\r\n", q.token)
		}
		if i == len(questions)-1 {
			b.WriteString("Connection: close\r\n")
		}
		b.WriteString("\r\n")
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return nil, fmt.Errorf("ask Jupyter: %w", err)
	}
	limited := &io.LimitedReader{R: conn}
	r := bufio.NewReader(limited)
	var answers []answer
	for range questions {
		limited.N = headLimit + bodyLimit + framesLimit
		a, err := readAnswer(r)
		if err != nil {
			return nil, &answerError{err}
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// answerError is an answer that is none of Jupyter's.
type answerError struct{ error }

func (e *answerError) Error() string { return "read the answer of Jupyter: " + e.error.Error() }
func (e *answerError) Unwrap() error { return e.error }

func readAnswer(r *bufio.Reader) (answer, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err != nil {
		return answer{}, fmt.Errorf("not HTTP: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 599 || resp.ContentLength > bodyLimit {
		return answer{}, fmt.Errorf("not Jupyter: status %d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err != nil {
		return answer{}, err
	}
	if len(body) > bodyLimit {
		return answer{}, fmt.Errorf("not Jupyter: more than %d bytes", bodyLimit)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		date = time.Time{}
	}
	return answer{status: resp.StatusCode, body: body, date: date, hub: resp.Header.Get("X-JupyterHub-Version") != ""}, nil
}

// hostHeader is the name that Jupyter's own check lets pass.
func hostHeader(s *Server) string {
	if s.Sock != "" {
		return "localhost"
	}
	_, addr := s.Far()
	return addr
}
