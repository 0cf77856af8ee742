//go:build linux

package jupyter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nbremote/internal/session"
	"nbremote/test/lab"
)

func TestR9_JupyterThatDoesNotComeUp(t *testing.T) {
	r, home := newHost(t)
	for name, c := range map[string]struct {
		stub, what, cause string
		exit              int
	}{
		"exits at once": {
			"echo 'Traceback (most recent call last):' >&2; echo \"ModuleNotFoundError: No module named 'jinja2'\" >&2; exit 1",
			"exit code 1", "No module named 'jinja2'", 1,
		},
		"exits after a while": {
			"echo '[I 2026-01-01 00:00:00.000 ServerApp] fine'; echo '[C 2026-01-01 00:00:00.000 ServerApp] ERROR: no port'; sleep 0.3; echo '[I 2026-01-01 00:00:00.000 ServerApp] bye'; exit 3",
			"exit code 3", "no port", 3,
		},
		"prints nothing": {"exit 5", "exit code 5", "it printed nothing", 5},
		"is killed":      {"echo working; kill -9 $$", "ended", "killed from outside", 137},
		"is not there":   {"exec /nonexistent/python", "exit code 127", "not found", 127},
		"prints colours": {"printf '\\033[31mOSError: [Errno 28] No space left on device\\033[m\\n'; exit 1", "exit code 1", "OSError: [Errno 28] No space left on device", 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), r, Wish{Session: name, Dir: home, Install: stub(t, c.stub), Token: testToken, StartTimeout: 20 * time.Second})
			var e *StartError
			if !errors.As(err, &e) || e.Class() != "start" {
				t.Fatalf("%T %v", err, err)
			}
			if e.Exit != c.exit && e.Exit != -1 || !strings.Contains(e.Cause(), c.cause) || e.Exit != -1 && c.exit < 128 && !strings.Contains(e.Error(), c.what) {
				t.Errorf("%v; cause %q; exit %d", e, e.Cause(), e.Exit)
			}
			if strings.ContainsRune(e.Log(), 0x1b) {
				t.Errorf("colours in %q", e.Log())
			}
		})
	}
}

func TestR9_LastTwentyLines(t *testing.T) {
	r, home := newHost(t)
	_, err := Start(t.Context(), r, Wish{Session: "m", Dir: home, Token: testToken,
		Install: stub(t, "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exit 1")})
	var e *StartError
	if !errors.As(err, &e) || len(e.Lines) != 20 || e.Lines[19] != "line 499" || e.Cause() != "line 499" {
		t.Errorf("%v %q", err, e.Lines)
	}
}

// Jupyter writes its runtime file before it binds, and may do much in between.
func TestStart_BindsLate(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		r, home := newHost(t)
		w := Wish{Session: "m", Dir: home, TCP: tcp, Install: listening(t, "export STUB_BIND_LATE=0.7"), Token: testToken}
		s, err := Start(t.Context(), r, w)
		if err != nil {
			t.Fatal(err)
		}
		network, addr := s.Far()
		conn, err := net.Dial(network, addr)
		if err != nil {
			t.Fatalf("tcp %v: %v", tcp, err)
		}
		conn.Close()
		if err := Stop(t.Context(), r, "m"); err != nil {
			t.Error(err)
		}
	}
}

func TestR9_HangsBeforeListening(t *testing.T) {
	r, home := newHost(t)
	w := Wish{Session: "m", Dir: home, Install: stub(t, "echo loading; exec sleep 600"), Token: testToken, StartTimeout: time.Second}
	began := time.Now()
	_, err := Start(t.Context(), r, w)
	var e *StartError
	if !errors.As(err, &e) || !strings.Contains(e.Error(), "not listening") || e.Cause() != "loading" {
		t.Fatalf("%v", err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("gave up after %v", took)
	}
	// It goes on: nobody starts a second one beside it, and stop ends it.
	if _, err := Start(t.Context(), r, w); !errors.As(err, &e) {
		t.Errorf("%v", err)
	}
	list, err := session.List(t.Context(), r)
	if err != nil || len(list) != 1 || !list[0].Running {
		t.Fatalf("%+v %v", list, err)
	}
	if err := Stop(t.Context(), r, "m"); err != nil {
		t.Fatal(err)
	}
	if alive(list[0].PID) {
		t.Error("it still runs")
	}
}

func TestR9_SlowStartIsWaitedFor(t *testing.T) {
	r, home := newHost(t)
	w := Wish{Session: "m", Dir: home, Install: listening(t, "sleep 0.5"), Token: testToken, StartTimeout: 30 * time.Second}
	s := start1(t, r, w)
	if err := Prove(t.Context(), dialer(s), s); err != nil {
		t.Error(err)
	}
	if s.Reused || !s.Tmux || s.Sock == "" || s.Path != "/lab" || s.Started.IsZero() {
		t.Errorf("%+v", s)
	}
	again := start1(t, r, w)
	if !again.Reused || again.PID != s.PID || again.Sock != s.Sock || again.Token != s.Token {
		t.Errorf("%+v", again)
	}
}

func TestR9_KilledJupyterIsStartedAnew(t *testing.T) {
	r, home := newHost(t)
	w := Wish{Session: "m", Dir: home, Install: listening(t, ""), Token: testToken}
	first := start1(t, r, w)
	p, err := os.FindProcess(first.PID)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	lab.Wait(t, 10*time.Second, "dead", func() bool { return !alive(first.PID) })
	h, err := Probe(t.Context(), r, Look{})
	if err != nil {
		t.Fatal(err)
	}
	if s := h.Running("m"); s != nil {
		t.Errorf("a dead one is taken for running: %+v", s)
	}
	second := start1(t, r, w)
	if second.Reused || second.PID == first.PID {
		t.Errorf("%+v", second)
	}
	if err := Prove(t.Context(), dialer(second), second); err != nil {
		t.Error(err)
	}
}

func TestR8_Names(t *testing.T) {
	r, home := newHost(t)
	install := listening(t, "")
	for i, name := range []string{
		"a b", "it's \"q\"", "two\nlines", "ünïcode \u00e9", "e\u0301", "trailing ", "-dash", "100%", "#{pane_id}", "$(touch x)`touch y`", "a:b.c", "*",
		strings.Repeat("long", 40),
	} {
		dir := filepath.Join(home, "d", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		file := name[:min(len(name), 40)] + ".ipynb"
		lab.Write(t, filepath.Join(dir, file), "{}", 0o644)
		look := Look{Path: "~/d/" + name + "/" + file}
		h, err := Probe(t.Context(), r, look)
		if err != nil || h.Dir != dir || h.File != file {
			t.Errorf("%q: %v %+v", name, err, h)
			continue
		}
		session, why := h.Choose(look)
		if session != name || why != "" {
			t.Errorf("session %q, want %q; %s", session, name, why)
		}
		if i%3 != 0 {
			continue // starting them all takes its time
		}
		s := start1(t, r, Wish{Session: session, Dir: h.Dir, File: h.File, Install: install})
		h, err = Probe(t.Context(), r, look)
		if err != nil {
			t.Fatal(err)
		}
		if again := h.Running(session); again == nil || again.PID != s.PID || again.Dir != dir || again.Path != s.Path {
			t.Errorf("%q: %+v, want %+v", name, again, s)
		}
		if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", s.PID)); cwd != dir {
			t.Errorf("works in %q, want %q", cwd, dir)
		}
		if err := Stop(t.Context(), r, session); err != nil || alive(s.PID) {
			t.Errorf("stop %q: %v", session, err)
		}
	}
	for _, trap := range []string{"x", "y"} {
		if found, _ := filepath.Glob(filepath.Join(home, "*", trap)); found != nil {
			t.Errorf("a name was run: %v", found)
		}
	}
}

func TestR8_OddHome(t *testing.T) {
	lab.Needs(t, "tmux")
	r, home := newHost(t)
	odd := filepath.Join(home, "ho me:'x' "+strings.Repeat("y", 100))
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Env[0] = "HOME=" + odd
	s := start1(t, r, Wish{Session: "main", Dir: odd, Install: listening(t, "")})
	if err := Prove(t.Context(), dialer(s), s); err != nil {
		t.Error(err)
	}
	sweep(t, r)
}

func TestR13_PortTakenMeanwhile(t *testing.T) {
	r, home := newHost(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	s, err := start(t.Context(), r, Wish{Session: "m", Dir: home, Install: listening(t, ""), Token: testToken, TCP: true}, port)
	if err != nil {
		t.Fatal(err)
	}
	if s.Port == port || s.Port == 0 || s.Sock != "" {
		t.Errorf("%+v", s)
	}
	if err := Prove(t.Context(), dialer(s), s); err != nil {
		t.Error(err)
	}
	if there, err := SockThere(t.Context(), r, s); !there || err != nil {
		t.Errorf("%v %v", there, err)
	}
}

func TestA6_PortOfSomebodyElse(t *testing.T) {
	r, home := newHost(t)
	w := Wish{Session: "m", Dir: home, Install: listening(t, ""), Token: testToken, TCP: true}
	s := start1(t, r, w)
	if err := Stop(t.Context(), r, "m"); err != nil {
		t.Fatal(err)
	}
	if there, err := SockThere(t.Context(), r, s); there || err != nil {
		t.Errorf("nobody listens: %v %v", there, err)
	}
	squat(t, s.Port)
	var stranger *StrangerError
	if there, err := SockThere(t.Context(), r, s); there || !errors.As(err, &stranger) || !strings.Contains(stranger.Cause(), "user 65534") {
		t.Errorf("%v %v", there, err)
	}
}

func TestN18_SockThere(t *testing.T) {
	r, home := newHost(t)
	s := &Server{Sock: filepath.Join(home, "s")}
	if there, err := SockThere(t.Context(), r, s); there || err != nil {
		t.Errorf("missing: %v %v", there, err)
	}
	l, err := net.Listen("unix", s.Sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if there, err := SockThere(t.Context(), r, s); !there || err != nil {
		t.Errorf("there: %v %v", there, err)
	}
}

func TestR14_StaleFiles(t *testing.T) {
	r, home := newHost(t)
	w := Wish{Session: "m", Dir: home, Install: listening(t, ""), Token: testToken}
	s := start1(t, r, w)
	if err := Stop(t.Context(), r, "m"); err != nil {
		t.Fatal(err)
	}
	// The files of a server that was killed: its pid is this test's by now.
	dir, run := filepath.Dir(s.Log), filepath.Dir(s.Sock)
	me := os.Getpid()
	lab.Write(t, filepath.Join(run, fmt.Sprintf("jpserver-%d.json", me)), fmt.Sprintf(`{"pid":%d,"port":1,"token":"old"}`, me), 0o600)
	old := strings.Fields(lab.Read(t, filepath.Join(dir, "pid")))
	old[0] = fmt.Sprint(me)
	lab.Write(t, filepath.Join(dir, "pid"), strings.Join(old, " ")+"\n", 0o600)
	lab.Write(t, filepath.Join(dir, "child"), strings.Join(old, " ")+"\n", 0o600)
	h, err := Probe(t.Context(), r, Look{})
	if err != nil || h.Running("m") != nil {
		t.Fatalf("%v %+v", err, h)
	}
	again := start1(t, r, w)
	if again.Reused || again.PID == me {
		t.Errorf("%+v", again)
	}
	if err := Prove(t.Context(), dialer(again), again); err != nil {
		t.Error(err)
	}
}

func TestL2_FiftyStarts(t *testing.T) {
	r, home := newHost(t)
	install := listening(t, "sleep 0.3")
	servers := make([]*Server, 50)
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			w := Wish{Session: "main", Dir: home, Install: install, Token: fmt.Sprintf("%s%02d", testToken, i), StartTimeout: 50 * time.Second}
			s, err := Start(t.Context(), r, w)
			if err != nil {
				t.Errorf("%d: %v", i, err)
				return
			}
			servers[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	first := 0
	for _, s := range servers {
		if s.PID != servers[0].PID || s.Token != servers[0].Token {
			t.Fatalf("two servers: %+v %+v", s, servers[0])
		}
		if !s.Reused {
			first++
		}
	}
	if n := strings.Count(lab.Read(t, filepath.Join(home, "stub-starts")), "\n"); n != 1 || first != 1 {
		t.Errorf("%d started, %d say so", n, first)
	}
	if err := Prove(t.Context(), dialer(servers[7]), servers[7]); err != nil {
		t.Error(err)
	}
}

func TestSessionThatIsNoJupyter(t *testing.T) {
	r, home := newHost(t)
	_, err := r.Run(t.Context(), script(`session_lock job 10; session_make job job; printf 'exec sleep 600\n' >"$S_DIR/run.sh"; session_start job`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), r, Wish{Session: "job", Dir: home, Install: stub(t, "exit 1"), Token: testToken})
	if err == nil || !strings.Contains(err.Error(), "no Jupyter") {
		t.Errorf("%v", err)
	}
	h, err := Probe(t.Context(), r, Look{})
	if err != nil || h.Running("job") != nil || len(h.Sessions) != 1 || h.Sessions[0].Jupyter {
		t.Errorf("%v %+v", err, h)
	}
}

func TestEnvironmentOfJupyter(t *testing.T) {
	r, home := newHost(t, "LANG=C.UTF-8", "JUPYTER_TOKEN=evil", "JUPYTER_PORT=1", "JUPYTER_NO_CONFIG=1")
	install := listening(t, "")
	s := start1(t, r, Wish{Session: "m", Dir: home, Install: install, Setenv: []string{"A=it's $HOME", "JUPYTER_TOKEN=evil2"}, Args: []string{"--debug", "a b"}})
	log := lab.Read(t, s.Log)
	for _, want := range []string{
		`argv ['--no-browser', '--debug', 'a b']`, `"A": "it's $HOME"`, `"VIRTUAL_ENV": "` + install.Prefix + `"`,
		`"PATH": "` + install.Prefix + `/bin:/usr/bin:/bin"`, `"HOME": "` + home + `"`, `"LANG": "C.UTF-8"`, "umask 022",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in %s", want, log)
		}
	}
	for _, bad := range []string{"LC_ALL", "JUPYTER_TOKEN\"", "JUPYTER_PORT\"", "JUPYTER_NO_CONFIG", "NBR_", "\"TMUX", testToken} {
		if strings.Contains(log, bad) {
			t.Errorf("%s in %s", bad, log)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	r, home := newHost(t)
	ok := Wish{Session: "m", Dir: home, Install: stub(t, "exit 1"), Token: testToken}
	for class, change := range map[string]func(*Wish){
		"usage":   func(w *Wish) { w.Args = []string{"--ServerApp.token=x"} },
		"missing": func(w *Wish) { w.UI = "notebook" },
	} {
		w := ok
		change(&w)
		_, err := Start(t.Context(), r, w)
		c, is := err.(interface{ Class() string })
		if !is || c.Class() != class {
			t.Errorf("%s: %v", class, err)
		}
	}
	for _, change := range []func(*Wish){
		func(w *Wish) { w.Token = "short" }, func(w *Wish) { w.Token = testToken + "\n" }, func(w *Wish) { w.Dir = "x" },
		func(w *Wish) { w.Session = "" }, func(w *Wish) { w.Setenv = []string{"A;B=1"} },
	} {
		w := ok
		change(&w)
		if _, err := Start(t.Context(), r, w); err == nil {
			t.Errorf("%+v is started", w)
		}
	}
}

// The token of a session stays when it is ended and started again, whoever
// asks with whatever token: an address saved somewhere is good tomorrow.
func TestTokenStays(t *testing.T) {
	r, home := newHost(t)
	other := filepath.Join(home, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	w := Wish{Session: "m", Dir: home, Owner: "ann", Install: listening(t, "")}
	n := 0
	again := func(w Wish) (s *Server, offered string) {
		t.Helper()
		n++
		w.Token = fmt.Sprintf("%s%02d", testToken, n)
		s = start1(t, r, w)
		if err := Prove(t.Context(), dialer(s), s); err != nil {
			t.Error(err)
		}
		if err := Stop(t.Context(), r, "m"); err != nil {
			t.Fatal(err)
		}
		return s, w.Token
	}
	first, token := again(w)
	if first.Token != token {
		t.Fatalf("the first has %q, not %q", first.Token, token)
	}
	if s, _ := again(w); s.Token != token {
		t.Error("it did not stay")
	}
	// After a boot there is no runtime directory.
	if err := os.RemoveAll(filepath.Dir(first.Sock)); err != nil {
		t.Fatal(err)
	}
	if s, _ := again(w); s.Token != token {
		t.Error("it did not stay when the host was started anew")
	}
	for name, change := range map[string]func(*Wish){
		"another person":    func(w *Wish) { w.Owner = "bob" },
		"another directory": func(w *Wish) { w.Dir = other },
		"a new one is due":  func(w *Wish) { w.Renew = true },
	} {
		before, _ := again(w)
		changed := w
		change(&changed)
		s, offered := again(changed)
		if s.Token != offered || s.Token == before.Token {
			t.Errorf("%s: the token stayed", name)
		}
		if s, _ := again(changed); changed.Renew == (s.Token == offered) {
			t.Errorf("%s: and then", name)
		}
	}
}

// A token that others could have read, or made, is not used again.
func TestA5_TokenThatOthersCouldRead(t *testing.T) {
	r, home := newHost(t)
	w := Wish{Session: "m", Dir: home, Install: listening(t, "")}
	known := testToken + "known"
	for name, spoil := range map[string]func(file string) error{
		"readable":   func(f string) error { return os.Chmod(f, 0o644) },
		"writable":   func(f string) error { return os.Chmod(f, 0o620) },
		"a link":     func(f string) error { return errors.Join(os.Rename(f, f+"2"), os.Symlink(f+"2", f)) },
		"short":      func(f string) error { return os.WriteFile(f, []byte("0123456789abcdef"), 0o600) },
		"odd":        func(f string) error { return os.WriteFile(f, []byte(known+"'; x"), 0o600) },
		"empty":      func(f string) error { return os.Truncate(f, 0) },
		"is no more": os.Remove,
		"another's": func(f string) error {
			if os.Getuid() != 0 {
				return os.Remove(f)
			}
			return os.Chown(f, 65534, 65534)
		},
		"nobody knows for whom": func(f string) error { return os.Remove(filepath.Join(filepath.Dir(f), "jupyter-for")) },
	} {
		t.Run(name, func(t *testing.T) {
			w.Token, w.Renew = known, true
			s := start1(t, r, w)
			if err := Stop(t.Context(), r, "m"); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(filepath.Dir(s.Log), "jupyter-token")
			if s.Token != known || lab.Read(t, file) != known {
				t.Fatalf("not set up: %+v", s)
			}
			if err := spoil(file); err != nil {
				t.Fatal(err)
			}
			w.Token, w.Renew = testToken+"new", false
			s = start1(t, r, w)
			if s.Token != w.Token {
				t.Errorf("it is used: %q", s.Token)
			}
			if i, err := os.Lstat(file); err != nil || i.Mode() != 0o600 {
				t.Errorf("left as %v, %v", i, err)
			}
			if err := Stop(t.Context(), r, "m"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRestartWithNewToken(t *testing.T) {
	r, home := newHost(t)
	first := start1(t, r, Wish{Session: "m", Dir: home, Install: listening(t, "")})
	second, err := Restart(t.Context(), r, "m", time.Minute, "")
	if err != nil || second.Token != first.Token || second.PID == first.PID {
		t.Fatalf("%+v, %v", second, err)
	}
	third, err := Restart(t.Context(), r, "m", time.Minute, testToken+"new")
	if err != nil || third.Token != testToken+"new" {
		t.Fatalf("%+v, %v", third, err)
	}
	if err := Prove(t.Context(), dialer(third), third); err != nil {
		t.Error(err)
	}
	if fourth, err := Restart(t.Context(), r, "m", time.Minute, ""); err != nil || fourth.Token != third.Token {
		t.Errorf("%+v, %v", fourth, err)
	}
}
