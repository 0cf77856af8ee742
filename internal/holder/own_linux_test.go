package holder

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"nbremote/test/lab"
)

// squatter listens, as another user, on a port of 127.0.0.1, answers every
// request with "stolen", and says in what it heard, "\n" for each connection.
func squatter(t *testing.T) (addr string, heard func() string) {
	t.Helper()
	if os.Getuid() != 0 {
		lab.Missing(t, "root")
	}
	cmd := exec.Command("/usr/bin/python3", "-u", "-c", `import socket
s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); print(s.getsockname()[1])
while True:
    c,_=s.accept(); got=c.recv(9999); print(repr(got))
    if got: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nstolen")
    c.close()`)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text atomic.Value
	text.Store("")
	r := bufio.NewReader(out)
	port, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			text.Store(text.Load().(string) + line)
		}
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-done; cmd.Wait() })
	return "127.0.0.1:" + strings.TrimSpace(port), func() string { return text.Load().(string) }
}

// The Jupyter of a page has ended, and another user has its port: neither what
// watches it, nor a command, nor the browser says a word to them.
func TestA6_PageWhosePortIsAnothers(t *testing.T) {
	r := newRig(t)
	newHost(t, r, nil)
	c := r.serve()
	up(t, c)
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
	addr, heard := squatter(t)
	page, err := c.AddPage(limit(t), PageSpec{Session: "main", Network: "tcp", Addr: addr, Token: "secret", Path: "/lab", Watch: []string{"/api/kernels"}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode == 200 || strings.Contains(string(body), "stolen") {
		t.Errorf("the browser got %d %.80s", resp.StatusCode, body)
	}
	if conn, err := c.Dial(limit(t), "tcp", addr); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("a command got %v, %v", conn, err)
	}
	until(t, "the page is said to be gone", func() bool {
		s, err := c.Status(limit(t))
		return err == nil && len(s.Pages) == 1 && s.Pages[0].Gone
	})

	// The twin asks for no owner: it is answered, so they do listen.
	conn, err := c.dial(limit(t), dialRequest{Network: "tcp", Addr: addr, Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "twin")
	if got, _ := io.ReadAll(conn); !strings.HasSuffix(string(got), "stolen") {
		t.Errorf("the twin got %q", got)
	}
	if got := strings.ReplaceAll(heard(), "b''\n", ""); got != "b'twin'\n" {
		t.Errorf("they heard %q", got)
	}
}

// A port of this account is reached, whoever else listens elsewhere.
func TestA6_OwnPort(t *testing.T) {
	r := newRig(t)
	newHost(t, r, nil)
	c := r.serve()
	up(t, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ours") })}
	go server.Serve(l)
	defer server.Close()
	if l := linkOf(t, c); !l.On {
		t.Fatalf("got %+v", l)
	}
	page, err := c.AddPage(limit(t), PageSpec{Session: "main", Network: "tcp", Addr: l.Addr().String(), Token: "secret", Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "ours" {
		t.Errorf("%d %.80s", resp.StatusCode, body)
	}
}
