package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// serveFar answers HTTP on an address of a machine.
func serveFar(t *testing.T, m *lab.Machine, addr string, h http.Handler) {
	t.Helper()
	ln, err := m.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
}

// says answers everything with a text.
func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, text) })
}

// curl asks by the laptop's curl, and gives its output and exit code.
func curl(t *testing.T, l *lab.Lab, args ...string) (string, int) {
	t.Helper()
	lab.Needs(t, "/usr/bin/curl")
	ctx, cancel := context.WithTimeout(t.Context(), lab.Limit)
	defer cancel()
	cmd := l.Laptop.As(ctx, lab.Me, append([]string{"/usr/bin/curl", "-sS", "-g", "-m", "60"}, args...)...)
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Error(err)
		return "", -1
	}
	return strings.TrimSpace(out.String()), cmd.ProcessState.ExitCode()
}

// privateNet is gpu1 with a page that only gw1 knows by name, and servers that
// are gw1's own, under names too.
func privateNet(t *testing.T, chain lab.Chain) (*lab.Lab, *lab.Machine) {
	t.Helper()
	chain.Gateways, chain.Jupyter = 1, "none"
	l := lab.New(t, chain)
	gw, gpu1 := l.Host("gw1"), l.Host("gpu1")
	gw.Sh("echo '" + gpu1.Addr + " grafana.internal\n127.0.0.1 sneaky.internal\n::1 six.internal\n169.254.169.254 meta.internal' >>/etc/hosts")
	gw.Sh("ip address add 169.254.169.254/32 dev lo")
	serveFar(t, gpu1, gpu1.Addr+":80", says("far page"))
	serveFar(t, gw, "127.0.0.1:9000", says("own"))
	serveFar(t, gw, "[::1]:9000", says("own"))
	serveFar(t, gw, "169.254.169.254:9000", says("own"))
	return l, gw
}

// Names are looked up on the host and nowhere else, what is the host's own is
// refused under any name, whether the relay runs there or nothing does.
func TestS2_S4_ProxyByName(t *testing.T) {
	t.Parallel()
	for name, relay := range map[string]bool{"relay": true, "no_Python": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, gw := privateNet(t, lab.Chain{})
			if !relay {
				gw.Hide("python3")
			}
			asked := l.Laptop.DNS(func(string, uint16) lab.Answer { return lab.Answer{Code: lab.NXDomain} })
			r := l.Must("proxy", "gw1")
			if r.Stdout != "socks5h://127.0.0.1:8157\n" || strings.Contains(r.Stderr, "no relay") == relay {
				t.Fatalf("%s%s", r.Stdout, r.Stderr)
			}
			const page = "http://grafana.internal/"
			for _, way := range []string{"--socks5-hostname", "--socks4a"} {
				if out, exit := curl(t, l, way, "127.0.0.1:8157", page); out != "far page" {
					t.Errorf("%s: %q, exit %d", way, out, exit)
				}
			}
			if n := asked.Asked(lab.KindA) + asked.Asked(lab.KindAAAA); n != 0 {
				t.Errorf("%d names were looked up on the laptop", n)
			}
			if out, exit := curl(t, l, page); exit != 6 {
				t.Errorf("the twin, without the proxy: %q, exit %d", out, exit)
			}
			own := []string{"localhost", "127.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "169.254.169.254", "sneaky.internal", "six.internal", "meta.internal"}
			for _, host := range own {
				out, exit := curl(t, l, "--socks5-hostname", "127.0.0.1:8157", "http://"+host+":9000/")
				if out != "" || exit != 97 {
					t.Errorf("%s: %q, exit %d", host, out, exit)
				}
			}
			l.Must("proxy", "gw1", "--allow", "127.0.0.1:9000,six.internal")
			for host, ok := range map[string]bool{"sneaky.internal": true, "127.0.0.1": true, "six.internal": true, "[::1]": false, "meta.internal": false} {
				if out, _ := curl(t, l, "--socks5-hostname", "127.0.0.1:8157", "http://"+host+":9000/"); (out == "own") != ok {
					t.Errorf("%s, allowed %v: %q", host, ok, out)
				}
			}
			if _, exit := curl(t, l, "--socks5-hostname", "127.0.0.1:8157", "http://127.0.0.1:22/"); exit != 97 {
				t.Errorf("a port that is not allowed: exit %d", exit)
			}
		})
	}
}

// A gateway that gives no shell and no Python forwards all the same: addresses,
// and the names that --allow passes on unseen.
func TestS2_ProxyWithoutShell(t *testing.T) {
	t.Parallel()
	l, gw := privateNet(t, lab.Chain{})
	gw.Configure("ForceCommand /bin/false\n")
	r := l.Must("proxy", "gw1")
	if !strings.Contains(r.Stderr, "names are refused") || !strings.Contains(r.Stderr, "--allow '*.internal'") {
		t.Errorf("it does not say so:\n%s", r.Stderr)
	}
	get := func(host string) string {
		out, _ := curl(t, l, "--socks5-hostname", "127.0.0.1:8157", "http://"+host+"/")
		return out
	}
	if a, n := get(l.Host("gpu1").Addr), get("grafana.internal"); a != "far page" || n != "" {
		t.Errorf("by address %q, by name %q", a, n)
	}
	l.Must("proxy", "gw1", "--allow", "grafana.internal")
	if n, own := get("grafana.internal"), get("127.0.0.1:9000"); n != "far page" || own != "" {
		t.Errorf("by an allowed name %q, the host's own %q", n, own)
	}
}

// The port is this computer's and this user's alone, and no page can speak to it.
func TestS1_S3_OnlyHere(t *testing.T) {
	t.Parallel()
	l, gw := privateNet(t, lab.Chain{})
	l.Must("proxy", "gw1", "--domains", "*.internal")
	listening := l.Laptop.Sh("ss -ltnH | awk '{print $4}'")
	for addr := range strings.FieldsSeq(listening) {
		if !strings.HasPrefix(addr, "127.0.0.1:") {
			t.Errorf("it listens on %s", addr)
		}
	}
	if !strings.Contains(listening, "127.0.0.1:8157") {
		t.Errorf("listening: %s", listening)
	}
	if c, err := gw.Dial(t.Context(), 0, "tcp", l.Laptop.Addr+":8157"); err == nil {
		c.Close()
		t.Error("it is reached from the network")
	}
	other, err := l.Laptop.Dial(t.Context(), 65534, "tcp", "127.0.0.1:8157")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(other, "\x05\x01\x00")
	if got, err := io.ReadAll(other); len(got) > 0 {
		t.Errorf("another user got %q, %v", got, err)
	}
	if out, exit := curl(t, l, "http://127.0.0.1:8157/"); exit != 52 && exit != 56 {
		t.Errorf("HTTP: %q, exit %d", out, exit)
	}
	pac := proxies(t, l)[0]["pac"]
	if pac != nil {
		t.Errorf("the PAC address is listed: %v", pac)
	}
}

// proxies are the rows of ls --json that are proxies or forwards.
func proxies(t *testing.T, l *lab.Lab) []map[string]any {
	t.Helper()
	var rows []map[string]any
	if err := json.Unmarshal([]byte(l.Must("ls", "--json").Stdout), &rows); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(rows, func(r map[string]any) bool { return r["kind"] == "session" })
}

// Two at once are two networks; each is found again with its port, by ls too; a
// port that is taken is said, by whom; close ends one, and the next has its port.
func TestProxy_TwoAtOnce(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Hosts: 2, Jupyter: "none"})
	for _, m := range l.Hosts {
		m.Sh("echo '" + m.Addr + " here.internal' >>/etc/hosts")
		serveFar(t, m, m.Addr+":80", says("page of "+m.Name))
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.config/nbremote/config.toml", "[proxies.prod]\nvia = [\"gpu2\"]\ndomains = [\"*.internal\"]\n")
	l.Must("proxy", "gpu1")
	l.Must("proxy", "prod")
	for port, name := range map[string]string{"8157": "gpu1", "8158": "gpu2"} {
		if out, exit := curl(t, l, "-x", "socks5h://127.0.0.1:"+port, "http://here.internal/"); out != "page of "+name {
			t.Errorf("%s: %q, exit %d", port, out, exit)
		}
	}
	if r := l.Must("proxy", "prod"); r.Stdout != "socks5h://127.0.0.1:8158\n" || !strings.Contains(r.Stderr, "open already") {
		t.Errorf("again: %s%s", r.Stdout, r.Stderr)
	}
	if r := l.Must("ls"); !strings.Contains(r.Stdout, "gpu1  proxy  its network  127.0.0.1:8157") || !strings.Contains(r.Stdout, "gpu2  proxy  *.internal   127.0.0.1:8158") {
		t.Errorf("ls:\n%s", r.Stdout)
	}
	if r := l.Must("status", "gpu2"); !strings.Contains(r.Stdout, "127.0.0.1:8158 to *.internal") {
		t.Errorf("status:\n%s", r.Stdout)
	}
	l.Must("close", "prod")
	l.Must("close", "8157")
	if rows := proxies(t, l); len(rows) != 0 {
		t.Errorf("left: %v", rows)
	}
	if _, exit := curl(t, l, "-x", "socks5h://127.0.0.1:8158", "http://here.internal/"); exit != 97 && exit != 7 {
		t.Errorf("after close: exit %d", exit)
	}
	busy := l.Laptop.As(t.Context(), lab.Me, "/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "8158")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(busy.Process.Pid, syscall.SIGKILL); busy.Wait() })
	awaitListener(t, l.Laptop, "127.0.0.1:8158")
	fails(t, l.Run("proxy", "gpu1", "--port", "8158"), 1, "listen on 127.0.0.1:8158", "taken by python3, pid", "leave out --port")
	if r := l.Must("proxy", "prod"); r.Stdout != "socks5h://127.0.0.1:8159\n" || !strings.Contains(r.Stderr, "port 8158 is taken by python3") {
		t.Errorf("with its port taken: %s%s", r.Stdout, r.Stderr)
	}
	if r := l.Must("proxy", "gpu1"); r.Stdout != "socks5h://127.0.0.1:8157\n" {
		t.Errorf("the next day: %s", r.Stdout)
	}
	for _, wrong := range [][]string{
		{"gpu1", "--port", "70000"}, {"gpu1", "--domains", "a b"}, {"gpu1", "--domains", "fd00::/129"}, {"gpu1", "--allow", "x:0"},
		{"gpu1", "http://here.internal/"}, {"gpu1", "file:///etc/passwd", "--browser"}, {"prod", "--via", "gpu1"},
	} {
		fails(t, l.Run(append([]string{"proxy"}, wrong...)...), 2, "try:")
	}
}

// drip sends a text slowly enough for a cut: 1.6 MB each second.
func drip(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		flush := http.NewResponseController(w)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for rest := text; rest != ""; <-tick.C {
			n := min(len(rest), 32<<10)
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
			flush.Flush()
		}
	})
}

// dripped is a text whose every part tells its place.
func dripped(n int) string {
	var b strings.Builder
	for i := range n / 8 {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.String()
}

// Downloads through a proxy and a forward go on after a cut in which their twins,
// by ssh -D and ssh -L, end.
func TestN3_ProxyAndForwardOverACut(t *testing.T) {
	t.Parallel()
	l, _ := privateNet(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	want := dripped(6 << 20)
	serveFar(t, gpu1, gpu1.Addr+":81", drip(want))
	l.Must("proxy", "gw1")
	l.Must("forward", "gw1", "8889:grafana.internal:81")
	ctx, cancel := context.WithCancel(t.Context())
	ssh := l.Laptop.As(ctx, lab.Me, "/usr/bin/ssh", "-N", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2",
		"-D", "127.0.0.1:7002", "-L", "127.0.0.1:7003:grafana.internal:81", "gw1")
	if err := ssh.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); ssh.Wait() })
	awaitListener(t, l.Laptop, "127.0.0.1:7003")
	downloads := map[string][]string{
		"proxy":   {"--socks5-hostname", "127.0.0.1:8157", "http://grafana.internal:81/"},
		"forward": {"http://127.0.0.1:8889/"},
		"ssh -D":  {"--socks5-hostname", "127.0.0.1:7002", "http://grafana.internal:81/"},
		"ssh -L":  {"http://127.0.0.1:7003/"},
	}
	exits := map[string]chan int{}
	file := func(way string) string { return "/home/me/by " + way }
	for way, args := range downloads {
		done := make(chan int, 1)
		exits[way] = done
		go func() {
			_, exit := curl(t, l, append(args, "-m", "90", "-o", file(way))...)
			done <- exit
		}()
	}
	for way := range downloads {
		lab.Wait(t, 20*time.Second, "bytes by "+way, func() bool {
			info, err := os.Stat(l.Laptop.Path(file(way)))
			return err == nil && info.Size() > 256<<10
		})
	}
	l.Laptop.Cut()
	time.Sleep(9 * time.Second) // how long the cut lasts is what is tested
	l.Laptop.Mend()
	for way, done := range exits {
		exit := <-done
		got := l.Laptop.ReadFile(file(way))
		if twin := strings.HasPrefix(way, "ssh"); twin && (exit == 0 || got == want) {
			t.Errorf("the twin, %s, lost nothing: exit %d, %d bytes", way, exit, len(got))
		} else if !twin && (exit != 0 || got != want) {
			t.Errorf("%s: exit %d, %d bytes of %d", way, exit, len(got), len(want))
		}
	}
}

// socksTo is a connection through a SOCKS port of the laptop.
func socksTo(ctx context.Context, l *lab.Lab, proxy, host string, port int) (net.Conn, error) {
	c, err := l.Dial(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(100 * time.Second))
	fmt.Fprintf(c, "\x05\x01\x00\x05\x01\x00\x03%c%s%c%c", len(host), host, port>>8, port&0xff)
	answer := make([]byte, 2+10)
	if _, err := io.ReadFull(c, answer); err != nil || answer[3] != 0 {
		c.Close()
		return nil, fmt.Errorf("SOCKS: %v, %q", err, answer)
	}
	return c, nil
}

// 500 connections at once to names, both ways: not a byte is wrong.
func TestS3_ManyConnections(t *testing.T) {
	t.Parallel()
	l, _ := privateNet(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	ln, err := gpu1.Listen("tcp", gpu1.Addr+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	lab.Accept(ln, lab.Echo)
	l.Must("proxy", "gw1")
	const atOnce = 500
	errs := make(chan error, atOnce)
	for i := range atOnce {
		go func() {
			c, err := socksTo(t.Context(), l, "127.0.0.1:8157", "grafana.internal", 7)
			if err != nil {
				errs <- err
				return
			}
			defer c.Close()
			want := strings.Repeat(fmt.Sprintf("connection %06d\n", i), 512)
			go func() { io.WriteString(c, want); c.(*net.TCPConn).CloseWrite() }()
			if got, err := io.ReadAll(c); err != nil || string(got) != want {
				err = fmt.Errorf("%d: %d bytes of %d, or others: %v", i, len(got), len(want), err)
				errs <- err
				return
			}
			errs <- nil
		}()
	}
	for range atOnce {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
