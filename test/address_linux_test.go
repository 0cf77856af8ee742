package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"nbremote/test/lab"
)

// ask gives the HTTP status of an address as it was saved.
func ask(t *testing.T, l *lab.Lab, url string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: l.Dial, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Get(strings.Replace(url, "/lab?", "/api/status?", 1))
	if err != nil {
		t.Logf("ask the saved address: %v", err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// tab opens the websocket that JupyterLab keeps for each tab, and gives a ping
// that goes to Jupyter and back.
func tab(t *testing.T, l *lab.Lab, o opened) (ping func() error) {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/api/events/subscribe", o.Port), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: l.Dial}},
		HTTPHeader: http.Header{"Authorization": {"token " + o.Token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	ctx := c.CloseRead(t.Context())
	return func() error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return c.Ping(ctx)
	}
}

// listening is the one row of `ls --json`.
func listening(t *testing.T, l *lab.Lab) (row struct {
	Port  int
	Moved int
	Also  []int
}) {
	t.Helper()
	rows := []any{&row}
	if err := json.Unmarshal([]byte(l.Must("ls", "--json").Stdout), &rows); err != nil {
		t.Fatal(err)
	}
	return row
}

// What an IDE has saved is good tomorrow: after stop and close, with a new
// holder, after a restart; and again when a port that was taken is free.
func TestOpen_SavedAddressWorksTomorrow(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	first := open(t, l, "gpu1")
	saved := strings.TrimSpace(l.Must("url", "gpu1").Stdout)
	good := func(when string) {
		t.Helper()
		o := open(t, l, "gpu1")
		if now := strings.TrimSpace(l.Must("url", "gpu1").Stdout); now != saved || o.Port != first.Port || o.Token != first.Token {
			t.Errorf("%s: %s, saved %s", when, now, saved)
		}
		if got := ask(t, l, saved); got != 200 {
			t.Errorf("%s: the saved address gives %d", when, got)
		}
	}
	good("at once")
	l.Must("stop", "gpu1", "-y")
	l.Must("close", "gpu1")
	good("after stop and close")
	l.Must("restart", "gpu1", "-y")
	good("after restart")
	l.Laptop.Kill("nbremote holder", syscall.SIGKILL)
	good("with another holder")
	l.Must("close", "gpu1")

	taken, err := l.Laptop.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first.Port))
	if err != nil {
		t.Fatal(err)
	}
	r := l.Must("open", "--json", "--no-browser", "gpu1")
	moved := parseOpened(t, r)
	said := fmt.Sprintf("port %d is taken", first.Port)
	if moved.Port == first.Port || !strings.Contains(r.Stderr, said) {
		t.Fatalf("port %d\n%s", moved.Port, r.Stderr)
	}
	if r := l.Must("open", "--no-browser", "gpu1"); !strings.Contains(r.Stderr, said) {
		t.Errorf("the second open does not say it:\n%s", r.Stderr)
	}
	if row := listening(t, l); row.Port != moved.Port || row.Moved != first.Port {
		t.Errorf("ls: %+v", row)
	}
	works(t, l, moved)
	ping := tab(t, l, moved)
	stays := l.Start("open", "--foreground", "--no-browser", "gpu1")
	stays.Expect("Ctrl-C closes", 30*time.Second)
	taken.Close()
	stays.Expect(fmt.Sprintf("port %d is free again and used", first.Port), 20*time.Second)
	if row := listening(t, l); row.Port != first.Port || row.Moved != 0 || len(row.Also) != 1 || row.Also[0] != moved.Port {
		t.Errorf("ls: %+v", row)
	}
	if r := l.Must("open", "--no-browser", "gpu1"); !strings.Contains(r.Stderr, "free again") {
		t.Errorf("the next open does not say it:\n%s", r.Stderr)
	}
	good("when the port is free again")
	works(t, l, moved)
	if err := ping(); err != nil {
		t.Errorf("the tab on the other port: %v", err)
	}

	l.Must("restart", "gpu1", "-y", "--new-token")
	if got := ask(t, l, saved); got != 403 {
		t.Errorf("with a new token the saved address gives %d", got)
	}
	o := open(t, l, "gpu1")
	works(t, l, o)
	if o.Port != first.Port || o.Token == first.Token {
		t.Errorf("with a new token: %+v", o)
	}
}
