package sshx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// configs is how many ssh_configs are tried.
const configs = 100

// configWorld is what the generated ssh_configs may name: three servers, keys in
// files and in two agents.
type configWorld struct {
	t       *testing.T
	r       *rand.Rand
	dir     string
	servers []*sshd
	keys    []string
	agents  []string
	start   []int // how much of each log was there before
}

// pipe is a ProxyCommand: its stdin and stdout are a TCP connection.
const pipe = `import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := os.read(0, 65536): s.sendall(data)
    os._exit(0)
threading.Thread(target=up, daemon=True).start()
while data := s.recv(65536): os.write(1, data)
`

func newConfigWorld(t *testing.T) *configWorld {
	w := &configWorld{t: t, r: rand.New(rand.NewPCG(7, 1)), dir: t.TempDir()}
	write(t, filepath.Join(w.dir, "pipe"), pipe)
	for n := range 6 {
		file, _ := saveKey(t, filepath.Join(w.dir, fmt.Sprint("key", n)), makeKey(t, []string{"ed25519", "ecdsa"}[n%2], 20+n), "")
		pub := signerOf(t, makeKey(t, []string{"ed25519", "ecdsa"}[n%2], 20+n)).PublicKey()
		write(t, file+".pub", string(ssh.MarshalAuthorizedKey(pub)))
		w.keys = append(w.keys, file)
	}
	for n := range 2 {
		sock, add := realAgent(t, "exit 1")
		for i := range 2 {
			add(w.keys[2*n+i])
		}
		w.agents = append(w.agents, sock)
	}
	for n := range 3 {
		hostKey, _ := newKeyFile(t, "host", "ed25519", 96+n)
		s := startSSHD(t, 0, []string{hostKey}, "LogLevel DEBUG2", "MaxAuthTries 20")
		var pubs []ssh.PublicKey
		for i := n; i < 6; i += 3 { // each takes two of the six
			pubs = append(pubs, signerOf(t, makeKey(t, []string{"ed25519", "ecdsa"}[i%2], 20+i)).PublicKey())
		}
		s.authorize(t, pubs...)
		w.servers = append(w.servers, s)
		poll(t, "the first connection, which asked whether it listens, to be over", func() bool { return from.MatchString(s.said(t)) })
	}
	return w
}

func (w *configWorld) one(choices ...string) string { return choices[w.r.IntN(len(choices))] }

// block is settings of one Host, some of them wrong for the server; whole: no
// other block of it comes before.
func (w *configWorld) block(known string, whole bool) (lines []string) {
	add := func(chance float64, line string) {
		if w.r.Float64() < chance {
			lines = append(lines, "  "+line)
		}
	}
	agent := w.r.IntN(3)
	for range 1 + w.r.IntN(4) {
		n := w.r.IntN(len(w.keys))
		public := ""
		if n/2 == agent && agent < 2 && whole && w.r.IntN(2) == 0 { // ssh offers a public half that nobody can sign with; we do not
			public = ".pub"
		}
		add(0.9, "IdentityFile "+w.keys[n]+public)
	}
	add(0.2, "IdentityFile "+w.dir+"/%n-%r-%p")
	add(0.3, "IdentitiesOnly "+w.one("yes", "no"))
	add(1, "IdentityAgent "+append(w.agents, "none")[agent])
	add(0.8, "User "+w.one("root", "root", "root", "root", "root", "nobody-here"))
	add(0.05, "PubkeyAuthentication no")
	add(0.2, "PreferredAuthentications "+w.one("publickey", "password,publickey", "publickey,password", "password"))
	add(0.3, "HostKeyAlias "+w.one("alias", "gpu"))
	add(0.9, "StrictHostKeyChecking "+w.one("accept-new", "accept-new", "accept-new", "accept-new", "no", "no", "yes", "ask"))
	add(1, "UserKnownHostsFile "+known)
	return lines
}

// config is one ssh_config: gpu through at most two gateways.
func (w *configWorld) config(known string) string {
	own := w.block(known+w.one("", ".own"), true)
	var b strings.Builder
	b.WriteString("GlobalKnownHostsFile none\nCanonicalizeHostname " + w.one("no", "always") + "\n")
	match := w.one("Host gpu", "Host g* !gw*", "Match originalhost gpu", `Match host gpu exec "true"`, `Match originalhost gpu exec "test %n = gpu"`, "Match user someone originalhost gpu")
	fmt.Fprintf(&b, "%s\n%s\n", match, strings.Join(own, "\n"))
	included := known + ".include"
	write(w.t, included, "Host gpu\n"+strings.Join(w.block(known, false), "\n")+"\n")
	if w.r.IntN(2) == 0 {
		fmt.Fprintf(&b, "Host *\nInclude %s\n", included)
	}
	if w.r.IntN(3) == 0 {
		fmt.Fprintf(&b, "Match final host 127.0.0.1\n  IdentityFile %s\n", w.one(w.keys...))
	}
	way := w.one("", "", "ProxyJump gw0", "ProxyJump gw0,root@gw1", "ProxyJump gw1", "ProxyCommand python3 "+w.dir+"/pipe %h %p")
	fmt.Fprintf(&b, "Host gpu\n  HostName 127.0.0.1\n  Port %d\n  %s\n", w.servers[2].port, way)
	for n := range 2 {
		fmt.Fprintf(&b, "Host gw%d\n  HostName 127.0.0.1\n  Port %d\n%s\n", n, w.servers[n].port, strings.Join(w.block(known, true), "\n"))
		if n == 1 {
			b.WriteString("  ProxyJump gw0\n")
		}
	}
	fmt.Fprintf(&b, "Host *\n  User root\n  IdentityFile none\n  IdentityAgent none\n  UserKnownHostsFile %s\n", known)
	return b.String()
}

var (
	from   = regexp.MustCompile(`(?m)^Connection from 127\.0\.0\.1 port (\d+)`)
	offers = regexp.MustCompile(`(?m)^(?:Failed|Accepted) publickey for (?:invalid user )?(\S+) from \S+ port \d+ ssh2: (\S+ \S+)`)
)

// seen is what each server's log says of the connections since the last call.
func (w *configWorld) seen() (all []string) {
	w.t.Helper()
	for i, s := range w.servers {
		var text string
		poll(w.t, "sshd to have seen the end of all", func() bool {
			text = s.said(w.t)[w.start[i]:]
			for _, m := range from.FindAllStringSubmatch(text, -1) {
				if ok, _ := regexp.MatchString(`(?m)^(Connection (closed|reset) by|Disconnected from|Received disconnect from|Disconnecting|ssh_packet_send_debug|Read error|Write error|banner exchange:).*127\.0\.0\.1 port `+m[1], text); !ok {
					return false
				}
			}
			return true
		})
		w.start[i] += len(text)
		all = append(all, fmt.Sprintf("server %d: %d connections", i, len(from.FindAllString(text, -1))))
		for _, m := range offers.FindAllStringSubmatch(text, -1) {
			line := fmt.Sprintf("server %d: %s %s", i, m[1], m[2])
			if !slices.Contains(all, line) { // ssh offers a key once for each file that has it
				all = append(all, line)
			}
		}
	}
	return all
}

// connect walks the gateways, as holders do.
func (w *configWorld) connect(ctx context.Context, t *Target) (c *Conn, end func(), err error) {
	opts, end := Options{}, func() {}
	if t.Via != nil {
		before, endBefore, err := w.connect(ctx, t.Via)
		if err != nil {
			return nil, nil, err
		}
		end = func() { before.Close(); endBefore() }
		opts.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return before.Dial(ctx, network, addr)
		}
	}
	if c, err = Connect(ctx, t, opts); err != nil {
		end()
		return nil, nil, err
	}
	return c, end, nil
}

// TestDifferential_Configs: hops, users, ports and the keys offered, in order,
// are those that sshd logs for `ssh gpu true`, and so is what is written into
// known_hosts. No key is remembered, and nobody can be asked.
func TestDifferential_Configs(t *testing.T) {
	w := newConfigWorld(t)
	w.start = make([]int, len(w.servers))
	w.seen()
	worked, offered := 0, 0
	for n := range configs {
		known := filepath.Join(w.dir, fmt.Sprint("known", n))
		config := known + ".config"
		write(t, config, w.config(known))
		state := func() (text string) {
			for _, file := range []string{known, known + ".own"} {
				raw, _ := os.ReadFile(file)
				text += string(raw)
				os.Remove(file)
			}
			lines := strings.Split(text, "\n")
			slices.Sort(lines)
			return strings.Join(lines, "\n")
		}
		byThem := exec.Command("ssh", "-F", config, "-o", "BatchMode=yes", "gpu", "true")
		said, failed := byThem.CombinedOutput()
		want, wantKnown := w.seen(), state()

		target, err := Resolver{ConfigFile: config}.Resolve(t.Context(), "gpu", nil)
		if err != nil {
			t.Fatal(err)
		}
		c, end, err := w.connect(t.Context(), target)
		if err == nil {
			p, err := c.Exec(t.Context(), "true")
			if err != nil || p.Wait() != nil {
				t.Errorf("config %d: true: %v", n, err)
			}
			c.Close()
			end()
		}
		got, gotKnown := w.seen(), state()
		if (err == nil) != (failed == nil) || !slices.Equal(got, want) {
			t.Errorf("config %d\n%s\nssh: %v %s\n%s\nus: %v\n%s", n, read(t, config), failed, said, strings.Join(want, "\n"), err, strings.Join(got, "\n"))
		}
		saves := !slices.ContainsFunc(target.Hops(), func(hop *Target) bool { return hop.strict() == "no" }) // ssh saves then, we do not
		if saves && gotKnown != wantKnown {
			t.Errorf("config %d: known_hosts has\n%s\nby ssh\n%s", n, gotKnown, wantKnown)
		}
		if err == nil {
			worked++
		}
		offered += len(got) - len(w.servers)
	}
	t.Logf("%d configs: %d sign-ins to gpu, %d keys offered", configs, worked, offered)
	if worked < configs/10 || worked > configs*9/10 {
		t.Errorf("%d of %d work: the configs try too little", worked, configs)
	}
}
