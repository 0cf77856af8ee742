package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// opened is what `open --json` prints.
type opened struct {
	Host      string `json:"host"`
	Session   string `json:"session"`
	URL       string `json:"url"`
	Token     string `json:"token"`
	Port      int    `json:"port"`
	HolderPID int    `json:"holder_pid"`
	Reused    bool   `json:"reused"`
	Version   string `json:"jupyter_version"`
	Directory string `json:"directory"`
	Steps     []struct {
		Name string `json:"name"`
		MS   int64  `json:"ms"`
	} `json:"steps"`
	Link struct {
		On  bool   `json:"on"`
		Why string `json:"why"`
	} `json:"link"`
}

func (o opened) step(name string) time.Duration {
	for _, s := range o.Steps {
		if s.Name == name {
			return time.Duration(s.MS) * time.Millisecond
		}
	}
	return 0
}

// open runs `open --json` with more arguments, which has to work.
func open(t *testing.T, l *lab.Lab, args ...string) opened {
	t.Helper()
	return parseOpened(t, l.Must(append([]string{"open", "--json", "--no-browser"}, args...)...))
}

func parseOpened(t *testing.T, r lab.Result) opened {
	t.Helper()
	var o opened
	if err := json.Unmarshal([]byte(r.Stdout), &o); err != nil {
		t.Fatalf("%v in:\n%s%s", err, r.Stdout, r.Stderr)
	}
	return o
}

// fails checks how a command failed: its exit code and parts of what it said.
func fails(t *testing.T, r lab.Result, exit int, says ...string) {
	t.Helper()
	if r.Exit != exit {
		t.Errorf("exit %d, want %d\n%s%s", r.Exit, exit, r.Stdout, r.Stderr)
	}
	for _, text := range says {
		if !strings.Contains(r.Stderr, text) {
			t.Errorf("it does not say %q:\n%s", text, r.Stderr)
		}
	}
}

// status asks the page's address for a path and gives the HTTP status.
func status(t *testing.T, l *lab.Lab, o opened, path, token string) int {
	t.Helper()
	req, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d%s", o.Port, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// works checks that the page is Jupyter's, and guarded.
func works(t *testing.T, l *lab.Lab, o opened) {
	t.Helper()
	if got := status(t, l, o, "/api/status", o.Token); got != 200 {
		t.Errorf("with the token: %d", got)
	}
	if got := status(t, l, o, "/api/status", ""); got != 403 {
		t.Errorf("without the token: %d", got)
	}
}

// The first use, at a terminal: every machine is new, each is asked about.
func TestOpen_FirstUseThroughTwoGateways(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 2, Unknown: true})
	x := l.Pty("open", "gpu1")
	for _, name := range []string{"gw1", "gw2", "gpu1"} {
		x.Expect(name+" is new here", 20*time.Second)
		x.Expect("Trust it?", 5*time.Second)
		x.Type("yes\r")
	}
	x.Expect("started", 30*time.Second)
	x.Expect("opened in your browser", 30*time.Second)
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	url := l.NextOpened(0)
	if !strings.Contains(url, "/.nbremote/") || strings.Contains(url, "token") {
		t.Errorf("the browser got %s", url)
	}
	if !strings.Contains(x.Screen(), "http://127.0.0.1:8890/lab") {
		t.Errorf("no address:\n%s", x.Screen())
	}
	if n := strings.Count(l.Laptop.ReadFile("/home/me/.ssh/known_hosts"), "\n"); n != 3 {
		t.Errorf("%d host keys saved, want 3", n)
	}
	o := open(t, l)
	works(t, l, o)
	if strings.Contains(x.Screen(), o.Token) {
		t.Error("the token is on the screen")
	}
}

// Twice is once; close leaves Jupyter; stop ends it; restart keeps address and
// token.
func TestOpen_TwiceCloseRestartStop(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	first := open(t, l, "gpu1")
	works(t, l, first)
	if first.Reused || first.Host != "gpu1" || first.Session != "main" || first.Directory != "/home/me" || !strings.HasPrefix(first.Version, "2.") {
		t.Errorf("got %+v", first)
	}
	again := open(t, l, "gpu1")
	if !again.Reused || again.Port != first.Port || again.Token != first.Token || again.HolderPID != first.HolderPID {
		t.Errorf("again: %+v, first %+v", again, first)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gpu1/main") || strings.Contains(r.Stdout, first.Token) {
		t.Errorf("ls: %s", r.Stdout)
	}
	if r := l.Must("url", "gpu1"); strings.TrimSpace(r.Stdout) != first.URL+"?token="+first.Token {
		t.Errorf("url: %s", r.Stdout)
	}
	if r := l.Must("logs", "gpu1"); !strings.Contains(r.Stdout, "erver") || strings.Contains(r.Stdout, first.Token) {
		t.Errorf("logs: %s", r.Stdout)
	}
	fails(t, l.Run("status", "gpu1/typo"), 3, "no such session is open here", "nbremote ls")
	fails(t, l.Run("stop", "-y", "gpu1/typo"), 3, "find gpu1/typo: it does not run", "nbremote ls")
	fails(t, l.Run("open", "--no-browser", "--port", "80", "gpu1"), 1, "a port below 1024 needs root", "leave out --port")
	for _, port := range []string{"80", fmt.Sprint(first.Port)} { // a new Jupyter would be of no use
		fails(t, l.Run("open", "--no-browser", "--port", port, "--name", "other", "gpu1"), 1, "listen on 127.0.0.1:"+port, "leave out --port")
	}
	if n := len(l.Host("gpu1").Running("jupyter-lab")); n != 1 {
		t.Errorf("%d Jupyters run", n)
	}
	l.Must("close", "gpu1")
	if r := l.Must("ls"); strings.Contains(r.Stdout, "gpu1") {
		t.Errorf("ls after close: %s", r.Stdout)
	}
	fails(t, l.Run("url", "gpu1"), 3, "not open here", "nbremote open gpu1")
	back := open(t, l, "gpu1")
	if !back.Reused || back.Port != first.Port || back.Token != first.Token || back.HolderPID == first.HolderPID {
		t.Errorf("back: %+v, first %+v", back, first)
	}
	l.Must("restart", "gpu1", "-y")
	anew := open(t, l, "gpu1")
	if anew.Port != first.Port || anew.Token != first.Token {
		t.Errorf("after restart: %+v, first %+v", anew, first)
	}
	works(t, l, anew)
	l.Must("stop", "gpu1", "-y")
	if left := l.Host("gpu1").Running("jupyter-lab"); len(left) != 0 {
		t.Errorf("left after stop: %v", left)
	}
	if fresh := open(t, l, "gpu1"); fresh.Reused || fresh.Port != first.Port || fresh.Token != first.Token {
		t.Errorf("after stop: %+v", fresh)
	}
	if r := l.Must("close", "gw1"); !strings.Contains(r.Stderr, "gpu1 goes through gw1, and opens it again: nbremote close gpu1 ends that") {
		t.Errorf("close of a gateway in use: %s", r.Stderr)
	}
	lab.Wait(t, 20*time.Second, "the line to be back", func() bool { s := statusOf(t, l); return s.State == "up" && len(s.Link.Cuts) == 1 })
	l.Must("close", "gpu1")
	// The relay can be told only while the gateways stand, whatever the names' order.
	open(t, l, "me@gpu1")
	l.Must("close", "--all")
	lab.Wait(t, 10*time.Second, "the relay to end what it kept for the line", func() bool { return len(l.Host("gpu1").Running("/bin/sh -s")) == 0 })
}

// Fifty at once make one Jupyter and fifty equal addresses.
func TestL2_FiftyOpensAreOne(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	urls := make([]string, 50)
	var wg sync.WaitGroup
	for i := range urls {
		wg.Go(func() {
			r := l.Run("open", "--no-browser", "gpu1")
			if r.Exit != 0 {
				t.Errorf("exit %d: %s", r.Exit, r.Stderr)
			}
			urls[i] = strings.TrimSpace(r.Stdout)
		})
	}
	wg.Wait()
	slices.Sort(urls)
	if all := slices.Compact(urls); len(all) != 1 {
		t.Errorf("%d addresses: %q", len(all), all)
	}
	if n := len(l.Host("gpu1").Running("jupyter-lab")); n != 1 {
		t.Errorf("%d Jupyters", n)
	}
}

// A second laptop of the same person finds the same server; another person in
// a shared account is asked.
func TestOpen_SecondLaptop(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	first := open(t, l, "gpu1")
	other := []string{"XDG_STATE_HOME=/home/me/other/state", "XDG_RUNTIME_DIR="}
	second := parseOpened(t, l.RunEnv(other, "open", "--json", "--no-browser", "gpu1"))
	if !second.Reused || second.Token != first.Token || second.HolderPID == first.HolderPID || second.Port == first.Port {
		t.Errorf("second: %+v, first %+v", second, first)
	}
	works(t, l, second)
}

// A directory is a session; a file opens in the session of its folder; names
// with everything in them are names.
func TestR8_DirectoriesAndTheirNames(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	strange := "it's $(touch pwn) \"q\" #(touch pwn) 50% -x é"
	host.ShAs(lab.Me, `mkdir -p proj other/proj && : >proj/a.ipynb && mkdir "`+strings.NewReplacer(`"`, `\"`, `$`, `\$`).Replace(strange)+`"`)
	fails(t, l.Run("open", "--no-browser", "gpu1:~/none"), 3, "none")
	a := open(t, l, "gpu1:~/proj/a.ipynb")
	if a.Session != "proj" || a.Directory != "/home/me/proj" || !strings.HasSuffix(a.URL, "/lab/tree/a.ipynb") {
		t.Errorf("got %+v", a)
	}
	b := open(t, l, "gpu1:~/other/proj")
	if b.Session != "proj-2" || b.Directory != "/home/me/other/proj" || b.Port == a.Port {
		t.Errorf("got %+v", b)
	}
	c := open(t, l, "gpu1:"+strange)
	if c.Session != strange || c.Directory != "/home/me/"+strange {
		t.Errorf("got %+v", c)
	}
	for _, o := range []opened{a, b, c} {
		works(t, l, o)
	}
	l.Must("stop", "gpu1/"+strange, "-y")
	if left := strings.Fields(host.ShAs(lab.Me, "find . -name pwn")); len(left) != 0 {
		t.Errorf("a name was run: %v", left)
	}
}

// What stands in motd and banner is not taken for an answer, and shown only
// when asked, harmless.
func TestR5_D1_BannerAndMotd(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "Banner /etc/banner\nPrintMotd yes\n"})
	host := l.Host("gpu1")
	host.WriteMode("root", "/etc/banner", "welcome \x1b[31mto the cluster\x1b]0;title\x07\n", 0o644)
	host.WriteMode("root", "/etc/motd", "begin 0123 end\n", 0o644)
	r := l.Must("open", "--no-browser", "-v", "gpu1")
	if !strings.Contains(r.Stderr, `welcome \x1b[31mto the cluster`) || strings.ContainsAny(r.Stderr, "\x1b\x07") {
		t.Errorf("with -v: %q", r.Stderr)
	}
	l.Must("close", "gpu1")
	if r := l.Must("open", "--no-browser", "gpu1"); strings.Contains(r.Stderr, "welcome") {
		t.Errorf("without -v: %q", r.Stderr)
	}
}

// A user's own Jupyter is found and used, and an open one is refused with the
// file that opens it.
func TestA11_JupyterStartedByHand(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	host := l.Host("gpu1")
	host.ShAs(lab.Me, "mkdir -p old && cd old && (setsid jupyter-lab --no-browser --port=8888 </dev/null >log 2>&1 &) && until ls ~/.local/share/jupyter/runtime/jpserver-*.json >/dev/null 2>&1; do sleep 0.1; done")
	o := parseOpened(t, l.Must("open", "--json", "--no-browser", "-y", "gpu1"))
	if !o.Reused || o.Directory != "/home/me/old" {
		t.Errorf("got %+v", o)
	}
	works(t, l, o)
	l.Must("close", "gpu1")
	host.Kill("jupyter-lab", 15)
	lab.Wait(t, 10*time.Second, "its end", func() bool { return len(host.Running("jupyter-lab")) == 0 })
	host.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.py", "c.IdentityProvider.token = ''\n")
	host.ShAs(lab.Me, "cd old && rm -f ~/.local/share/jupyter/runtime/*; (setsid jupyter-lab --no-browser --port=8888 </dev/null >log 2>&1 &) && until ls ~/.local/share/jupyter/runtime/jpserver-*.json >/dev/null 2>&1; do sleep 0.1; done")
	fails(t, l.Run("open", "--no-browser", "-y", "gpu1"), 1, "jupyter_server_config.py")
	mine := open(t, l, "--name", "mine", "gpu1")
	works(t, l, mine)
}

// Ctrl-C while Jupyter starts leaves it to the host, and says so.
func TestOpen_InterruptedStart(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	x := l.Start("open", "--no-browser", "gpu1")
	lab.Wait(t, 30*time.Second, "Jupyter to be started", func() bool { return len(l.Host("gpu1").Running("jupyter-lab")) > 0 })
	x.Signal(syscall.SIGINT)
	fails(t, x.Wait(), 130, "gpu1/main may start all the same; end it with: nbremote stop gpu1/main")
}
