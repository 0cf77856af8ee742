//go:build linux

package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// jupyter starts a real JupyterLab with this home; it ends with the test.
func jupyter(t testing.TB, home string, tcp bool, env ...string) *Server {
	t.Helper()
	lab.Needs(t, testTop+"/jupyter/bin/jupyter-lab")
	return serve(t, home, tcp, []string{testTop + "/jupyter/bin/jupyter-lab"}, env...)
}

// jupyterOf is one that runs in an environment of its own.
func jupyterOf(t testing.TB, labEnv Environment, home string, args ...string) *Server {
	t.Helper()
	return serve(t, home, false, append([]string{labEnv.Python, "-m", "jupyterlab"}, args...))
}

func serve(t testing.TB, home string, tcp bool, argv []string, env ...string) *Server {
	t.Helper()
	run, err := os.MkdirTemp("/tmp", "nbk")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], append(argv[1:], "--no-browser", "--allow-root", "--IdentityProvider.token="+testToken, "--ServerApp.port_retries=50")...)
	s := &Server{Network: "unix", Addr: run + "/s", BaseURL: "/", Token: testToken}
	if tcp {
		s.Network, s.BaseURL = "tcp", "/a/b/"
		cmd.Args = append(cmd.Args, "--ip=127.0.0.1", "--ServerApp.base_url=/a/b/", "--port=23456")
	} else {
		cmd.Args = append(cmd.Args, "--sock="+s.Addr)
	}
	log, err := os.Create(run + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, log, log
	cmd.Env = append([]string{"HOME=" + home, "PATH=/usr/bin:/bin", "JUPYTER_RUNTIME_DIR=" + run}, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.PID = cmd.Process.Pid
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		limit := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		limit.Stop()
		if t.Failed() {
			t.Logf("the log of Jupyter:\n%s", lab.Read(t, run+"/log"))
		}
		os.RemoveAll(run)
	})
	runtime := fmt.Sprintf("%s/jpserver-%d.json", run, s.PID)
	for limit := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var f struct{ Port int }
		b, _ := os.ReadFile(runtime)
		if json.Unmarshal(b, &f) == nil {
			if tcp {
				s.Addr = fmt.Sprintf("127.0.0.1:%d", f.Port)
			}
			if conn, err := net.Dial(s.Network, s.Addr); err == nil {
				conn.Close()
				return s
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("no Jupyter: %s", lab.Read(t, run+"/log"))
		}
	}
}

func dialer(s *Server) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, s.Network, s.Addr)
	}
}

// get asks the server, in words of its own.
func get(t testing.TB, s *Server, path string) []byte {
	t.Helper()
	return ask(t, s, "GET", path, "")
}

func post(t testing.TB, s *Server, path, body string) []byte {
	t.Helper()
	return ask(t, s, "POST", path, body)
}

func ask(t testing.TB, s *Server, method, path, body string) []byte {
	t.Helper()
	dial := dialer(s)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+s.BaseURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+s.Token)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	b.ReadFrom(resp.Body)
	if resp.StatusCode != 200 && resp.StatusCode != 201 {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b.String())
	}
	return b.Bytes()
}

// simpleIndex serves the wheels as PyPI would (PEP 503).
func simpleIndex(t testing.TB) string {
	t.Helper()
	wheels, err := filepath.Glob(testTop + "/wheels/*.whl")
	if err != nil || len(wheels) == 0 {
		lab.Missing(t, testTop+"/wheels")
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		project := strings.Trim(strings.TrimPrefix(r.URL.Path, "/simple/"), "/")
		if strings.HasSuffix(project, ".whl") {
			http.ServeFile(w, r, testTop+"/wheels/"+filepath.Base(project))
			return
		}
		found := 0
		for _, wheel := range wheels {
			name, _, _ := strings.Cut(filepath.Base(wheel), "-")
			if strings.ReplaceAll(strings.ToLower(name), "_", "-") == project {
				if found++; found == 1 {
					w.Header().Set("Content-Type", "text/html")
				}
				fmt.Fprintf(w, "<a href=\"/simple/%[1]s\">%[1]s</a>\n", filepath.Base(wheel))
			}
		}
		if found == 0 {
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/simple/"
}

// sampler reads every command line of this machine until stop. It counts how
// often a word stood in one of a Jupyter of the tests, and in another.
func sampler(words ...string) (stop func() map[string][2]int) {
	seen, done := map[string][2]int{}, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, name := range lines {
				b, _ := os.ReadFile(name)
				for _, word := range words {
					if count := seen[word]; bytes.Contains(b, []byte(word)) {
						if bytes.Contains(b, []byte("--no-browser")) {
							count[0]++
						} else {
							count[1]++
						}
						seen[word] = count
					}
				}
			}
		}
	})
	return func() map[string][2]int { close(done); wg.Wait(); return seen }
}

// withWord are the processes with a word in their command line.
func withWord(word string) (found []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		if b, _ := os.ReadFile(name); bytes.Contains(b, []byte(word)) {
			found = append(found, filepath.Base(filepath.Dir(name)))
		}
	}
	return found
}
