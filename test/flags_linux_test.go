package test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// The demo: this computer as the host, and nothing of it left after Ctrl-C.
func TestDemo_LeavesNothing(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	j := l.Start("demo", "--no-browser", "--env", lab.Jupyter)
	j.Expect("ready demo/demo http://127.0.0.1:8890", 60*time.Second)
	j.Expect("Ctrl-C ends the demo", 5*time.Second)
	var token string
	lab.Wait(t, 10*time.Second, "the address", func() (ok bool) {
		_, token, ok = strings.Cut(j.Stdout(), "?token=")
		return ok && strings.HasSuffix(token, "\n")
	})
	token = strings.TrimSpace(token)
	works(t, l, opened{Port: 8890, Token: token})
	j.Signal(syscall.SIGINT)
	j.Signal(syscall.SIGINT) // as timeout(1) does: meant as one
	pressed := time.Now()
	lab.Wait(t, 10*time.Second, "impatience", func() bool { j.Signal(syscall.SIGINT); return time.Since(pressed) > 400*time.Millisecond })
	if r := j.Wait(); r.Exit != 130 {
		t.Errorf("exit %d\n%s", r.Exit, r.Stderr)
	}
	for _, program := range []string{"nbremote", "jupyter", "tmux"} {
		lab.Wait(t, 5*time.Second, program+" to be gone", func() bool { return len(l.Laptop.Running(program)) == 0 })
	}
	if left := l.Laptop.Sh("ls -d /tmp/nbr* /dev/shm/nbr* /home/me/.local/share/nbremote 2>/dev/null || :"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// Flags of open that shape what is started, and where.
func TestOpen_Flags(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	host := l.Host("gpu1")
	o := open(t, l, "--via", "gw1", "--port", "9100", "--name", "mine", "--ui", "server", "--setenv", "NBR_TEST=set here",
		"me@"+host.Addr, "--", "--ServerApp.max_body_size=123456")
	if o.Port != 9100 || o.Session != "mine" || !strings.HasSuffix(o.URL, ":9100/") {
		t.Errorf("got %+v", o)
	}
	works(t, l, o)
	running := host.Running("max_body_size=123456")
	if len(running) == 0 {
		t.Fatalf("what stood after -- is not there: %+v", host.Running("jupyter"))
	}
	env, err := os.ReadFile("/proc/" + strconv.Itoa(running[0].PID) + "/environ")
	if err != nil || !strings.Contains(string(env), "\x00NBR_TEST=set here\x00") {
		t.Errorf("environment: %v", err)
	}
	if strings.Contains(string(env), o.Token) {
		t.Error("the token is in the environment")
	}
	fails(t, l.Run("open", "--name", "other", "gpu1", "--", "--IdentityProvider.token=x"), 2, "token")
	fails(t, l.Run("open", "--port", "9100", "--name", "third", "gpu1"), 1, "9100", "taken")
}

// --json is one object, or an error of whoever has none.
func jsonOfEach(t *testing.T, l *lab.Lab) {
	t.Helper()
	l.Must("run", "--name", "j", "gpu1", "--", "true")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"wait", "gpu1/j"}, `"exit":0,"host":"gpu1","session":"j"`}, {[]string{"restart", "-y", "gpu1"}, `"restarted":"gpu1/main"`},
		{[]string{"stop", "-y", "gpu1"}, `{"stopped":["gpu1/main"]}`}, {[]string{"close", "gpu1"}, `{"closed":["gpu1"]}`},
	} {
		r := l.Must(append(c.args, "--json")...)
		var v map[string]any
		err := json.Unmarshal([]byte(r.Stdout), &v)
		delete(v, "started")
		delete(v, "ended")
		if got, _ := json.Marshal(v); err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%q --json: %v, %s", c.args, err, r.Stdout)
		}
	}
	for _, c := range []string{"logs", "attach", "shell", "stdio", "demo"} {
		fails(t, l.Run(c, "--json"), 2, c+" has no JSON")
	}
}

// logs -f goes on until Ctrl-C; config and completion say something.
func TestLogs_Follow(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	o := open(t, l, "gpu1")
	fails(t, l.Run("logs", "gpu1/nosuch"), 3, "there is none", "nbremote ls")
	j := l.Start("logs", "-f", "gpu1")
	j.Expect("running at", 20*time.Second)
	status(t, l, o, "/api/contents/not-there", o.Token)
	j.Expect("not-there", 20*time.Second)
	j.Signal(syscall.SIGINT)
	if r := j.Wait(); r.Exit != 130 || strings.Contains(r.Stdout, o.Token) {
		t.Errorf("exit %d\n%s", r.Exit, r.Stdout)
	}
	if r := l.Must("completion", "bash"); !strings.Contains(r.Stdout, "complete") {
		t.Errorf("completion: %q", r.Stdout)
	}
	if r := l.RunEnv([]string{"COMP_LINE=nbremote open gp", "COMP_POINT=16"}); !strings.Contains(r.Stdout, "gpu1") {
		t.Errorf("completed: %q %s", r.Stdout, r.Stderr)
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "default_host = \"gpu1\"\n")
	if r := l.Must("config"); !strings.Contains(r.Stdout, "default_host") || !strings.Contains(r.Stdout, "config.toml:1") {
		t.Errorf("config: %s", r.Stdout)
	}
	jsonOfEach(t, l)
}
