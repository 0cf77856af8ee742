package lab

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

// chromiumFlags keep it from looking for the world outside: there is none.
var chromiumFlags = []string{
	"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync",
	"--disable-dev-shm-usage", "--disable-features=Translate,OptimizationHints,MediaRouter",
	"--hide-scrollbars", "--window-size=1280,800", "--remote-debugging-port=0",
	"--user-data-dir=/home/me/chromium",
}

// Chromium starts the person's browser on the laptop and gives a chromedp
// context of one tab in it, which ends after limit. One that was killed is
// started again with what it had.
func (l *Lab) Chromium(limit time.Duration) context.Context {
	l.t.Helper()
	Needs(l.t, "chromium")
	const file = "/home/me/chromium/DevToolsActivePort"
	_ = os.Remove(l.Laptop.Path(file)) // of one that was killed
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := l.Laptop.As(ctx, Me, append([]string{"/usr/bin/chromium"}, append(chromiumFlags, "about:blank")...)...)
	var told Text
	cmd.Stderr = &told
	must(l.t, cmd.Start(), "start chromium")
	l.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return l.tab(ctx, file, &told)
}

// AttachChromium gives a tab of a Chromium that was started with that profile and
// --remote-debugging-port=0.
func (l *Lab) AttachChromium(profile string, limit time.Duration) context.Context {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	l.t.Cleanup(cancel)
	return l.tab(ctx, profile+"/DevToolsActivePort", &Text{})
}

// tab opens a tab in the Chromium that writes its port to a file.
func (l *Lab) tab(ctx context.Context, file string, told *Text) context.Context {
	l.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !strings.Contains(l.Laptop.ReadFile(file), "\n") {
		if time.Now().After(end) {
			l.t.Fatalf("start chromium: %s", tail(told.String()))
		}
		time.Sleep(20 * time.Millisecond)
	}
	port, _, _ := strings.Cut(l.Laptop.ReadFile(file), "\n")
	near := l.Forward("127.0.0.1:" + port)
	ctx, stop := remote.NewAllocator(ctx, "http://"+near)
	l.t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	l.t.Cleanup(stop)
	// The tab belongs to the context of the first action on it, so that must
	// not be one with a limit of its own.
	must(l.t, chromedp.Do(ctx), "open a tab")
	return ctx
}

// QuitChromium ends the browser as its user would, and waits until it has
// written what it keeps into its profile, whose folder this is.
func (l *Lab) QuitChromium() string {
	l.t.Helper()
	const profile = "/home/me/chromium"
	running := func() []Process { return l.Laptop.Running("--user-data-dir=" + profile) }
	for _, p := range running() {
		if !strings.Contains(p.Line, " --type=") {
			_ = syscall.Kill(p.PID, syscall.SIGTERM)
		}
	}
	Wait(l.t, 30*time.Second, "chromium to end", func() bool { return len(running()) == 0 })
	return profile
}

// Forward makes an address of the laptop's network reachable from this
// process until the test ends; what arrives there comes from "me".
func (l *Lab) Forward(addr string) string {
	l.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(l.t, err, "listen for %s", addr)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { l.join(ctx, near, addr) })
		}
	})
	l.t.Cleanup(func() { listener.Close(); cancel(); wg.Wait() })
	return listener.Addr().String()
}

func (l *Lab) join(ctx context.Context, near net.Conn, addr string) {
	defer near.Close()
	far, err := l.Dial(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer far.Close()
	defer context.AfterFunc(ctx, func() { near.Close(); far.Close() })()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(near, far)
	_ = near.(*net.TCPConn).CloseWrite()
	<-done
}

// Dial connects from the laptop as "me". It is what an http.Transport wants
// as its DialContext.
func (l *Lab) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return l.Laptop.Dial(ctx, l.Laptop.account(Me).UID, network, addr)
}
