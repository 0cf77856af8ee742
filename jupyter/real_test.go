//go:build linux

package jupyter

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"nbremote/internal/remote"
	"nbremote/test/lab"
)

const (
	testToken  = "tok_0123456789abcdefghijklmnopqrstuvwxyz-ABCD"
	realPrefix = "/opt/nbremote-test/jupyter"
)

// newHost is a machine of its own: a home directory; what runs there ends with
// the test.
func newHost(t *testing.T, env ...string) (remote.Local, string) {
	t.Helper()
	lab.Needs(t, "tmux")
	home := t.TempDir()
	r := remote.Local{Dir: home, Env: append([]string{"HOME=" + home, "PATH=/usr/bin:/bin", "SHELL=/bin/sh"}, env...)}
	t.Cleanup(func() { sweep(t, r) })
	return r, home
}

// sweep ends all sessions of a host and removes what is outside of its home.
func sweep(t *testing.T, r remote.Local) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := r.Run(ctx, script(`j_end() { session_stop "$1" 5; }
session_each j_end
tmux -S "$NBR_RUN/tmux.sock" kill-server 2>/dev/null
put run "$NBR_RUN"
`))
	if err != nil {
		t.Errorf("end what runs: %v", err)
	}
	fields, _ := remote.ParseFields(out)
	for _, f := range fields {
		if f.Name == "run" && len(f.Value) > 8 {
			os.RemoveAll(string(f.Value))
		}
	}
}

// realJupyter is the JupyterLab that the tests have.
func realJupyter(t *testing.T) Install {
	t.Helper()
	prefix := realPrefix
	if p := os.Getenv("NBREMOTE_TEST_JUPYTER"); p != "" {
		prefix = p
	}
	if _, err := os.Stat(filepath.Join(prefix, "bin/jupyter-lab")); err != nil {
		lab.Missing(t, "JupyterLab in "+prefix)
	}
	return Install{
		Name: "lab", Kind: "venv", Prefix: prefix, Python: prefix + "/bin/python",
		programs: []string{"jupyter-lab", "jupyter-server"},
	}
}

// stub is an Install whose jupyter-lab is the given shell text.
func stub(t *testing.T, text string) Install {
	t.Helper()
	prefix := t.TempDir()
	lab.Write(t, filepath.Join(prefix, "bin/jupyter-lab"), "#!/bin/sh\n"+text+"\n", 0o755)
	return Install{Name: "stub", Kind: "venv", Prefix: prefix, Python: prefix + "/bin/python", programs: []string{"jupyter-lab"}}
}

// listening is a stub that behaves.
func listening(t *testing.T, more string) Install {
	t.Helper()
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		lab.Missing(t, "python3")
	}
	here, err := filepath.Abs("testdata/stub.py")
	if err != nil {
		t.Fatal(err)
	}
	return stub(t, more+"\nexec "+python+" -S -E "+remote.Quote(here)+` "$@"`)
}

func dialer(s *Server) func(context.Context) (net.Conn, error) {
	network, addr := s.Far()
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

// get asks the server with its token.
func get(t *testing.T, s *Server, path string) []byte {
	t.Helper()
	got, err := ask(t.Context(), dialer(s), s, question{path: path, token: s.Token})
	if err != nil || got[0].status != 200 {
		t.Fatalf("get %s: %v %+v", path, err, got)
	}
	return got[0].body
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && syscall.Kill(pid, 0) == nil && !zombie(string(stat))
}

func zombie(stat string) bool {
	for i := len(stat) - 1; i > 0; i-- {
		if stat[i] == ')' {
			return i+2 < len(stat) && stat[i+2] == 'Z'
		}
	}
	return true
}

func start1(t *testing.T, r remote.Runner, w Wish) *Server {
	t.Helper()
	if w.Token == "" {
		w.Token = testToken
	}
	s, err := Start(t.Context(), r, w)
	if err != nil {
		var lines any
		if e, ok := err.(*StartError); ok {
			lines = e.Log()
		}
		t.Fatalf("start: %v\n%v", err, lines)
	}
	if s.PID < 2 || !alive(s.PID) {
		t.Fatalf("pid %s is not alive", strconv.Itoa(s.PID))
	}
	return s
}
