package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"
)

// Running is a kernel that runs in a Jupyter.
type Running struct {
	ID          string    `json:"id"`
	Spec        string    `json:"spec"`  // name of its kernelspec
	State       string    `json:"state"` // idle, busy, starting, dead, …
	Last        time.Time `json:"last"`  // that it did something; zero = not known
	Connections int       `json:"connections"`
	Notebook    string    `json:"notebook,omitempty"` // path from the server's directory, "" = none
}

const (
	runningLimit = 10000 // entries of one answer
	textLimit    = 4096  // bytes of one word in it
	askTime      = 30 * time.Second
	restartTime  = 90 * time.Second
)

// ParseRunning reads the answers of /api/kernels and /api/sessions. What is
// not understood is left out.
func ParseRunning(kernels, sessions []byte) []Running {
	var list []struct {
		ID          string    `json:"id"`
		Name        string    `json:"name"`
		State       string    `json:"execution_state"`
		Last        looseTime `json:"last_activity"`
		Connections loose     `json:"connections"`
	}
	_ = json.Unmarshal(kernels, &list)
	books := notebooks(sessions)
	var all []Running
	for _, one := range list[:min(len(list), runningLimit)] {
		if !idForm().MatchString(one.ID) || len(one.Name) > textLimit || len(one.State) > textLimit {
			continue
		}
		all = append(all, Running{
			ID: one.ID, Spec: one.Name, State: one.State, Last: time.Time(one.Last),
			Connections: max(0, int(one.Connections)), Notebook: books[one.ID],
		})
	}
	return all
}

// notebooks are the paths by the kernel's id.
func notebooks(sessions []byte) map[string]string {
	var open []struct {
		Path   string `json:"path"`
		Name   string `json:"name"`
		Kernel struct {
			ID string `json:"id"`
		} `json:"kernel"`
	}
	_ = json.Unmarshal(sessions, &open)
	books := map[string]string{}
	for _, s := range open[:min(len(open), runningLimit)] {
		name := s.Path
		if name == "" {
			name = s.Name
		}
		if name != "" && len(name) <= textLimit && books[s.Kernel.ID] == "" {
			books[s.Kernel.ID] = name
		}
	}
	return books
}

// looseTime is a time, or zero where the text is none.
type looseTime time.Time

// UnmarshalJSON never fails: one odd kernel must not hide the others.
func (t *looseTime) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		if parsed, err := time.Parse(time.RFC3339Nano, text); err == nil {
			*t = looseTime(parsed)
		}
	}
	return nil
}

// loose is a number, or 0 where there is none.
type loose int

// UnmarshalJSON never fails.
func (n *loose) UnmarshalJSON(b []byte) error {
	var number int32
	if json.Unmarshal(b, &number) == nil {
		*n = loose(number)
	}
	return nil
}

// idForm is what Jupyter calls kernels: nothing that could lead elsewhere in a path.
var idForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9A-Fa-f](-?[0-9A-Fa-f]){7,63}$`)
})

// ServerError is an answer of Jupyter that is none to what was asked.
type ServerError struct {
	What   string // "interrupt kernel ID"
	Status int
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("%s: Jupyter answers with status %d", e.What, e.Status)
}

// Class is refused for a token that is not known, else other.
func (e *ServerError) Class() string {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusFound:
		return "refused"
	}
	return "other"
}

// Dial reaches the server on its host.
type Dial = func(ctx context.Context) (net.Conn, error)

// Interrupt stops the cell that a kernel runs. A kernel that is not there is a
// *NotFoundError, as for Restart and Shutdown.
func Interrupt(ctx context.Context, dial Dial, s Server, id string) error {
	return act(ctx, dial, s, http.MethodPost, "interrupt", id, "/interrupt", askTime)
}

// Restart ends a kernel's process and starts another: its variables are lost.
func Restart(ctx context.Context, dial Dial, s Server, id string) error {
	return act(ctx, dial, s, http.MethodPost, "restart", id, "/restart", restartTime)
}

// Shutdown ends a kernel.
func Shutdown(ctx context.Context, dial Dial, s Server, id string) error {
	return act(ctx, dial, s, http.MethodDelete, "end", id, "", askTime)
}

func act(ctx context.Context, dial Dial, s Server, method, verb, id, action string, limit time.Duration) error {
	what := verb + " kernel " + id
	if !idForm().MatchString(id) {
		return &UsageError{What: fmt.Sprintf("%s a kernel: %.80q is no kernel's id", verb, id), Try: "nbremote kernel list"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: no answer from Jupyter in %v", what, limit))
	defer cancel()
	status, err := send(ctx, dial, s, method, "api/kernels/"+id+action)
	if status == http.StatusInternalServerError {
		// What Jupyter says of a restart, too, when there is none.
		if now, asked := send(ctx, dial, s, http.MethodGet, "api/kernels/"+id); asked == nil && now == http.StatusNotFound {
			status = now
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case status == http.StatusNotFound:
		return &NotFoundError{What: what + ": there is none of that id any more"}
	case status < 200 || status > 299:
		return &ServerError{What: what, Status: status}
	}
	return nil
}

// send is request for its status alone.
func send(ctx context.Context, dial Dial, s Server, method, path string) (status int, err error) {
	resp, done, err := request(ctx, dial, s, method, path)
	if err != nil {
		return 0, err
	}
	defer done()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, err
}

// request sends one request on a connection of its own, which done ends.
func request(ctx context.Context, dial Dial, s Server, method, path string) (resp *http.Response, done func(), err error) {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+s.BaseURL+path, http.NoBody)
	if err != nil {
		return nil, nil, errors.New("its address is none")
	}
	if s.Network != "unix" {
		req.Host = s.Addr
	}
	req.Header.Set("Authorization", "token "+s.Token)
	if resp, err = client.Do(req); err != nil {
		return nil, nil, err
	}
	return resp, func() { resp.Body.Close(); transport.CloseIdleConnections() }, nil
}
