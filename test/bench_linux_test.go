package test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nbremote/internal/holder"
	"nbremote/test/lab"
)

// turns is how often each pair is measured, in turn.
const turns = 9

// bench skips a measurement unless `make bench` asks for it.
func bench(t *testing.T) {
	t.Helper()
	if os.Getenv("NBREMOTE_BENCH") == "" {
		t.Skip("a measurement: make bench")
	}
}

// asInstalled is the program as it is installed, without the race detector.
func asInstalled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nbremote")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "nbremote").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func benchLab(t *testing.T, chain lab.Chain) *lab.Lab {
	t.Helper()
	bench(t)
	chain.Program = asInstalled(t)
	return lab.New(t, chain)
}

// timedOpen is open, and how long it took as a whole.
func timedOpen(t *testing.T, l *lab.Lab) (opened, time.Duration) {
	t.Helper()
	r := l.Must("open", "--json", "--no-browser", "gpu1")
	return parseOpened(t, r), r.Took
}

// spread prints the least, the median and the most of measured times.
func spread(name string, all []time.Duration, bound string) {
	s := slices.Clone(all)
	slices.Sort(s)
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) }
	fmt.Printf("| %-46s | %9s | %9s | %9s | %-26s |\n", name, ms(s[0]), ms(s[len(s)/2]), ms(s[len(s)-1]), bound)
}

func header(title string) {
	fmt.Printf("\n%s, %d paired turns, milliseconds\n", title, turns)
	fmt.Printf("| %-46s | %9s | %9s | %9s | %-26s |\n|---|---|---|---|---|\n", "what", "min", "median", "max", "bound")
}

// jupyterAlone is how long Jupyter's own start takes on the host by hand, from
// the command to the first answer.
func jupyterAlone(t *testing.T, host *lab.Machine) time.Duration {
	t.Helper()
	out := host.ShAs(lab.Me, `d=$(mktemp -d); s=$(date +%s%N)
JUPYTER_RUNTIME_DIR=$d jupyter-lab --no-browser --ServerApp.sock=$d/s >$d/log 2>&1 & p=$!
until [ -S $d/s ]; do sleep 0.01; done
e=$(date +%s%N); kill $p; wait $p; rm -rf $d; echo $(( (e - s) / 1000 ))`)
	us, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatalf("by hand: %q", out)
	}
	return time.Duration(us) * time.Microsecond
}

func TestBenchOpen(t *testing.T) {
	for _, c := range []struct {
		name     string
		delay    time.Duration // one way
		gateways int
		bound    string
	}{
		{"loopback", 0, 0, "300 ms"},
		{"100 ms round trip", 50 * time.Millisecond, 0, "12 round trips"},
		{"100 ms round trip, one gateway", 50 * time.Millisecond, 1, "21 round trips"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			l := benchLab(t, lab.Chain{Gateways: c.gateways, Delay: c.delay})
			benchOpen(t, l, c.name, c.bound, 2*c.delay)
		})
	}
}

// benchOpen measures, in turn: Jupyter by hand, ssh, a cold open, an open with
// the server up and no holder, and all that is answered by the holder.
func benchOpen(t *testing.T, l *lab.Lab, title, bound string, rtt time.Duration) {
	all := map[string][]time.Duration{}
	add := func(name string, d time.Duration) { all[name] = append(all[name], d) }
	l.Run("version") // the program is in the page cache from here on
	for range turns {
		alone := jupyterAlone(t, l.Hosts[0])
		add("jupyter", alone)
		add("ssh", l.SSH("gpu1", "true").Took)
		a, took := timedOpen(t, l)
		add("cold", took)
		add("beyond", took-alone)
		add("line", took-a.step("start")+rtt)
		add("held", l.Must("open", "--no-browser", "gpu1").Took)
		add("url", l.Must("url", "gpu1").Took)
		add("ls", l.Must("ls").Took)
		add("version", l.Must("version").Took)
		l.Must("close", "gpu1")
		for _, gw := range l.Gateways {
			l.Run("close", gw.Name)
		}
		sshTook := l.SSH("gpu1", "true").Took
		_, took = timedOpen(t, l)
		add("again", took)
		add("again-ssh", took-sshTook)
		l.Must("stop", "gpu1", "-y")
		l.Must("close", "gpu1")
		for _, gw := range l.Gateways {
			l.Run("close", gw.Name)
		}
	}
	header(title)
	spread("Jupyter by hand on the host, until it listens", all["jupyter"], "")
	spread("ssh gpu1 true", all["ssh"], "")
	spread("cold open", all["cold"], "")
	spread("cold open less Jupyter by hand", all["beyond"], bound)
	spread("cold open less its step \"started\", + 1 round trip", all["line"], bound)
	spread("server up, no holder", all["again"], "")
	spread("server up, no holder, less ssh gpu1 true", all["again-ssh"], "2 round trips + 150 ms")
	spread("open, holder up", all["held"], "30 ms")
	spread("url", all["url"], "30 ms")
	spread("ls", all["ls"], "30 ms")
	spread("version", all["version"], "10 ms")
}

const streamBytes = 64 << 20

// serveBytes is a web server on the host: GET gives streamBytes, POST swallows.
func serveBytes(t *testing.T, host *lab.Machine) string {
	t.Helper()
	ln, err := host.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("0123456789abcdef"), 16<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		if n == 0 {
			n = streamBytes
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		for n > 0 {
			k := min(n, len(block))
			if _, err := w.Write(block[:k]); err != nil {
				return
			}
			n -= k
		}
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// client speaks HTTP from inside the laptop.
func client(l *lab.Lab, uid int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return l.Laptop.Dial(ctx, uid, network, addr)
		},
	}}
}

func transfer(t *testing.T, c *http.Client, url string, up bool) time.Duration {
	t.Helper()
	began := time.Now()
	var resp *http.Response
	var err error
	if up {
		resp, err = c.Post(url, "application/octet-stream", io.LimitReader(zeros{}, streamBytes))
	} else {
		resp, err = c.Get(url)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || !up && n != streamBytes {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return time.Since(began)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// heldPage opens a page of the holder in front of an address on gpu1.
func heldPage(t *testing.T, l *lab.Lab, addr string) holder.Page {
	t.Helper()
	timedOpen(t, l)
	return addPage(t, holderOf(t, l), "bench", addr)
}

func addPage(t *testing.T, c *holder.Client, session, addr string) holder.Page {
	t.Helper()
	p, err := c.AddPage(context.Background(), holder.PageSpec{Session: session, Network: "tcp", Addr: addr, Token: "x", Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// holdersOf speaks with all holders of the laptop.
func holdersOf(l *lab.Lab) []*holder.Client {
	var all []*holder.Client
	for _, pattern := range []string{"/run/user/*/nbremote/*.sock", "/home/me/.local/state/nbremote/run/*.sock"} {
		socks, _ := filepath.Glob(l.Laptop.Path(pattern))
		for _, sock := range socks {
			all = append(all, &holder.Client{Sock: sock})
		}
	}
	return all
}

// holderOf speaks with the holder of gpu1.
func holderOf(t *testing.T, l *lab.Lab) *holder.Client {
	t.Helper()
	for _, c := range holdersOf(l) {
		if s, err := c.Status(context.Background()); err == nil && s.Name == "gpu1" {
			return c
		}
	}
	t.Fatal("no holder of gpu1")
	return nil
}

// sshForward is the laptop's own ssh -L to an address on gpu1.
func sshForward(t *testing.T, l *lab.Lab, port int, addr string, more ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	local := fmt.Sprintf("127.0.0.1:%d", port)
	args := append([]string{"/usr/bin/ssh", "-N", "-o", "BatchMode=yes", "-L", local + ":" + addr}, more...)
	cmd := l.Laptop.As(ctx, lab.Me, append(args, "gpu1")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	lab.Wait(t, 10*time.Second, "ssh -L", func() bool {
		c, err := l.Laptop.Dial(context.Background(), 0, "tcp", local)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return local
}

func meUID(t *testing.T, l *lab.Lab) int {
	t.Helper()
	info, err := os.ReadFile(l.Laptop.Path("/etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if f := strings.Split(line, ":"); f[0] == lab.Me {
			uid, _ := strconv.Atoi(f[2])
			return uid
		}
	}
	t.Fatal("no account me")
	return 0
}

func TestBenchStream(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	addr := serveBytes(t, l.Hosts[0])
	page := heldPage(t, l, addr)
	plain := sshForward(t, l, 7001, addr)
	gcm := sshForward(t, l, 7002, addr, "-c", "aes128-gcm@openssh.com")
	c := client(l, meUID(t, l))
	ours := fmt.Sprintf("127.0.0.1:%d", page.Port)
	for _, up := range []bool{false, true} {
		times := map[string][]time.Duration{}
		for range turns + 1 {
			for _, at := range []string{ours, plain, gcm} {
				times[at] = append(times[at], transfer(t, c, "http://"+at+"/", up))
			}
		}
		title := "64 MiB down"
		if up {
			title = "64 MiB up"
		}
		header(title)
		for name, at := range map[string]string{"nbremote": ours, "ssh -L": plain, "ssh -L, AES-GCM": gcm} {
			spread(name, times[at][1:], "")
		}
		fmt.Printf("speed, median of the pairs: %.2f x ssh -L, %.2f x ssh -L with AES-GCM\n",
			ratio(times[plain][1:], times[ours][1:]), ratio(times[gcm][1:], times[ours][1:]))
	}
}

// ratio is the median of the quotients pair by pair.
func ratio(a, b []time.Duration) float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = float64(a[i]) / float64(b[i])
	}
	slices.Sort(q)
	return q[len(q)/2]
}

func TestBenchManyConnections(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	addr := serveBytes(t, l.Hosts[0])
	page := heldPage(t, l, addr)
	c := client(l, meUID(t, l))
	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	var wg sync.WaitGroup
	var mu sync.Mutex
	wrong, began := 0, time.Now()
	for range 500 {
		wg.Go(func() {
			resp, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/?n=%d", page.Port, len(want)))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err != nil || !bytes.Equal(got, want) {
				mu.Lock()
				wrong++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	most := float64(memory(t, pidOf(t, l.Laptop, "nbremote holder"), "VmHWM")) / 1e6
	fmt.Printf("\n500 connections of 1 MiB at once: %d wrong (bound 0), %.1f s; holder, most RSS: %.1f MB (bound 50)\n", wrong, time.Since(began).Seconds(), most)
	if wrong != 0 {
		t.Errorf("%d of 500 wrong", wrong)
	}
}

func TestBenchHolderAtRest(t *testing.T) {
	l := benchLab(t, lab.Chain{})
	timedOpen(t, l)
	pid := 0
	for _, p := range l.Laptop.Running("nbremote holder") {
		pid = p.PID
	}
	if pid == 0 {
		t.Fatal("no holder process")
	}
	before := cpu(t, pid)
	time.Sleep(60 * time.Second) // the span that is measured
	fmt.Printf("\nholder, line up, no page connected, over 60 s: %.1f MB (bound 25), %.3f %% CPU (bound 0.1)\n",
		float64(resident(t, pid))/1e6, 100*(cpu(t, pid)-before).Seconds()/60)
}

// cpu is the processor time a process has used, in steps of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func resident(t *testing.T, pid int) int { return memory(t, pid, "VmRSS") }

// memory is a number of bytes that /proc tells: VmRSS, or VmHWM, its most.
func memory(t *testing.T, pid int, what string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), what+":"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb << 10
		}
	}
	return 0
}
