//go:build linux

package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nbremote/test/lab"
)

const base = testTop + "/jupyter"

func kernelsOf(home string) string { return home + "/.local/share/jupyter/kernels" }

// check looks at a kernel that was added from all sides.
func check(t *testing.T, a *Added, env Environment, dir string) {
	t.Helper()
	if a.Unchanged || a.Name != SpecName(env.Name) || a.Dir != dir+"/"+a.Name || a.Prefix != env.Prefix ||
		!strings.HasPrefix(a.Python, "3.") || a.IPykernel == "" || a.Took <= 0 || len(a.Notes) > 0 {
		t.Errorf("%+v", a)
	}
	for name, mode := range map[string]os.FileMode{a.Dir: 0o755 | os.ModeDir, a.Dir + "/kernel.json": 0o644} {
		if i, err := os.Lstat(name); err != nil || i.Mode() != mode {
			t.Errorf("%s: %v %v", name, i, err)
		}
	}
	if left := files(dir); len(left) != 2 {
		t.Errorf("in the kernels' folder: %v", left)
	}
	var spec kernelJSON
	if err := json.Unmarshal([]byte(lab.Read(t, a.Dir+"/kernel.json")), &spec); err != nil {
		t.Fatal(err)
	}
	ours := spec.Metadata.Ours
	if spec.Argv[0] != env.Python || spec.Argv[len(spec.Argv)-1] != "{connection_file}" || ours.Prefix != env.Prefix ||
		ours.Python != a.Python || ours.IPykernel != a.IPykernel || !spec.Metadata.Debugger {
		t.Errorf("%+v", spec)
	}
}

// idle fails when a kernel runs in the server.
func idle(t *testing.T, s *Server) {
	t.Helper()
	if all := ParseRunning(get(t, s, "api/kernels"), nil); len(all) > 0 {
		t.Errorf("runs in the server: %+v", all)
	}
}

func TestAdd_ByItself(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	// Others may read kernelspecs, whatever the umask.
	r.Shell = filepath.Join(home, "strict")
	lab.Write(t, r.Shell, "#!/bin/sh\numask 077\nexec /bin/sh \"$@\"\n", 0o755)
	env := venv(t, home+"/ds", base)
	check(t, mustAdd(t, r, Wish{Env: env}), env, kernelsOf(home))
}

func TestAdd_ThroughServer(t *testing.T) {
	t.Parallel()
	for name, tcp := range map[string]bool{"socket": false, "port": true} {
		t.Run(name, func(t *testing.T) {
			r, home := newHost(t)
			env := venv(t, home+"/ds", base)
			s := jupyter(t, home, tcp)
			stop := sampler(testToken)
			check(t, mustAdd(t, r, Wish{Env: env, Server: s}), env, kernelsOf(home))
			// The test's own server has it once.
			if seen := stop()[testToken]; seen[1] > 0 || seen[0] == 0 {
				t.Errorf("the token in command lines: %d of the server, %d of others", seen[0], seen[1])
			}
			idle(t, s)
			specs, err := ParseKernelspecs(get(t, s, "api/kernelspecs"))
			if err != nil || !slices.ContainsFunc(specs, func(s Spec) bool { return s.Name == "ds" && s.Ours && s.Prefix == env.Prefix }) {
				t.Errorf("%v %+v", err, specs)
			}
		})
	}
}

// The server's own data directory counts, not that of the account's shell.
func TestAdd_WhereServerLooks(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	s := jupyter(t, home, false, "JUPYTER_DATA_DIR="+home+"/elsewhere")
	check(t, mustAdd(t, r, Wish{Env: env, Server: s}), env, home+"/elsewhere/kernels")
	if _, err := os.Stat(home + "/.local/share/jupyter"); err == nil {
		t.Error("something was written in the usual folder too")
	}
}

func TestAdd_ServerOfItsOwnFolderOnly(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env, labEnv := venv(t, home+"/ds", base), venv(t, home+"/lab", base)
	own := labEnv.Prefix + "/share/jupyter/kernels"
	lab.Write(t, home+"/.jupyter/jupyter_server_config.py", "import os\nos.environ['JUPYTER_DATA_DIR'] = '/nowhere'\n", 0o644)
	s := jupyterOf(t, labEnv, home)
	check(t, mustAdd(t, r, Wish{Env: env, Server: s}), env, own)
	idle(t, s)
	if left := files(kernelsOf(home)); len(left) > 0 {
		t.Errorf("left where it is not seen: %v", left)
	}
}

func TestAdd_Unseen(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env, labEnv := venv(t, home+"/ds", base), venv(t, home+"/lab", base)
	s := jupyterOf(t, labEnv, home, "--KernelSpecManager.allowed_kernelspecs={'python3'}")
	before := files(home)
	_, err := Add(t.Context(), r, Wish{Env: env, Server: s})
	var unseen *UnseenError
	if !errors.As(err, &unseen) || unseen.Dir != kernelsOf(home) || unseen.Class() != "missing" || !strings.Contains(unseen.Error(), unseen.Dir) {
		t.Errorf("%v", err)
	}
	unchanged(t, home, before)
	idle(t, s)
}

// unchanged compares the files, but for what Python and Jupyter cache.
func unchanged(t *testing.T, home string, before []string) {
	t.Helper()
	old := func(name string) bool {
		for _, word := range []string{"__pycache__", ".ipython", ".cache", ".jupyter", ".npm"} {
			if strings.Contains(name, word) {
				return true
			}
		}
		return slices.Contains(before, name)
	}
	if more := slices.DeleteFunc(files(home), old); len(more) > 0 {
		t.Errorf("left: %v", more)
	}
}

// A server that cannot be asked is said, and no reason not to add.
func TestAdd_ServerCannotBeAsked(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	s := jupyter(t, home, false)
	wrong, gone := *s, *s
	wrong.Token, gone.Addr = "another", home+"/nobody"
	for word, server := range map[string]*Server{"does not let us in (status 403)": &wrong, "does not answer": &gone} {
		a := mustAdd(t, r, Wish{Env: env, Server: server})
		if a.Python == "" || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], word) {
			t.Errorf("%+v", a)
		}
	}
	if a := mustAdd(t, r, Wish{Env: env, Server: failsToEnd(t, s)}); len(a.Notes) > 0 {
		t.Errorf("%+v", a)
	}
	idle(t, s)
}

// failsToEnd stands before a Jupyter and fails when it is first asked to end a
// kernel, as Jupyter does with one that it still starts.
func failsToEnd(t *testing.T, s *Server) *Server {
	var failed atomic.Bool
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "localhost"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer(s)(ctx)
		}},
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && !failed.Swap(true) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	out := *s
	out.Network, out.Addr = "tcp", front.Listener.Addr().String()
	return &out
}

func TestAdd_StaleTrials(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "new": time.Minute} {
		dir := kernelsOf(home) + "/" + trialPrefix + name
		lab.Write(t, dir+"/kernel.json", "{}", 0o644)
		when := time.Now().Add(-age)
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	mustAdd(t, r, Wish{Env: env})
	trials, _ := filepath.Glob(kernelsOf(home) + "/" + trialPrefix + "*")
	if len(trials) != 1 || filepath.Base(trials[0]) != trialPrefix+"new" {
		t.Errorf("%v", trials)
	}
	os.RemoveAll(trials[0])
}

// A proof that was killed leaves its kernel in the server; the next ends it.
func TestAdd_StaleKernel(t *testing.T) {
	t.Parallel()
	r, home := newHost(t)
	env := venv(t, home+"/ds", base)
	s := jupyter(t, home, false)
	dir := kernelsOf(home) + "/" + trialPrefix + "old"
	lab.Write(t, dir+"/kernel.json", `{"argv":["`+env.Python+`","-m","ipykernel_launcher","-f","{connection_file}"],"display_name":"x"}`, 0o644)
	post(t, s, "api/kernels", `{"name":"`+trialPrefix+`old"}`)
	post(t, s, "api/kernels", `{"name":"python3"}`)
	os.RemoveAll(dir)
	mustAdd(t, r, Wish{Env: env, Server: s})
	if all := ParseRunning(get(t, s, "api/kernels"), nil); len(all) != 1 || all[0].Spec != "python3" {
		t.Errorf("%+v", all)
	}
}

// An answer that nobody wrote, or that came from something else.
func TestRead_HostileAnswers(t *testing.T) {
	j := &job{Nonce: "N"}
	for _, text := range []string{"", "M{}", `N{"state":`, `N{"state":{}}`, `N{"state":"added","facts":[]}`, "Nexit 0"} {
		if a, err := j.added([]byte(remoteField("answer", text)), &Wish{}, &launch{}); err == nil {
			t.Errorf("%q gives %+v", text, a)
		}
	}
	if _, err := j.added([]byte("rubbish"), &Wish{}, &launch{}); err == nil {
		t.Error("rubbish is an answer")
	}
}
