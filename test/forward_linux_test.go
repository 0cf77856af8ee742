package test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// Ports and sockets there, here: of the host itself, of machines behind it, from
// the command, the settings and ssh_config.
func TestForward_PortsAndSockets(t *testing.T) {
	t.Parallel()
	l, gw := privateNet(t, lab.Chain{})
	ln, err := gw.Listen("unix", gw.Path("/home/me/x.sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: says("by socket")}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	gw.Sh("chmod 666 /home/me/x.sock")
	r := l.Must("forward", "gw1", "9000", "8889:grafana.internal:80", "8890:/home/me/x.sock", "/home/me/here.sock:grafana.internal:80")
	if r.Stdout != "127.0.0.1:9000\n127.0.0.1:8889\n127.0.0.1:8890\n/home/me/here.sock\n" {
		t.Errorf("it prints %q", r.Stdout)
	}
	for url, want := range map[string]string{"http://127.0.0.1:9000/": "own", "http://127.0.0.1:8889/": "far page", "http://127.0.0.1:8890/": "by socket"} {
		if out, exit := curl(t, l, url); out != want {
			t.Errorf("%s: %q, exit %d", url, out, exit)
		}
	}
	if out, exit := curl(t, l, "--unix-socket", "/home/me/here.sock", "http://x/"); out != "far page" {
		t.Errorf("by the socket here: %q, exit %d", out, exit)
	}
	if mode := l.Laptop.Sh("stat -c %a /home/me/here.sock"); mode != "600\n" {
		t.Errorf("its mode is %s", mode)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gw1  forward  grafana.internal:80  127.0.0.1:8889") || !strings.Contains(r.Stdout, "/home/me/here.sock") {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	if r := l.Must("forward", "gw1", "9000"); !strings.Contains(r.Stderr, "open already") {
		t.Errorf("again: %s", r.Stderr)
	}
	fails(t, l.Run("forward", "gw1", "9000:grafana.internal:80"), 1, "it leads to localhost:9000 already", "nbremote close 9000")
	fails(t, l.Run("forward", "gw1", "80:my-host:4000"), 1, "a port below 1024 needs root", "nbremote forward gw1 8080:my-host:4000")
	fails(t, l.Run("forward", "gw1", "my-host:80"), 2, "neither a port here nor the path of a socket")
	fails(t, l.Run("forward", "gw1"), 2, "forward needs a port")
	l.Must("close", "8889")
	l.Must("close", "/home/me/here.sock")
	if _, exit := curl(t, l, "http://127.0.0.1:8889/"); exit != 7 {
		t.Errorf("after close: exit %d", exit)
	}
	if rows := proxies(t, l); len(rows) != 2 || l.Laptop.ReadFile("/home/me/here.sock") != "" {
		t.Errorf("left: %v", rows)
	}
	l.Must("close", "gw1")

	busy := l.Laptop.As(t.Context(), lab.Me, "/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "9000")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(busy.Process.Pid, syscall.SIGKILL); busy.Wait() })
	awaitListener(t, l.Laptop, "127.0.0.1:9000")
	fails(t, l.Run("forward", "gw1", "9000"), 1, "listen on 127.0.0.1:9000", "taken by python3, pid")
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[hosts.gw1]\nforward = [\"8889:grafana.internal:80\"]\n")
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", "Host gw1\n  LocalForward 8891 grafana.internal:80\n  LocalForward *:8892 x:80\n  RemoteForward 52698 localhost:52698\n"+
		l.Laptop.ReadFile("/home/me/.ssh/config"))
	r = l.Must("forward", "gw1", "--from-ssh-config")
	if r.Stdout != "127.0.0.1:8889\n127.0.0.1:8891\n127.0.0.1:52698\n" || !strings.Contains(r.Stderr, "LocalForward [*]:8892 [x]:80 is left out") || !strings.Contains(r.Stderr, "52698 there leads to localhost:52698 here") {
		t.Errorf("from the settings: %s%s", r.Stdout, r.Stderr)
	}
	for _, port := range []string{"8889", "8891"} {
		if out, exit := curl(t, l, "http://127.0.0.1:"+port+"/"); out != "far page" {
			t.Errorf("%s: %q, exit %d", port, out, exit)
		}
	}
}

// A port there leads here: to a client there it is as if the server were on its
// own machine, before a cut and after it; close frees it.
func TestForward_Remote(t *testing.T) {
	t.Parallel()
	l, gw := privateNet(t, lab.Chain{})
	serveFar(t, l.Laptop, "127.0.0.1:52698", says("the laptop's"))
	there := func() string {
		return strings.TrimSpace(gw.ShAs(lab.Me, "curl -sS -m 30 http://127.0.0.1:52698/ 2>&1 || :"))
	}
	fails(t, l.Run("forward", "gw1", "-R", "9000:localhost:52698"), 1, "listen on 127.0.0.1:9000 of gw1", "in use")
	l.Must("forward", "gw1", "-R", "52698:localhost:52698")
	if text := there(); text != "the laptop's" {
		t.Errorf("there: %q", text)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gw1  remote  localhost:52698 here  127.0.0.1:52698 there") {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	l.Laptop.Cut()
	answer := make(chan string, 1)
	go func() { answer <- there() }() // in the cut; it waits for the mend
	time.Sleep(3 * time.Second)       // how long the cut lasts is what is tested
	if len(answer) != 0 {
		t.Error("it was answered in the cut: there was none")
	}
	l.Laptop.Mend()
	if text := <-answer; text != "the laptop's" {
		t.Errorf("over the cut: %q", text)
	}
	gw.Kill("serve relay-", 9)
	lab.Wait(t, 30*time.Second, "the port after the relay's end", func() bool { return there() == "the laptop's" })
	ln, err := l.Laptop.Listen("unix", l.Laptop.Path("/home/me/own.sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: says("by socket")}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	l.Laptop.Sh("chmod 666 /home/me/own.sock")
	l.Must("forward", "gw1", "-R", "there.sock:/home/me/own.sock", "-R", "52699:/home/me/own.sock", "-R", "/home/me/port.sock:localhost:52698")
	sockets := func() string {
		return gw.ShAs(lab.Me, "for s in there port; do curl -sS -m 30 --unix-socket ~/$s.sock http://x/ 2>&1 || :; done; curl -sS -m 30 http://127.0.0.1:52699/ 2>&1 || :")
	}
	const want = "by socket\nthe laptop's\nby socket\n"
	if text := sockets(); text != want {
		t.Errorf("by sockets: %q", text)
	}
	if mode := gw.Sh("stat -c %a /home/me/there.sock"); mode != "600\n" {
		t.Errorf("its mode is %s", mode)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gw1  remote  /home/me/own.sock here  there.sock there") {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	gw.Kill("serve relay-", 9)
	lab.Wait(t, 30*time.Second, "the sockets after the relay's end", func() bool { return sockets() == want })
	l.Must("close", "there.sock")
	lab.Wait(t, 10*time.Second, "the socket to be gone", func() bool {
		return gw.Sh("ls /home/me") != "" && !strings.Contains(gw.Sh("ls /home/me"), "there.sock")
	})
	l.Must("close", "52698")
	lab.Wait(t, 10*time.Second, "the port to be free", func() bool { return strings.Contains(there(), "refused") || strings.Contains(there(), "connect") })
}

// What the settings forward for a host is there once the host is open, also when
// one of them cannot be, and goes with it.
func TestForward_WithOpen(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	serveFar(t, l.Host("gpu1"), "127.0.0.1:6006", says("board"))
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[hosts.gpu1]\nforward = [\"81:localhost:6006\", \"6006\"]\n")
	r := l.Must("open", "--no-browser", "gpu1")
	if !strings.Contains(r.Stderr, "127.0.0.1:6006 leads to localhost:6006") || !strings.Contains(r.Stderr, "forward of config.toml: listen on 127.0.0.1:81: a port below 1024 needs root") {
		t.Errorf("open says:\n%s", r.Stderr)
	}
	if out, exit := curl(t, l, "http://127.0.0.1:6006/"); out != "board" {
		t.Errorf("%q, exit %d", out, exit)
	}
	// One that is written down later is there with the next open.
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[hosts.gpu1]\nforward = [\"6006\", \"6007:localhost:6006\"]\n")
	l.Must("open", "--no-browser", "gpu1")
	if out, exit := curl(t, l, "http://127.0.0.1:6007/"); out != "board" {
		t.Errorf("%q, exit %d", out, exit)
	}
	l.Must("close", "gpu1")
	if _, exit := curl(t, l, "http://127.0.0.1:6006/"); exit != 7 {
		t.Errorf("after close: exit %d", exit)
	}
}
