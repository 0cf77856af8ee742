package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

const farToken = "far0123456789abcdefFAR"

// box makes gpu1 a machine with no ssh of its own, on which somebody has started
// Jupyter: gw1 knows it as jupyter-box.
func box(t *testing.T, l *lab.Lab, args string) *lab.Machine {
	t.Helper()
	m := l.Host("gpu1")
	m.StopSSHD()
	l.Gateways[0].Sh("echo '" + m.Addr + " jupyter-box' >>/etc/hosts")
	m.WriteFile(lab.Me, "/home/me/token", farToken) // a sampler of another test looks for it in arguments
	m.ShAs(lab.Me, "mkdir -p box && cd box && (JUPYTER_TOKEN=$(cat ~/token) setsid jupyter-lab --no-browser --ip=0.0.0.0 --port=8888 "+args+
		" </dev/null >log 2>&1 &) && until ls ~/.local/share/jupyter/runtime/jpserver-*.json >/dev/null 2>&1; do sleep 0.1; done")
	awaitListener(t, m, "127.0.0.1:8888")
	return m
}

// piped runs nbremote with something on its stdin.
func piped(t *testing.T, l *lab.Lab, stdin string, args ...string) lab.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Limit)
	defer cancel()
	cmd := l.Command(ctx, args...)
	var out, said strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	err := cmd.Run()
	r := lab.Result{Stdout: out.String(), Stderr: said.String()}
	if err != nil {
		r.Exit = cmd.ProcessState.ExitCode()
	}
	return r
}

// A Jupyter on a machine without ssh: its token is asked for, every command knows
// it, and none ends it.
func TestFar_JupyterBehindAGateway(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	m := box(t, l, "")
	const url = "http://jupyter-box:8888/lab"
	fails(t, l.Run("open", url), 3, "not open here", "--via GATEWAY")
	fails(t, l.Run("open", url, "--via", "gw1"), 4, "asks for a token and nobody can be asked", "nbremote open - --via gw1")
	fails(t, l.Run("open", "http://jupyter-box:22/", "--via", "gw1"), 5, "from gw1")
	fails(t, l.Run("open", url, "--via", "gw1", "--env", "ds"), 2, "--env")

	x := l.Pty("open", url, "--via", "gw1")
	x.Expect("Token of http://jupyter-box:8888/", 30*time.Second)
	x.Type("wrong\r")
	x.Expect("does not take", 20*time.Second)
	x.Expect("Token of", 5*time.Second)
	x.Type(farToken + "\r")
	x.Expect("opened in your browser", 30*time.Second)
	if r := x.Wait(); r.Exit != 0 || strings.Contains(x.Screen(), farToken) {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	o := open(t, l, url)
	if !o.Reused || o.Token != farToken || o.Session != "jupyter-box:8888" || !o.Link.On {
		t.Errorf("got %+v", o)
	}
	works(t, l, o)
	full := "gw1/jupyter-box:8888"
	for _, args := range [][]string{nil, {full}, {url, "--via", "gw1"}, {"http://JUPYTER-BOX:8888/lab/tree/x.ipynb"}} {
		if again := open(t, l, args...); again.Port != o.Port || again.Session != o.Session {
			t.Errorf("%q: %+v", args, again)
		}
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, full+"  ") || strings.Contains(r.Stdout, farToken) {
		t.Errorf("ls: %s", r.Stdout)
	}
	if r := l.Must("status", "gw1"); !strings.Contains(r.Stdout, "jupyter-box:8888   no kernels") || !strings.Contains(r.Stdout, "runs on another machine") ||
		!strings.Contains(r.Stdout, "by the relay") || strings.Contains(r.Stdout, "memory") || strings.Contains(r.Stdout, farToken) {
		t.Errorf("status: %s", r.Stdout)
	}
	for _, name := range []string{url, full} {
		if r := l.Must("url", name); strings.TrimSpace(r.Stdout) != o.URL+"?token="+farToken {
			t.Errorf("url %s: %s", name, r.Stdout)
		}
		for _, command := range [][]string{{"stop", name}, {"stop", "--all", name}, {"restart", name}, {"logs", name}, {"kernel", "list", "--host", name}} {
			fails(t, l.Run(append(command, "-y")...), 2, "no ssh leads", "nbremote close")
		}
	}
	l.Must("stop", "--all", "-y")
	works(t, l, o)
	if r := l.Must("close", url); !strings.Contains(r.Stderr, "nbremote open "+url+" --via gw1") {
		t.Errorf("close: %s", r.Stderr)
	}
	if r := l.Must("ls"); strings.Contains(r.Stdout, "gw1") || len(m.Running("jupyter-lab")) != 1 {
		t.Errorf("after close: %s, %v", r.Stdout, m.Running("jupyter-lab"))
	}
	if left := l.Gateways[0].ShAs(lab.Me, "ls -A | grep -v -e .ssh -e .local || :"); left != "" {
		t.Errorf("left on the gateway: %s", left)
	}
}

// The token comes by stdin, and stands in no argument list; typed as an argument
// it does, which is said.
func TestA2_FarTokenInNoArgument(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	box(t, l, "")
	s := lab.Sample(t)
	url := "http://jupyter-box:8888/lab?token=" + farToken
	fails(t, piped(t, l, "\n", "open", "-", "--via", "gw1"), 2, "it is empty")
	fails(t, piped(t, l, strings.Replace(url, farToken, "wrong", 1), "open", "-", "--via", "gw1"), 4, "does not take the token")
	r := piped(t, l, url+"\n", "open", "-", "--via", "gw1", "--json", "--no-browser")
	if r.Exit != 0 || strings.Contains(r.Stderr, "ps") {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	works(t, l, parseOpened(t, r))
	for _, line := range s.Find(farToken) {
		t.Errorf("the token is in: %s", line)
	}
	if text := l.Laptop.ShAs(lab.Me, "grep -rl "+farToken+" ~ || :"); text != "" {
		t.Errorf("it is in a file: %s", text)
	}
	l.Must("close", "gw1")
	r = l.Run("open", url, "--via", "gw1", "--json", "--no-browser")
	if r.Exit != 0 || !strings.Contains(r.Stderr, "others on this computer can see it") {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	works(t, l, parseOpened(t, r))
}

// What such a Jupyter prints in a cut is not lost; by ssh -L it is.
func TestFar_NoLineLost(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	box(t, l, "")
	o := parseOpened(t, piped(t, l, "http://jupyter-box:8888/?token="+farToken, "open", "-", "--via", "gw1", "--json", "--no-browser"))
	ours := newPage(t, l, o.Port, o.Token)
	twin := newPage(t, l, plain(t, l, "gw1", "jupyter-box:8888"), o.Token)
	const lines = 400
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, p := range []*labPage{ours, twin} {
		p.run(ctx, counting(lines, 0, tick))
	}
	lab.Wait(t, 20*time.Second, "both to print", func() bool {
		a, _, _ := ours.got(lines)
		b, _, _ := twin.got(lines)
		return a < lines-40 && b < lines-40
	})
	cutFor(30*time.Second)(t, l)
	if lost, wrong, idle := ours.finished(lines, 60*time.Second); lost+wrong > 0 || !idle {
		t.Errorf("%d lines lost, %d wrong, idle %v", lost, wrong, idle)
	}
	lost, _, idle := twin.finished(lines, 5*time.Second)
	t.Logf("twin: %d lost, finished %v", lost, idle)
	if lost == 0 {
		t.Error("the twin lost nothing: the cut was none")
	}
}

// selfSigned puts a new private certificate where the box's Jupyter looks for
// it, and gives its fingerprint.
func selfSigned(t *testing.T, m *lab.Machine) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "somebody's"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := x509.MarshalPKCS8PrivateKey(key)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})...)
	m.WriteFile(lab.Me, "/home/me/cert.pem", string(text))
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// https with a private certificate and a base URL: the fingerprint is shown and
// asked about once; another one later is refused before the token is sent.
func TestFar_PrivateCertificateAndBaseURL(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	m := l.Host("gpu1")
	m.WriteFile(lab.Me, "/home/me/cert.pem", "")
	old := selfSigned(t, m)
	const args = "--certfile=/home/me/cert.pem --ServerApp.base_url=/user/me/"
	box(t, l, args)
	const url = "https://jupyter-box:8888/user/me/lab"
	withToken := url + "?token=" + farToken
	fails(t, piped(t, l, withToken, "open", "-", "--via", "gw1", "-y"), 6, "not trusted", "nobody can be asked", old)
	fails(t, l.Run("open", "http://jupyter-box:8888/", "--via", "gw1"), 3, "no Jupyter", "perhaps it speaks https")

	refuse := l.Pty("open", url, "--via", "gw1", "--no-browser")
	refuse.Expect(old, 30*time.Second)
	refuse.Expect("Trust it?", 5*time.Second)
	refuse.Type("no\r")
	if r := refuse.Wait(); r.Exit != 6 {
		t.Errorf("no: exit %d\n%s", r.Exit, refuse.Screen())
	}
	x := l.Pty("open", url, "--via", "gw1")
	x.Expect("Trust it?", 30*time.Second)
	x.Type("sha256 Fingerprint=" + strings.ToLower(old) + "\r")
	x.Expect("Token of https://jupyter-box:8888/user/me/", 20*time.Second)
	x.Type(farToken + "\r")
	x.Expect("opened in your browser", 30*time.Second)
	if r := x.Wait(); r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	tab := l.Chromium(3 * time.Minute)
	proveInLab(t, tab, l.NextOpened(0), "gpu1")
	o := open(t, l, url)
	if got := status(t, l, o, "/user/me/api/status", ""); got != 403 {
		t.Errorf("without the token: %d", got)
	}
	if got := status(t, l, o, "/user/me/api/status", farToken); got != 200 {
		t.Errorf("with the token: %d", got)
	}
	if o.Session != "jupyter-box:8888/user/me" || !strings.HasSuffix(o.URL, "/user/me/lab") {
		t.Errorf("got %+v", o)
	}
	l.Must("close", "gw1/"+o.Session)
	again := piped(t, l, withToken, "open", "-", "--via", "gw1", "--json", "--no-browser")
	if again.Exit != 0 {
		t.Fatalf("it is asked about again:\n%s", again.Stderr)
	}
	l.Must("close", "gw1")

	const asked = "/user/me/api" // in the log of one that was asked
	if log := m.ReadFile("/home/me/box/log"); !strings.Contains(log, asked) {
		t.Errorf("what it is asked leaves no trace:\n%s", log)
	}
	m.Kill("jupyter-lab", syscall.SIGKILL)
	lab.Wait(t, 10*time.Second, "its end", func() bool { return len(m.Running("jupyter-lab")) == 0 })
	m.ShAs(lab.Me, "rm -f ~/.local/share/jupyter/runtime/*")
	fresh := selfSigned(t, m)
	box(t, l, args)
	fails(t, piped(t, l, withToken, "open", "-", "--via", "gw1", "-y"), 6, "changed", "stopped before the token was sent", old, fresh, "certificates.json")
	if log := m.ReadFile("/home/me/box/log"); strings.Contains(log, "api/status") || strings.Contains(log, asked) || !strings.Contains(log, "is running at") {
		t.Errorf("it was asked something:\n%s", log)
	}
}

// What answers at the address and is no Jupyter is said to be none, and gets no
// token.
func TestFar_NoJupyter(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	m := l.Host("gpu1")
	l.Gateways[0].Sh("echo '" + m.Addr + " jupyter-box' >>/etc/hosts")
	ctx, cancel := context.WithCancel(context.Background())
	web := m.As(ctx, lab.Me, "python3", "-u", "-m", "http.server", "8000")
	var log lab.Text
	web.Stdout, web.Stderr = &log, &log
	if err := web.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); web.Wait() })
	awaitListener(t, m, "127.0.0.1:8000")
	address := "http://jupyter-box:8000/user/me/lab?token=" + farToken
	fails(t, piped(t, l, address, "open", "-", "--via", "gw1"), 3, "that is no Jupyter", "status 404", "/user/NAME/")
	fails(t, piped(t, l, strings.Replace(address, "http:", "https:", 1), "open", "-", "--via", "gw1"), 3, "that is no Jupyter", "does not speak https")
	if text := log.String(); strings.Contains(text, farToken) || !strings.Contains(text, "GET /user/me/api ") {
		t.Errorf("it got:\n%s", text)
	}
}
