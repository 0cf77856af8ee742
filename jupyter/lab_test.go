//go:build linux

package jupyter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"nbremote/test/lab"
)

// evil are lines of a user's configuration that would open the server, move
// it, or keep it from starting.
var evil = []string{
	`c.IdentityProvider.token = ''`, `c.IdentityProvider.token = 'usertok'`, `c.ServerApp.token = ''`, `c.ServerApp.token = 'usertok'`,
	`c.ServerApp.cookie_secret = b'x'`, `c.ServerApp.cookie_secret_file = '/tmp/evil.cookie'`,
	`c.PasswordIdentityProvider.token = ''`, `c.PasswordIdentityProvider.hashed_password = 'argon2:x'`, `c.ServerApp.password = 'sha1:x'`,
	`c.PasswordIdentityProvider.password_required = True`, `c.ServerApp.password_required = True`,
	`c.ServerApp.identity_provider_class = 'jupyter_server.auth.identity.IdentityProvider'`,
	`c.ServerApp.ip = '0.0.0.0'`, `c.ServerApp.ip = '*'`, `c.ServerApp.port = 9999`, `c.ServerApp.sock = '/tmp/evil.sock'`, `c.ServerApp.sock_mode = '0666'`,
	`c.ServerApp.base_url = '/evil/'`, `c.ServerApp.allow_origin = '*'`, `c.ServerApp.allow_origin_pat = '.*'`, `c.ServerApp.allow_remote_access = True`,
	`c.ServerApp.allow_credentials = True`, `c.ServerApp.local_hostnames = ['evil.com']`, `c.ServerApp.disable_check_xsrf = True`,
	`c.ServerApp.certfile = '/tmp/evil.pem'`, `c.ServerApp.keyfile = '/tmp/evil.key'`, `c.ServerApp.ssl_options = {'certfile': '/x'}`,
	`c.ServerApp.tornado_settings = {'disable_check_xsrf': True, 'allow_origin': '*', 'xsrf_cookies': False}`,
	`c.ServerApp.root_dir = '/'`, `c.ServerApp.notebook_dir = '/'`, `c.FileContentsManager.root_dir = '/'`,
	`c.ServerApp.preferred_dir = '/'`, `c.FileContentsManager.preferred_dir = '/usr'`, `c.ServerApp.open_browser = True`, `c.ServerApp.allow_root = False`,
}

// cookieSecret is what guards the cookies of a server with that token.
func cookieSecret(token string) string {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte("cookie"))
	return hex.EncodeToString(h.Sum(nil))
}

func TestA11_EachLineOverridden(t *testing.T) {
	install := realJupyter(t)
	home := t.TempDir()
	lab.Write(t, home+"/c/jupyter_server_config.py", configText, 0o600)
	lab.Write(t, home+"/token", testToken+"\n", 0o600)
	lab.Write(t, home+"/.jupyter/keep", "", 0o600)
	cmd := exec.Command(install.Python, "testdata/resolve.py")
	script, err := filepath.Abs("testdata/resolve.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[1], cmd.Dir = script, home
	cmd.Env = []string{
		"HOME=" + home, "PATH=/usr/bin:/bin", "EVIL=" + strings.Join(evil, "\n"), "FILES=jupyter_server_config.py",
		"NBREMOTE_CONFIG_DIR=" + home + "/c", "NBREMOTE_TOKEN_FILE=" + home + "/token", "NBREMOTE_SOCK=" + home + "/s", "NBREMOTE_PORT=20001",
		"JUPYTER_CONFIG_PATH=" + home + "/c:/users/own", "JUPYTER_RUNTIME_DIR=" + home + "/run",
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"token": testToken, "cookie": hex.EncodeToString([]byte(cookieSecret(testToken))), "password": "", "class": "PasswordIdentityProvider", "enabled": true, "required": false, "ip": "127.0.0.1", "port": 0.0,
		"sock": home + "/s", "sock_mode": "0600", "base": "/", "origin": "", "remote": false, "names": []any{"localhost"}, "xsrf": true, "cert": "",
		"root": home, "preferred": "", "ping": []any{2000.0, 6000.0}, "ssl": nil, "credentials": false, "path": "/users/own", "left": []any{},
	}
	cases := 0
	for line := range bytes.Lines(out) {
		var got struct {
			Case string
			Got  map[string]any
		}
		if json.Unmarshal(line, &got) != nil {
			continue
		}
		cases++
		if got.Got["error"] != nil {
			t.Errorf("%s: %v", got.Case, got.Got["error"])
			continue
		}
		for key, value := range want {
			if !reflect.DeepEqual(got.Got[key], value) {
				t.Errorf("%s: %s is %v, want %v", got.Case, key, got.Got[key], value)
			}
		}
	}
	if cases != len(evil) {
		t.Errorf("%d cases of %d", cases, len(evil))
	}
}

// evilHome fills a home with every evil line, in every file that Jupyter reads.
func evilHome(t *testing.T, home string) {
	lines := "c = get_config()\n" + strings.Join(evil, "\n") + "\nc.LabApp.open_browser = True\n"
	for _, name := range []string{"jupyter_server_config.py", "jupyter_lab_config.py", "jupyter_config.py", "jupyter_notebook_config.py"} {
		lab.Write(t, filepath.Join(home, ".jupyter", name), lines, 0o644)
	}
	lab.Write(t, filepath.Join(home, ".jupyter/jupyter_server_config.json"),
		`{"ServerApp":{"token":"","allow_origin":"*","ip":"0.0.0.0","password":"sha1:x"},"IdentityProvider":{"token":""},"PasswordIdentityProvider":{"hashed_password":"argon2:x"}}`, 0o644)
}

// browser is an HTTP client of a server, with cookies but without the token.
func browser(t *testing.T, s *Server) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	dial := dialer(s)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Timeout: 20 * time.Second, Transport: transport}
}

func status(t *testing.T, c *http.Client, method, path string, header ...string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, "http://127.0.0.1:8890"+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header
}

// TestRealJupyter is one JupyterLab in a home where everything is against it,
// looked at from all sides.
func TestRealJupyter(t *testing.T) {
	install := realJupyter(t)
	r, home := newHost(t)
	r.Shell = filepath.Join(t.TempDir(), "loose")
	lab.Write(t, r.Shell, "#!/bin/sh\numask 000\nexec /bin/sh \"$@\"\n", 0o755)
	evilHome(t, home)
	proj := filepath.Join(home, "my proj")
	lab.Write(t, filepath.Join(proj, "a b.ipynb"), `{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5}`, 0o644)
	s := start1(t, r, Wish{Session: "my proj", Dir: proj, File: "a b.ipynb", Install: install, Owner: "me@desk", Args: []string{"--debug"}})
	if s.Version == "" || s.Path != "/lab/tree/a%20b.ipynb" || s.Owner != "me@desk" || s.Sock == "" || s.BaseURL != "/" {
		t.Fatalf("%+v", s)
	}
	if err := Prove(t.Context(), dialer(s), s); err != nil {
		t.Fatal(err)
	}
	run := filepath.Dir(s.Sock)

	t.Run("A11_UserConfigOverridden", func(t *testing.T) {
		c := browser(t, s)
		for token, want := range map[string]int{"": 403, "usertok": 403, testToken: 200} {
			if got, _ := status(t, browser(t, s), "GET", "/api/status", "Authorization", "token "+token); got != want {
				t.Errorf("token %q: %d, want %d", token, got, want)
			}
		}
		if got, _ := status(t, c, "GET", "/api", "Host", "evil.com"); got != 403 {
			t.Errorf("Host evil.com: %d", got)
		}
		if got, _ := status(t, c, "GET", "/lab?token="+testToken); got != 200 {
			t.Errorf("the page: %d", got)
		}
		if got, _ := status(t, c, "GET", "/api/status"); got != 200 {
			t.Errorf("with the cookie: %d", got)
		}
		got, header := status(t, c, "GET", "/api/status", "Origin", "http://evil.com")
		if origin := header.Get("Access-Control-Allow-Origin"); got == 200 || origin != "" {
			t.Errorf("another site, with the cookie: %d, allows the origin %q", got, origin)
		}
		if got, _ := status(t, c, "POST", "/api/kernels"); got != 403 {
			t.Errorf("a request from another site: %d", got)
		}
		var list struct {
			Content []struct{ Name string } `json:"content"`
		}
		if json.Unmarshal(get(t, s, "api/contents/"), &list) != nil || len(list.Content) != 1 || list.Content[0].Name != "a b.ipynb" {
			t.Errorf("it serves %+v", list)
		}
	})

	t.Run("A3_KernelsHaveNoToken", func(t *testing.T) {
		req, _ := http.NewRequest("POST", "http://127.0.0.1/api/kernels", strings.NewReader(`{"name":"python3"}`))
		req.Header.Set("Authorization", "token "+testToken)
		resp, err := browser(t, s).Do(req)
		if err != nil || resp.StatusCode != 201 {
			t.Fatalf("%v %+v", err, resp)
		}
		resp.Body.Close()
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.PID, s.PID))
		environs := 0
		for _, pid := range append(strings.Fields(string(children)), fmt.Sprint(s.PID)) {
			b, err := os.ReadFile("/proc/" + pid + "/environ")
			if err != nil {
				continue
			}
			environs++
			if bytes.Contains(b, []byte(testToken)) {
				t.Errorf("the token is in the environment of %s", pid)
			}
			if pid != fmt.Sprint(s.PID) && (bytes.Contains(b, []byte("NBREMOTE_")) || bytes.Contains(b, []byte("JUPYTER_CONFIG_PATH="))) {
				t.Errorf("a kernel would start a Jupyter with our configuration: %q", b)
			}
		}
		if environs < 2 {
			t.Errorf("%d environments seen", environs)
		}
	})

	t.Run("A4_TokenIsNowhereElse", func(t *testing.T) {
		c := browser(t, s)
		for _, path := range []string{"/lab?token=" + testToken, "/nope?token=" + testToken, "/api/contents/nope?token=" + testToken, "/api/status?token=" + testToken + "x"} {
			status(t, c, "GET", path, "Referer", "http://127.0.0.1:8890/lab?token="+testToken)
		}
		out, err := r.Run(t.Context(), script(`put pane "$(tmux -S "$NBR_RUN/tmux.sock" capture-pane -p -S - -t 'z' 2>/dev/null; for i in $(tmux -S "$NBR_RUN/tmux.sock" list-panes -a -F '#{pane_id}'); do tmux -S "$NBR_RUN/tmux.sock" capture-pane -p -S - -t "$i"; done)"
put environment "$(tmux -S "$NBR_RUN/tmux.sock" show-environment -g)"
put panes "$(tmux -S "$NBR_RUN/tmux.sock" list-panes -a -F '#{pane_title} #{pane_start_command}')"
`))
		if err != nil || !bytes.Contains(out, []byte("is running at")) {
			t.Errorf("the window does not show the log: %v", err)
		}
		if bytes.Contains(out, []byte(testToken)) {
			t.Error("tmux knows the token")
		}
		if found := filesWith(t, cookieSecret(testToken), home, run); len(found) != 0 {
			t.Errorf("what guards the cookies is in %v", found)
		}
		where := filesWith(t, testToken, home, run)
		for _, name := range where {
			base := filepath.Base(name)
			if base != "jupyter-token" && !strings.HasPrefix(base, "jpserver-") {
				t.Errorf("the token is in %s", name)
			}
		}
		if len(where) < 3 {
			t.Errorf("the search finds only %v", where)
		}
	})

	t.Run("A5_Modes", func(t *testing.T) {
		// Jupyter's own files follow the user's umask, so what holds them must
		// be closed.
		for _, dir := range []string{run, run + "/c", filepath.Dir(run), filepath.Dir(s.Log), home + "/.local/share/nbremote"} {
			if i, err := os.Lstat(dir); err != nil || !i.IsDir() || i.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v %v", dir, i.Mode(), err)
			}
		}
		for _, name := range []string{"log", "run.sh", "spec", "jupyter-token"} {
			if i, err := os.Lstat(filepath.Join(filepath.Dir(s.Log), name)); err != nil || i.Mode() != 0o600 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if i, err := os.Lstat(s.Sock); err != nil || i.Mode()&0o077 != 0 {
			t.Errorf("socket: %v %v", i.Mode(), err)
		}
		if len(run) > 57 {
			t.Errorf("%s is too long for kernels' sockets", run)
		}
	})

	t.Run("found again", func(t *testing.T) {
		h := probed(t, r, Look{Path: "my proj"})
		name, why := h.Choose(Look{Path: "my proj"})
		again := h.Running(name)
		if again == nil || why != "" || again.PID != s.PID || again.Token != testToken || again.Owner != "me@desk" || !again.Tmux || again.Started.IsZero() || again.Path != s.Path {
			t.Errorf("%+v", again)
		}
		if len(h.Foreign) != 0 {
			t.Errorf("ours is taken for one started by hand: %+v", h.Foreign[0])
		}
	})

	url, token, ok := ParseOutput(lab.Read(t, s.Log))
	if !ok || token != "" || !strings.HasPrefix(url, "http+unix://") {
		t.Errorf("its output says %q %q %v", url, token, ok)
	}
}

// filesWith are the files below the directories that hold a secret.
func filesWith(t *testing.T, secret string, dirs ...string) (found []string) {
	t.Helper()
	for _, dir := range dirs {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(secret)) {
					found = append(found, path)
				}
			}
			return nil
		})
	}
	return found
}

// sampler reads every command line of this machine until stop, and counts in
// how many a word stood.
func sampler(words ...string) (stop func() map[string]int) {
	seen := map[string]int{}
	done := make(chan struct{})
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
					if bytes.Contains(b, []byte(word)) {
						seen[word]++
					}
				}
			}
		}
	})
	return func() map[string]int { close(done); wg.Wait(); return seen }
}

func TestRestartKeepsTokenAndPort(t *testing.T) {
	install := realJupyter(t)
	r, home := newHost(t)
	// No other test has this one, whatever runs beside it.
	const token = "own_0123456789abcdefghijklmnopqrstuvwxyz-RESTART"
	const control = "control_0123456789abcdefghij"
	stop := sampler(token, url.QueryEscape(token)+"&", base64.StdEncoding.EncodeToString([]byte(token))[:40], control)
	planted := exec.Command("sleep", "600")
	planted.Args[0] = control
	if err := planted.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { planted.Process.Kill(); planted.Wait() }()

	first := start1(t, r, Wish{Session: "m", Dir: home, Token: token, Install: install, UI: "server", TCP: true, Owner: "me", Setenv: []string{"A=b"}, Args: []string{"--MappingKernelManager.cull_interval=301"}})
	if first.Port == 0 || first.Sock != "" || first.Path != "/" {
		t.Fatalf("%+v", first)
	}
	if err := Prove(t.Context(), dialer(first), first); err != nil {
		t.Fatal(err)
	}
	if log := lab.Read(t, first.Log); strings.Contains(log, "deprecated") || strings.Contains(log, "not recognized") {
		t.Errorf("the log complains of our configuration: %s", log)
	}
	tab := browser(t, first)
	if got, _ := status(t, tab, "GET", "/api/status?token="+token); got != 200 {
		t.Errorf("a browser with the token: %d", got)
	}
	second, err := Restart(t.Context(), r, "m", time.Minute, "")
	if err != nil {
		t.Fatal(err)
	}
	if second.Port != first.Port || second.Token != first.Token || second.Dir != first.Dir || second.UI != "server" || second.Owner != "me" || second.Path != "/" {
		t.Errorf("%+v, was %+v", second, first)
	}
	if second.PID == first.PID || alive(first.PID) || second.Reused {
		t.Errorf("the old one goes on: %+v", second)
	}
	if err := Prove(t.Context(), dialer(second), second); err != nil {
		t.Error(err)
	}
	if got, _ := status(t, tab, "GET", "/api/status"); got != 200 {
		t.Errorf("the browser after a restart: %d", got)
	}
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", second.PID)); !bytes.Contains(b, []byte("cull_interval=301")) {
		t.Errorf("the arguments are lost: %q", b)
	}
	if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", second.PID)); !bytes.Contains(b, []byte("\x00A=b\x00")) {
		t.Error("the environment is lost")
	}
	third, err := Restart(t.Context(), r, "m", time.Minute, token+"new")
	if err != nil || third.Port != first.Port || third.Token != token+"new" {
		t.Fatalf("%+v, %v", third, err)
	}
	for _, question := range []string{"/api/status", "/api/status?token=" + token} {
		if got, _ := status(t, tab, "GET", question); got != 403 {
			t.Errorf("with the old token gone: %s: %d", question, got)
		}
	}
	if err := Stop(t.Context(), r, "m"); err != nil || alive(third.PID) {
		t.Errorf("stop: %v", err)
	}
	if h := probed(t, r, Look{}); h.Running("m") != nil {
		t.Error("it is still said to run")
	}
	seen := stop()
	if seen[control] == 0 {
		t.Error("A2: the control is not seen: nothing is proven")
	}
	delete(seen, control)
	if len(seen) != 0 {
		t.Errorf("A2: the token stood in a command line: %v", seen)
	}
	if err := Stop(t.Context(), r, "nothing"); err == nil {
		t.Error("what never ran is ended")
	}
	if _, err := Restart(t.Context(), r, "nothing", time.Second, ""); err == nil {
		t.Error("what never ran is restarted")
	}
}

// TestA11_OneStartedByHand is a server of the user's own that is open to all.
func TestA11_OneStartedByHand(t *testing.T) {
	install := realJupyter(t)
	r, home := newHost(t)
	lab.Write(t, filepath.Join(home, ".jupyter/jupyter_server_config.py"), "c.IdentityProvider.token = ''\n", 0o644)
	cmd := exec.Command(filepath.Join(install.Prefix, "bin/jupyter-server"), "--no-browser", "--allow-root", "--port=0")
	cmd.Env, cmd.Dir = []string{"HOME=" + home, "PATH=/usr/bin:/bin"}, home
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if _, _, ok := ParseOutput(log.String()); ok {
			break
		}
	}
	var h *Host
	lab.Wait(t, 10*time.Second, "it is found", func() bool { h = probed(t, r, Look{}); return len(h.Foreign) == 1 })
	f := h.Foreign[0]
	if f.PID != cmd.Process.Pid || f.Port == 0 || f.Dir != home || f.Session != "main-by-hand" {
		t.Errorf("%+v", f)
	}
	err = Prove(t.Context(), dialer(f), f)
	open, ok := err.(*OpenServerError)
	if !ok || !strings.Contains(open.Cause(), "~/.jupyter/jupyter_server_config.py") {
		t.Errorf("%v", err)
	}
}
