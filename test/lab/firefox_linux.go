package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// firefoxPrefs keep it from looking for the world outside, as chromiumFlags do.
const firefoxPrefs = `user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.downloads.remote.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.manage-offline-status", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
`

// Firefox is the person's other browser on the laptop, driven by WebDriver BiDi.
type Firefox struct {
	l       *Lab
	ctx     context.Context
	conn    *websocket.Conn
	mu      sync.Mutex
	next    int
	waiting map[int]chan bidiAnswer
}

type bidiAnswer struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

var bidiListens = regexp.MustCompile(`WebDriver BiDi listening on (ws://[0-9.]+:\d+)`)

// Firefox starts Firefox on the laptop; it ends with the test, or after limit.
func (l *Lab) Firefox(limit time.Duration) *Firefox {
	l.t.Helper()
	Needs(l.t, "firefox-esr")
	const profile = "/home/me/firefox"
	l.Laptop.WriteFile(Me, profile+"/user.js", firefoxPrefs)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := l.Laptop.As(ctx, Me, "/usr/bin/firefox-esr", "--headless", "--no-remote", "--profile", profile,
		"--remote-debugging-port=0", "--width=1280", "--height=800", "about:blank")
	// The lab is a sandbox, and lacks what Firefox builds its own of.
	cmd.Env = append(cmd.Env, "MOZ_DISABLE_CONTENT_SANDBOX=1", "MOZ_CRASHREPORTER_DISABLE=1")
	var told Text
	cmd.Stdout, cmd.Stderr = &told, &told
	must(l.t, cmd.Start(), "start firefox")
	l.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	var url string
	for end := time.Now().Add(60 * time.Second); url == ""; time.Sleep(20 * time.Millisecond) {
		if m := bidiListens.FindStringSubmatch(told.String()); m != nil {
			url = m[1]
		} else if time.Now().After(end) {
			l.t.Fatalf("start firefox: %s", tail(told.String()))
		}
	}
	conn, _, err := websocket.Dial(ctx, url+"/session", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: l.Dial}},
	})
	must(l.t, err, "speak with firefox")
	conn.SetReadLimit(-1)
	f := &Firefox{l: l, ctx: ctx, conn: conn, waiting: map[int]chan bidiAnswer{}}
	l.t.Cleanup(func() { conn.CloseNow() })
	go f.listen()
	f.must("session.new", map[string]any{"capabilities": map[string]any{}}, nil)
	return f
}

func (f *Firefox) listen() {
	for {
		_, b, err := f.conn.Read(f.ctx)
		if err != nil {
			return
		}
		var a bidiAnswer
		if json.Unmarshal(b, &a) != nil || a.Type == "event" {
			continue
		}
		f.mu.Lock()
		if c := f.waiting[a.ID]; c != nil {
			c <- a
			delete(f.waiting, a.ID)
		}
		f.mu.Unlock()
	}
}

// call sends a command and waits for its answer.
func (f *Firefox) call(ctx context.Context, method string, params, result any) error {
	answer := make(chan bidiAnswer, 1)
	f.mu.Lock()
	f.next++
	id := f.next
	f.waiting[id] = answer
	f.mu.Unlock()
	message, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err == nil {
		err = f.conn.Write(f.ctx, websocket.MessageText, message)
	}
	if err != nil {
		return err
	}
	select {
	case a := <-answer:
		if a.Type == "error" {
			return fmt.Errorf("%s: %s", a.Error, a.Message)
		}
		if result != nil {
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Firefox) must(method string, params, result any) {
	f.l.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
	defer cancel()
	must(f.l.t, f.call(ctx, method, params, result), "firefox, %s", method)
}

// FirefoxTab is a tab of Firefox.
type FirefoxTab struct {
	f  *Firefox
	id string
}

// Tab is one more tab, in front of the others.
func (f *Firefox) Tab() *FirefoxTab {
	f.l.t.Helper()
	var created struct {
		Context string `json:"context"`
	}
	f.must("browsingContext.create", map[string]any{"type": "tab"}, &created)
	return &FirefoxTab{f, created.Context}
}

// Visit loads a page.
func (p *FirefoxTab) Visit(url string) {
	p.f.l.t.Helper()
	p.f.must("browsingContext.navigate", map[string]any{"context": p.id, "url": url, "wait": "interactive"}, nil)
}

// Text evaluates a JavaScript expression that gives text; "" when it does not.
func (p *FirefoxTab) Text(expression string) string {
	ctx, cancel := context.WithTimeout(p.f.ctx, 10*time.Second)
	defer cancel()
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
	}
	if p.f.call(ctx, "script.evaluate", map[string]any{
		"expression": expression, "target": map[string]any{"context": p.id}, "awaitPromise": false,
	}, &got) != nil {
		return ""
	}
	var text string
	_ = json.Unmarshal(got.Result.Value, &text)
	return text
}

// CtrlEnter presses these keys.
func (p *FirefoxTab) CtrlEnter() {
	p.f.l.t.Helper()
	const ctrl, enter = "\uE009", "\uE007" // WebDriver's names of them
	key := func(kind, value string) map[string]string { return map[string]string{"type": kind, "value": value} }
	p.f.must("input.performActions", map[string]any{"context": p.id, "actions": []any{map[string]any{"type": "key", "id": "keyboard",
		"actions": []any{key("keyDown", ctrl), key("keyDown", enter), key("keyUp", enter), key("keyUp", ctrl)}}}}, nil)
}
