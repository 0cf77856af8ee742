//go:build linux

package jupyter

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/test/lab"
)

// servers are the Jupyter servers of several years, each with its own names for
// what nbremote sets; a name that a server does not know is ignored unsaid.
var servers = map[string]string{"2.21": "", "2.7": "-2.7", "1.23": "-1.23"}

// What a user of them may have set, so that it bites at once: 10 messages and
// 1000 bytes a second.
const limited = `c = get_config()
c.ServerApp.iopub_msg_rate_limit = c.ZMQChannelsWebsocketConnection.iopub_msg_rate_limit = 10
c.ServerApp.iopub_data_rate_limit = c.ZMQChannelsWebsocketConnection.iopub_data_rate_limit = 1000
`

// pingWatch is beyond the 30 s after which a server pings when nobody has set
// anything.
const pingWatch = 36 * time.Second

func serverOf(t *testing.T, version string) Install {
	t.Helper()
	prefix := realPrefix + servers[version]
	if _, err := os.Stat(prefix + "/bin/jupyter-server"); err != nil {
		lab.Missing(t, "jupyter_server in "+prefix)
	}
	return Install{Name: version, Kind: "venv", Prefix: prefix, Python: prefix + "/bin/python", programs: []string{"jupyter-server"}}
}

// What nbremote sets has its effect in each of them, with a relay and without,
// and against the user's own settings. The twin is the same server as the user
// would start it: it has to ping, and to leave output out.
func TestServers_PingsAndLimits(t *testing.T) {
	t.Parallel()
	for version := range servers {
		for _, way := range []string{"relay", "plain", "twin"} {
			t.Run(version+"_"+way, func(t *testing.T) {
				t.Parallel()
				r, home := newHost(t)
				lab.Write(t, home+"/.jupyter/jupyter_server_config.py", limited, 0o600)
				install := serverOf(t, version)
				var s *Server
				if way == "twin" {
					s = ofUser(t, install, home)
				} else {
					s = start1(t, r, Wish{Session: "m", Dir: home, UI: "server", Install: install, Relay: way == "relay"})
				}
				if !strings.HasPrefix(s.Version, version+".") {
					t.Fatalf("the server is of version %q", s.Version)
				}
				id := kernelOf(t, s)
				lines, bytes := printed(t, s, id)
				first, end := pings(t, s, id)
				t.Logf("%s: %d lines of 300, %d bytes of 8000000; first ping after %v, closed after %v", s.Version, lines, bytes, first, end)
				if whole := lines == 300 && bytes == 8_000_000; whole != (way != "twin") {
					t.Errorf("%d lines of 300 and %d bytes of 8000000 came", lines, bytes)
				}
				switch {
				case way == "relay" && (first != 0 || end != 0):
					t.Errorf("with a relay: a ping after %v, closed after %v", first, end)
				case way == "plain" && (first < time.Second || first > 5*time.Second || end < 5*time.Second || end > 20*time.Second):
					t.Errorf("without a relay: a ping after %v, closed after %v", first, end)
				case way == "twin" && first < 25*time.Second:
					t.Errorf("the twin: a ping after %v", first)
				}
			})
		}
	}
}

// ofUser starts the server as its user would.
func ofUser(t *testing.T, install Install, home string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(install.Prefix+"/bin/jupyter-server", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port="+strconv.Itoa(port), "--port-retries=0")
	cmd.Env = []string{"HOME=" + home, "PATH=" + install.Prefix + "/bin:/usr/bin:/bin", "JUPYTER_TOKEN=" + testToken, "JUPYTER_RUNTIME_DIR=" + home + "/run"}
	cmd.Dir, cmd.SysProcAttr = home, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(10*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		late.Stop()
	})
	s := &Server{Port: port, Token: testToken, BaseURL: "/"}
	limit := time.Now().Add(60 * time.Second)
	for {
		var err error
		if files, _ := filepath.Glob(home + "/run/jpserver-*.json"); len(files) == 1 {
			if got, perr := parseRuntime([]byte(lab.Read(t, files[0]))); perr == nil {
				s.Version = got.Version
				var c net.Conn
				if c, err = dialer(s)(t.Context()); err == nil {
					c.Close()
					return s
				}
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("the twin does not come up: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func client(s *Server) *http.Client {
	dial := dialer(s)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
}

func kernelOf(t *testing.T, s *Server) string {
	t.Helper()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/api/kernels", strings.NewReader(`{"name":"python3"}`))
	req.Header.Set("Authorization", "token "+s.Token)
	resp, err := client(s).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var k struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&k); err != nil || k.ID == "" {
		t.Fatalf("no kernel: %d, %v", resp.StatusCode, err)
	}
	return k.ID
}

// printed executes a cell that prints 300 lines, each a message, and then 8 MB
// in one, and counts what comes.
func printed(t *testing.T, s *Server, kernel string) (lines, bytes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://127.0.0.1/api/kernels/"+kernel+"/channels?session_id=s", &websocket.DialOptions{
		HTTPClient: client(s), HTTPHeader: http.Header{"Authorization": {"token " + s.Token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(64 << 20)
	cell, _ := json.Marshal(map[string]any{
		"channel": "shell", "header": map[string]any{"msg_id": "cell", "username": "me", "session": "s", "msg_type": "execute_request", "version": "5.3"},
		"parent_header": map[string]any{}, "metadata": map[string]any{},
		"content": map[string]any{
			"code":   "for i in range(300): print('line', flush=True)\nprint('x' * 8_000_000, flush=True)\nprint('that is all')",
			"silent": false, "store_history": false, "user_expressions": map[string]any{}, "allow_stdin": false,
		},
	})
	if err := c.Write(ctx, websocket.MessageText, cell); err != nil {
		t.Fatal(err)
	}
	rest := ""
	for {
		_, b, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("after %d lines and %d bytes: %v", lines, bytes, err)
		}
		var m struct {
			Header struct {
				Type string `json:"msg_type"`
			}
			Parent struct {
				ID string `json:"msg_id"`
			} `json:"parent_header"`
			Content struct {
				Text, Status string
			}
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		switch {
		case m.Header.Type == "stream":
			// A message may end between a line and its end.
			rest += m.Content.Text
			lines += strings.Count(rest, "line\n")
			rest = rest[strings.LastIndexByte(rest, '\n')+1:]
			bytes += strings.Count(m.Content.Text, "x")
		case m.Header.Type == "execute_reply" && m.Parent.ID == "cell" && m.Content.Status != "ok":
			t.Errorf("the cell ended with %s", b)
		case m.Header.Type == "status" && m.Parent.ID == "cell" && strings.Contains(string(b), `"idle"`):
			return lines, bytes
		}
	}
}

// pings holds a websocket of a kernel that answers nothing, and tells when the
// first ping came, and the end; 0: none within pingWatch.
func pings(t *testing.T, s *Server, kernel string) (first, end time.Duration) {
	t.Helper()
	conn, err := dialer(s)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	conn.SetDeadline(began.Add(pingWatch))
	fmt.Fprintf(conn, "GET /api/kernels/%s/channels?session_id=p HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n", kernel, s.Token)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %+v", err, resp)
	}
	since := func() time.Duration { return time.Since(began).Round(100 * time.Millisecond) }
	for {
		opcode, err := frame(r)
		switch {
		case os.IsTimeout(err):
			return first, 0
		case err != nil || opcode == 8:
			return first, since()
		case opcode == 9 && first == 0:
			first = since()
		}
	}
}

// frame reads one frame of a server, RFC 6455 section 5.2.
func frame(r *bufio.Reader) (opcode byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	length := uint64(head[1] & 0x7f)
	switch length {
	case 126:
		var n uint16
		err = binary.Read(r, binary.BigEndian, &n)
		length = uint64(n)
	case 127:
		err = binary.Read(r, binary.BigEndian, &length)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, r, int64(length))
	}
	return head[0] & 0xf, err
}
