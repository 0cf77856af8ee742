package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	neturl "net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"nbremote/test/lab"
)

const (
	hubPlace  = lab.Jupyter + "hub"
	hubMaker  = "maker0123456789abcdefMAKER" // a service of the hub's, which makes tokens
	hubSecret = "hub0123456789abcdefHUB"     // the password of its users
)

// hubConfig is a JupyterHub whose users' servers run as its own account.
const hubConfig = `
c.JupyterHub.bind_url = "http://0.0.0.0:8000"
c.JupyterHub.hub_port = 8081
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.cookie_secret_file = "cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "` + hubSecret + `"
c.Authenticator.allowed_users = {"me", "other"}
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = ["` + lab.Jupyter + `/bin/python", "-m", "jupyterhub.singleuser"]
import jupyterhub
c.Spawner.environment = {"PYTHONPATH": jupyterhub.__path__[0] + "/.."}
c.ConfigurableHTTPProxy.command = ["` + hubPlace + `/node_modules/.bin/configurable-http-proxy"]
c.JupyterHub.services = [{"name": "maker", "api_token": "` + hubMaker + `"}]
c.JupyterHub.load_roles = [{"name": "maker", "services": ["maker"], "scopes": ["admin:users", "admin:servers", "tokens"]}]
`

// hubBox makes gpu1 a machine without ssh on which a JupyterHub runs, which gw1
// knows as box.
func hubBox(t *testing.T, l *lab.Lab) {
	t.Helper()
	lab.Needs(t, hubPlace+"/bin/jupyterhub", hubPlace+"/node_modules/.bin/configurable-http-proxy")
	m := l.Host("gpu1")
	m.StopSSHD()
	l.Gateways[0].Sh("echo '" + m.Addr + " box' >>/etc/hosts")
	m.WriteFile(lab.Me, "/home/me/jupyterhub_config.py", hubConfig)
	m.ShAs(lab.Me, "(setsid "+hubPlace+"/bin/jupyterhub </dev/null >hub.log 2>&1 &)")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the hub says:\n%s", m.ReadFile("/home/me/hub.log"))
		}
	})
	awaitListener(t, m, "127.0.0.1:8000")
	lab.Wait(t, 60*time.Second, "the hub", func() bool {
		status, _ := askHub(m, "GET", "/hub/api/users", nil)
		return status == 200
	})
}

// askHub asks the hub's API from its own machine, as the service.
func askHub(m *lab.Machine, method, path string, into any) (int, error) {
	req, _ := http.NewRequest(method, "http://127.0.0.1:8000"+path, strings.NewReader(""))
	req.Header.Set("Authorization", "token "+hubMaker)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return m.Dial(ctx, 0, network, addr)
	}}
	resp, err := (&http.Client{Transport: transport}).Do(req.WithContext(ctx))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if into == nil {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.NewDecoder(resp.Body).Decode(into)
}

// startHubServer starts the server of a user, and makes a token of theirs.
func startHubServer(t *testing.T, l *lab.Lab, user string) (token string) {
	t.Helper()
	m := l.Host("gpu1")
	if status, err := askHub(m, "POST", "/hub/api/users/"+user+"/server", nil); err != nil || status/100 != 2 {
		t.Fatalf("start the server of %s: status %d, %v", user, status, err)
	}
	lab.Wait(t, 60*time.Second, "the server of "+user, func() bool {
		var model struct {
			Servers map[string]struct{ Ready bool }
		}
		_, err := askHub(m, "GET", "/hub/api/users/"+user, &model)
		return err == nil && model.Servers[""].Ready
	})
	return hubToken(t, m, user)
}

func hubToken(t *testing.T, m *lab.Machine, user string) string {
	t.Helper()
	var made struct{ Token string }
	if status, err := askHub(m, "POST", "/hub/api/users/"+user+"/tokens", &made); err != nil || status != 201 || made.Token == "" {
		t.Fatalf("make a token: status %d, %v", status, err)
	}
	return made.Token
}

// The server of a JupyterHub's user, behind a gateway: opened with a token of
// theirs, the page works, again when it is loaded anew; without it the hub's own
// sign-in comes, at our address.
func TestFar_JupyterHub(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Gateways: 1})
	hubBox(t, l)
	m := l.Host("gpu1")
	const url = "http://box:8000/user/me/lab"
	fails(t, l.Run("open", url, "--via", "gw1"), 3, "it is a JupyterHub, and no server of yours runs")
	token := startHubServer(t, l, "me")
	others := hubToken(t, m, "other")
	fails(t, piped(t, l, url+"?token="+others, "open", "-", "--via", "gw1"), 4, "does not take the token", "http://box:8000/hub/token")

	x := l.Pty("open", url, "--via", "gw1")
	x.Expect("Token of http://box:8000/user/me/", 30*time.Second)
	x.Type(token + "\r")
	x.Expect("opened in your browser", 30*time.Second)
	if r := x.Wait(); r.Exit != 0 || strings.Contains(x.Screen(), token) {
		t.Fatalf("exit %d\n%s", r.Exit, x.Screen())
	}
	tab := l.Chromium(3 * time.Minute)
	proveInLab(t, tab, l.NextOpened(0), "gpu1")
	o := open(t, l, url)
	anew, stop := chromedp.NewContext(tab)
	defer stop()
	if err := chromedp.Do(anew); err != nil { // see lab.Chromium
		t.Fatal(err)
	}
	const loaded = `!window.before && document.body.innerText.includes("Python 3 (ipykernel)")`
	do(t, anew, "type its address in a new tab", chromedp.Navigate(o.URL))
	await(t, anew, "the new tab", loaded)
	do(t, anew, "load it anew", chromedp.Evaluate[chromedp.Void]("void (window.before = true)"), browserReload)
	await(t, anew, "the tab to be loaded anew", loaded)
	if !o.Reused || o.Session != "box:8000/user/me" || !o.Link.On {
		t.Errorf("got %+v", o)
	}
	for _, c := range []struct {
		path, token string
		want        int
	}{{"/user/me/api/status", token, 200}, {"/user/me/api/status", "", 403}, {"/user/me/api/status", others, 403}, {"/hub/api/user", "", 403}} {
		if got := status(t, l, o, c.path, c.token); got != c.want {
			t.Errorf("%s, token %.3s…: %d, want %d", c.path, c.token, got, c.want)
		}
	}
	hubSignIn(t, l, o)

	l.Must("close", "gw1")
	r := piped(t, l, url+"?token="+token+"\n", "open", "-", "--via", "gw1", "--json", "--no-browser")
	if r.Exit != 0 {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	if o = parseOpened(t, r); status(t, l, o, "/user/me/api/status", o.Token) != 200 {
		t.Errorf("with the token: %+v", o)
	}
}

var hiddenXSRF = regexp.MustCompile(`name="_xsrf" value="([^"]+)"`)

// hubSignIn goes where a browser without a token is sent, to the hub's form, and
// signs in with a password: all of it is at our address.
func hubSignIn(t *testing.T, l *lab.Lab, o opened) {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	here := fmt.Sprintf("127.0.0.1:%d", o.Port)
	c := &http.Client{
		Jar: jar, Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 30 * time.Second,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != here || len(via) > 15 {
				return fmt.Errorf("led to %s", r.URL)
			}
			return nil
		},
	}
	read := func(resp *http.Response, err error) (at *neturl.URL, body string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return resp.Request.URL, string(b)
	}
	at, body := read(c.Get("http://" + here + "/user/me/lab"))
	found := hiddenXSRF.FindStringSubmatch(body)
	if at.Path != "/hub/login" || found == nil {
		t.Fatalf("without a token: %s\n%s", at, body)
	}
	form := neturl.Values{"_xsrf": found[1:], "username": {"me"}, "password": {hubSecret}}
	at, body = read(c.PostForm(at.String(), form))
	if at.Path != "/user/me/lab" || !strings.Contains(body, "jupyter-config-data") {
		t.Errorf("with the password: %s\n%s", at, body)
	}
}
