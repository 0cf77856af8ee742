package test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"nbremote/test/lab"
)

// labBrowser stands in the laptop's PATH for a browser that has a screen.
func labBrowser(l *lab.Lab, name, line string) []string {
	l.Laptop.WriteMode("root", "/usr/local/bin/"+name, "#!/bin/sh\nexec "+line+" \"$@\"\n", 0o755)
	return []string{"BROWSER=" + name, "DISPLAY=:0"}
}

// inWindow opens a window by --browser and gives a tab in it.
func inWindow(t *testing.T, l *lab.Lab, args ...string) context.Context {
	t.Helper()
	lab.Needs(t, "chromium")
	env := labBrowser(l, "lab-chromium", "/usr/bin/chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --remote-debugging-port=0")
	r := l.RunEnv(env, append([]string{"proxy", "--browser"}, args...)...)
	if r.Exit != 0 || !strings.Contains(r.Stderr, "lab-chromium, a window of its own") {
		t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
	}
	found, _ := filepath.Glob(l.Laptop.Path("/home/me/.local/state/nbremote/browser/*/*"))
	if len(found) == 0 {
		t.Fatal("no profile")
	}
	profile := strings.TrimPrefix(found[len(found)-1], strings.TrimSuffix(l.Laptop.Path("/"), "/"))
	return l.AttachChromium(profile, 3*time.Minute)
}

// shows is what a tab shows at an address, or its error.
func shows(t *testing.T, tab context.Context, url string) string {
	t.Helper()
	limited, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	if err := chromedp.Do(limited, chromedp.Navigate(url)); err != nil {
		return err.Error()
	}
	var text string
	lab.Wait(t, 30*time.Second, "a text at "+url, func() bool {
		var err error
		if text, err = chromedp.Run(limited, chromedp.Evaluate[string]("document.body.innerText")); err != nil {
			text = err.Error()
		}
		text = strings.TrimSpace(text)
		return text != ""
	})
	return text
}

// A real Chromium shows the far page by the PAC script, and the rest directly;
// without domains all goes to the proxy, and localhost is the far one, which is
// refused. The laptop's resolver hears of no far name.
func TestS4_S5_ChromiumByProxy(t *testing.T) {
	t.Parallel()
	l, _ := privateNet(t, lab.Chain{})
	hits := atomic.Int32{}
	serveFar(t, l.Laptop, "127.0.0.1:9000", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		says("laptop's own").ServeHTTP(w, r)
	}))
	names := &asked{}
	l.Laptop.DNS(names.answer)
	gw, gpu1 := l.Host("gw1"), l.Host("gpu1")
	gw.Sh("set -- $(ip -4 -o route get " + gpu1.Addr + "); while [ $1 != dev ]; do shift; done; ip -6 address add fd77::2/64 nodad dev $2")
	gpu1.Sh("ip -6 address add fd77::10/64 nodad dev eth0")
	serveFar(t, gpu1, "[fd77::10]:80", says("far page of IPv6"))
	tab := inWindow(t, l, "gw1", "--domains", "*.internal,fd77::/16", "http://grafana.internal/")
	if text := shows(t, tab, "http://[fd77::10]/"); text != "far page of IPv6" {
		t.Errorf("a range of IPv6: %q", text)
	}
	if text := shows(t, tab, "http://[fd78::10]/"); !strings.Contains(text, "ERR_ADDRESS_UNREACHABLE") {
		t.Errorf("beside the range: %q", text)
	}
	if text := shows(t, tab, "http://grafana.internal/"); text != "far page" {
		t.Errorf("by PAC: %q", text)
	}
	if text := shows(t, tab, "http://127.0.0.1:9000/"); text != "laptop's own" || hits.Load() == 0 {
		t.Errorf("not by PAC: %q", text)
	}
	if text := shows(t, tab, "http://grafana.elsewhere/"); !strings.Contains(text, "ERR_NAME_NOT_RESOLVED") {
		t.Errorf("another name: %q", text)
	}
	if text := shows(t, tab, "http://sneaky.internal:9000/"); strings.Contains(text, "own") {
		t.Errorf("the host's own: %q", text)
	}
	if text := names.are(); strings.Contains(text, "internal") || !strings.Contains(text, "elsewhere") {
		t.Errorf("names were looked up here: %s", text)
	}
	l.Must("close", "gw1")
	quit(t, l, "chromium")

	hits.Store(0)
	names.forget()
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[proxies.zz]\nvia = [\"gw1\"]\n")
	tab = inWindow(t, l, "zz", "http://grafana.internal/")
	if text := shows(t, tab, "http://grafana.internal/"); text != "far page" {
		t.Errorf("all by the proxy: %q", text)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if text := shows(t, tab, "http://"+host+":9000/"); !strings.Contains(text, "ERR_SOCKS_CONNECTION_FAILED") {
			t.Errorf("%s: %q", host, text)
		}
	}
	if text := names.are(); hits.Load() != 0 || text != "" {
		t.Errorf("past the proxy: %d requests to the laptop; names %s", hits.Load(), text)
	}
}

// asked is a name server that knows nothing and notes what it was asked for.
type asked struct {
	mu    sync.Mutex
	names []string
}

func (a *asked) answer(name string, _ uint16) lab.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names = append(a.names, name)
	return lab.Answer{Code: lab.NXDomain}
}

func (a *asked) are() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.names, " ")
}

func (a *asked) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.names = nil
}

// quit ends a browser.
func quit(t *testing.T, l *lab.Lab, program string) {
	t.Helper()
	l.Laptop.Kill(program, 9)
	lab.Wait(t, 20*time.Second, program+" to end", func() bool { return len(l.Laptop.Running(program)) == 0 })
}

// Firefox gets the same by the settings of its profile.
func TestS4_FirefoxByProxy(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "firefox-esr")
	l, _ := privateNet(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	var came atomic.Bool
	serveFar(t, gpu1, gpu1.Addr+":81", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		came.Store(came.Load() || strings.Contains(r.UserAgent(), "Firefox"))
	}))
	names := &asked{}
	l.Laptop.DNS(names.answer)
	env := labBrowser(l, "lab-firefox", "/usr/bin/firefox-esr --headless")
	for _, domains := range [][]string{nil, {"--domains", "*.internal"}} {
		came.Store(false)
		if r := l.RunEnv(env, append([]string{"proxy", "gw1", "--browser", "http://grafana.internal:81/"}, domains...)...); r.Exit != 0 {
			t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
		}
		lab.Wait(t, 60*time.Second, "Firefox at the far page", came.Load)
		quit(t, l, "firefox")
		if text := names.are(); strings.Contains(text, "internal") || domains == nil && text != "" {
			t.Errorf("with domains %q names were looked up here: %s", domains, text)
		}
	}
}

// Where there is no browser, that is said, with what to set in one by hand; the
// proxy stays. A page that is no Jupyter is offered a window.
func TestProxy_NoBrowser(t *testing.T) {
	t.Parallel()
	l, _ := privateNet(t, lab.Chain{})
	fails(t, l.Run("open", "http://grafana.internal/", "--via", "gw1"), 3, "that is no Jupyter", "nbremote proxy gw1 --browser http://grafana.internal:80/")
	fails(t, l.Run("proxy", "gw1", "--browser"), 1, "no display", "SOCKS5 127.0.0.1:8157")
	fails(t, l.RunEnv([]string{"DISPLAY=:0", "PATH=/nowhere"}, "proxy", "gw1", "--browser"), 1, "no Chromium, Chrome or Firefox found")
	if out, _ := curl(t, l, "-x", "socks5h://127.0.0.1:8157", "http://grafana.internal/"); out != "far page" {
		t.Errorf("the proxy: %q", out)
	}
}
