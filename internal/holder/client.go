package holder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"nbremote/internal/remote"
)

// Client talks to one holder over its control socket. It is a remote.Runner
// and a remote.Streamer for the holder's host.
type Client struct {
	Sock string // path of the control socket
}

// ErrNone says that no holder answers.
var ErrNone error = &Error{Text: "the background process that holds the line has ended", ClassName: "line"}

// Find gives the holder that a name, as it was typed, was registered with.
func Find(place Place, alias string) (*Client, error) {
	raw, err := os.ReadFile(place.aliasPath(alias))
	if err != nil {
		return nil, ErrNone
	}
	var kept struct{ Key string }
	if json.Unmarshal(raw, &kept) != nil || kept.Key == "" || filepath.Base(kept.Key) != kept.Key {
		return nil, ErrNone
	}
	c := &Client{Sock: place.path(kept.Key + ".sock")}
	if !c.alive() {
		return nil, ErrNone
	}
	return c, nil
}

// List gives every holder of this user, by name; one that does not answer within
// a second as Silent.
func List(ctx context.Context, place Place) []Status {
	socks, _ := filepath.Glob(place.path("*.sock"))
	found := make([]*Status, len(socks))
	var wg sync.WaitGroup
	for i, sock := range socks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if s, ok := (&Client{Sock: sock}).Look(ctx, place); ok {
				found[i] = &s
			}
		}()
	}
	wg.Wait()
	out := []Status{}
	for _, s := range found {
		if s != nil {
			out = append(out, *s)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// ByKey is the client of the holder with that key, whether it answers or not.
func ByKey(place Place, key string) *Client { return &Client{Sock: place.path(key + ".sock")} }

func (c *Client) alive() bool {
	conn, err := net.DialTimeout("unix", c.Sock, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Status asks the holder for its state.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, testOnlyAnswer, errSilent)
	defer cancel()
	err = c.call(ctx, "GET", "/v1/status", nil, &s)
	return s, err
}

// Fresh is Status after a look at every page, if the line is up. An older holder
// gives its last report.
func (c *Client) Fresh(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, "GET", "/v1/status?fresh=1", nil, &s)
	return s, err
}

// Link says how bytes go over the line, once that is known; nil before the
// first script.
func (c *Client) Link(ctx context.Context) (l *Link, err error) {
	err = c.call(ctx, "GET", "/v1/link", nil, &l)
	return l, err
}

// Close ends the holder: its ports, its line, itself. What runs on the host
// runs on.
func (c *Client) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, testOnlyAnswer, errSilent)
	defer cancel()
	return c.call(ctx, "POST", "/v1/close", struct{}{}, nil)
}

// Return has this target's next sign-ins go on to one of the machines behind
// its name.
func (c *Client) Return(ctx context.Context, n Node) error {
	return c.call(ctx, "POST", "/v1/node", n, nil)
}

// AddPage opens a local port in front of a web server on the host; the same
// session again gives the same port.
func (c *Client) AddPage(ctx context.Context, spec PageSpec) (p Page, err error) {
	err = c.call(ctx, "POST", "/v1/pages", spec, &p)
	return p, err
}

// OpenPage asks for an address to give to the browser; path "" is the page's own.
func (c *Client) OpenPage(ctx context.Context, session, path string, newTab bool) (o Opening, err error) {
	err = c.call(ctx, "POST", "/v1/pages/open", openRequest{Session: session, Path: path, NewTab: newTab}, &o)
	return o, err
}

// NotOpened says that no browser took the address that OpenPage gave.
func (c *Client) NotOpened(ctx context.Context, session string) error {
	return c.call(ctx, "POST", "/v1/pages/open", openRequest{Session: session, NotOpened: true}, nil)
}

// RemovePage closes the local port of a session.
func (c *Client) RemovePage(ctx context.Context, session string) error {
	return c.call(ctx, "POST", "/v1/pages/remove", openRequest{Session: session}, nil)
}

// Answer replies to a question.
func (c *Client) Answer(ctx context.Context, a Answer) error {
	return c.call(ctx, "POST", "/v1/answer", a, nil)
}

// Ask puts a question of one of the holder's children to whichever command is
// connected.
func (c *Client) Ask(ctx context.Context, q Question) (string, error) {
	var a Answer
	err := c.call(ctx, "POST", "/v1/ask", q, &a)
	return a.Text, err
}

// Run runs a script on the host; see remote.Runner.
func (c *Client) Run(ctx context.Context, script string) ([]byte, error) {
	return c.run(ctx, newScript(script))
}

func (c *Client) run(ctx context.Context, req scriptRequest) ([]byte, error) {
	resp, err := c.do(ctx, "POST", "/v1/run", req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		var ran Ran
		err := json.NewDecoder(resp.Body).Decode(&ran)
		return ran.Stdout, err
	}
	failure := scriptFailure{Error: &Error{}}
	if err := json.NewDecoder(resp.Body).Decode(&failure); err != nil {
		return nil, fmt.Errorf("read the holder's answer: %w", err)
	}
	if failure.Exit != nil {
		return nil, &remote.ScriptError{Exit: *failure.Exit, Stdout: failure.Stdout}
	}
	return nil, failure.Error
}

// Stream runs a script on the host and gives its output as it comes; see
// remote.Streamer.
func (c *Client) Stream(ctx context.Context, script string) (io.ReadCloser, error) {
	nonce := remote.NewNonce()
	resp, err := c.do(ctx, "POST", "/v1/stream", newScript(remote.Frame(nonce, script)))
	if err != nil {
		return nil, err
	}
	if err := failed(resp); err != nil {
		return nil, err
	}
	return remote.NewStream(resp.Body, nonce), nil
}

// Dial connects to a server of this account, at an address as the host reaches
// it. By the link a TCP port of another user is an error.
func (c *Client) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, dialRequest{Network: network, Addr: addr})
}

// DialDirect is Dial for one who dials anew when the line is lost: by a channel
// of the connection itself.
func (c *Client) DialDirect(ctx context.Context, network, addr string) (net.Conn, error) {
	return c.dial(ctx, dialRequest{Network: network, Addr: addr, Direct: true})
}

func (c *Client) dial(ctx context.Context, req dialRequest) (net.Conn, error) {
	conn, err := c.upgrade(ctx, "/v1/dial", req)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// upgrade asks for a stream, which outlives ctx.
func (c *Client) upgrade(ctx context.Context, path string, in any) (*dialled, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Sock)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNone, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	r := bufio.NewReader(conn)
	resp, err := postOn(conn, r, path, body)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer conn.Close()
		return nil, failed(resp)
	}
	return &dialled{UnixConn: conn.(*net.UnixConn), r: r}, nil
}

func postOn(conn net.Conn, r *bufio.Reader, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequest("POST", "http://holder"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(r, req)
}

// dialled is a connection whose first bytes may have come with the answer.
type dialled struct {
	*net.UnixConn
	r *bufio.Reader
}

func (d *dialled) Read(b []byte) (int, error) { return d.r.Read(b) }

// WriteTo is there because a copy to a file takes the descriptor of what it
// copies from, and would pass by what has come already.
func (d *dialled) WriteTo(w io.Writer) (int64, error) { return d.r.WriteTo(w) }

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := failed(resp); err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// failed gives the error that an answer carries, if it is not an answer.
func failed(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e := &Error{}
	if json.Unmarshal(body, e) == nil && e.Text != "" {
		return e
	}
	if resp.StatusCode == http.StatusNotFound {
		return &Error{
			Text: "what holds the line is of an older version, which cannot do that", ClassName: "other",
			HintText: "nbremote close, then nbremote open: Jupyter runs on",
		}
	}
	return fmt.Errorf("ask the holder: %s %s", resp.Status, bytes.TrimSpace(body))
}

func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://holder"+path, body)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", c.Sock)
	}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		switch cause := context.Cause(ctx); {
		case cause == errSilent:
			return nil, c.silent()
		case cause != nil:
			return nil, cause
		}
		return nil, fmt.Errorf("%w: %v", ErrNone, err)
	}
	return resp, nil
}
