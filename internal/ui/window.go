package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// windowTime is how long a browser is watched for failing at once.
const windowTime = 1500 * time.Millisecond

// Window is a browser window with a profile of its own that uses a SOCKS proxy.
type Window struct {
	Profile string   // its directory, made if it is not there
	SOCKS   string   // 127.0.0.1:PORT
	PAC     string   // the address of a script that says what goes there, "" = all does
	Domains []string // with PAC: names and *.names that are never looked up here
	Page    string   // http or https, "" = none
}

// CheckPage refuses what no browser of a Window is to be given.
func CheckPage(page string) error {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(page) > 8192 || strings.ContainsFunc(page, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("not an address of a page")
	}
	return nil
}

// OpenWindow opens the window in the first of Chromium, Chrome, Edge and Firefox
// that there is, and says in which. $BROWSER says which if it is one of these.
func OpenWindow(ctx context.Context, w Window) (string, error) {
	path, firefox := findBrowser()
	if path == "" {
		return "", errors.New("no Chromium, Chrome or Firefox found")
	}
	if why := noWindow(); why != "" {
		return "", errors.New(why)
	}
	if err := os.MkdirAll(w.Profile, 0o700); err != nil {
		return "", err
	}
	argv := w.chromium()
	if firefox {
		if err := os.WriteFile(filepath.Join(w.Profile, "user.js"), w.userJS(), 0o600); err != nil {
			return "", err
		}
		argv = w.firefox()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, windowTime, errSlow)
	defer cancel()
	name := filepath.Base(path)
	if err := startWindow(ctx, append([]string{path}, argv...)); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return strings.TrimSuffix(name, ".exe"), nil
}

// findBrowser gives the path of a browser, "" = none, and which kind it is.
func findBrowser() (path string, firefox bool) {
	candidates := browserNames()
	for entry := range strings.SplitSeq(os.Getenv("BROWSER"), ":") {
		if argv := strings.Fields(entry); len(argv) > 0 && kindOf(argv[0]) != "" {
			candidates = append([]string{argv[0]}, candidates...)
			break
		}
	}
	for _, name := range candidates {
		if found, err := exec.LookPath(name); err == nil {
			return found, kindOf(name) == "firefox"
		}
	}
	return "", false
}

func kindOf(program string) string {
	name := strings.ToLower(filepath.Base(program))
	for _, word := range []string{"firefox", "chrom", "edge"} {
		if strings.Contains(name, word) {
			return word
		}
	}
	return ""
}

// chromium are the arguments of Chromium and its kin. Names are not looked up
// here, and nothing goes past the proxy: neither localhost nor WebRTC.
func (w Window) chromium() []string {
	argv := []string{
		"--user-data-dir=" + w.Profile, "--no-first-run", "--no-default-browser-check", "--new-window",
		"--disable-background-networking", "--disable-component-update", "--disable-domain-reliability", "--disable-sync", "--no-pings", "--disable-quic",
		"--dns-prefetch-disable", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
	}
	if w.PAC == "" {
		argv = append(argv, "--proxy-server=socks5://"+w.SOCKS, "--proxy-bypass-list=<-loopback>",
			"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1")
	} else {
		var rules []string
		for _, d := range w.Domains {
			if net.ParseIP(d) == nil {
				rules = append(rules, "MAP "+d+" ~NOTFOUND")
			}
		}
		argv = append(argv, "--proxy-pac-url="+w.PAC)
		if len(rules) > 0 {
			argv = append(argv, "--host-resolver-rules="+strings.Join(append(rules, "EXCLUDE 127.0.0.1"), " , "))
		}
	}
	if w.Page != "" {
		argv = append(argv, "--", w.Page)
	}
	return argv
}

// firefox are the arguments of Firefox; the proxy is in the profile.
func (w Window) firefox() []string {
	argv := []string{"--new-instance", "--profile", w.Profile}
	if w.Page != "" {
		argv = append(argv, "--new-window", w.Page)
	}
	return argv
}

// userJS are the settings of a Firefox profile that do what chromium's arguments
// do.
func (w Window) userJS() []byte {
	host, port, _ := net.SplitHostPort(w.SOCKS)
	settings := [][2]any{
		{"network.proxy.socks", host}, {"network.proxy.socks_port", json.Number(port)}, {"network.proxy.socks_version", 5},
		{"network.proxy.socks_remote_dns", true}, {"network.proxy.socks5_remote_dns", true}, {"network.proxy.no_proxies_on", ""},
		{"network.proxy.failover_direct", false}, {"network.proxy.allow_bypass", false}, {"network.trr.mode", 5},
		{"network.dns.disablePrefetch", true}, {"network.prefetch-next", false},
		{"network.predictor.enabled", false}, {"network.http.speculative-parallel-limit", 0}, {"media.peerconnection.ice.proxy_only", true},
		{"network.captive-portal-service.enabled", false}, {"network.connectivity-service.enabled", false}, {"browser.shell.checkDefaultBrowser", false},
		{"browser.aboutwelcome.enabled", false}, {"datareporting.policy.dataSubmissionEnabled", false}, {"toolkit.telemetry.reportingpolicy.firstRun", false},
	}
	if w.PAC == "" {
		settings = append(settings, [2]any{"network.proxy.type", 1}, [2]any{"network.proxy.allow_hijacking_localhost", true})
	} else {
		settings = append(settings, [2]any{"network.proxy.type", 2}, [2]any{"network.proxy.autoconfig_url", w.PAC}, [2]any{"network.http.http3.enable", false})
	}
	var b strings.Builder
	for _, s := range settings {
		name, _ := json.Marshal(s[0])
		value, _ := json.Marshal(s[1])
		fmt.Fprintf(&b, "user_pref(%s, %s);\n", name, value)
	}
	return []byte(b.String())
}
