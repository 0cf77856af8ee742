package sshx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// resolver asks the real ssh about a config of the test's own.
func resolver(t *testing.T, config string) Resolver {
	t.Helper()
	r := Resolver{SSH: program(t, "ssh"), ConfigFile: filepath.Join(t.TempDir(), "config")}
	write(t, r.ConfigFile, config)
	return r
}

// way is the hops of a target in short.
func way(t *Target) string {
	var hops []string
	for _, hop := range t.Hops() {
		hops = append(hops, hop.User+"@"+hop.Address())
	}
	return strings.Join(hops, " ")
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "more"), "Host included\n  HostName inc.example\n")
	r := resolver(t, `
Include `+dir+`/more
Host gpu1
  HostName 10.0.3.7
  ProxyJump a,b@gw2:2222
Host a
  HostName a.example
  ProxyJump outer
Host gw2
  ProxyJump never-followed
Host outer
  HostName outer.example
  Port 2200
Host matched
  HostName matched.example
Match originalhost matched exec "true"
  User fromexec
Host pc
  ProxyCommand nc -X %h %p
Host behind
  ProxyJump a,pc
Host *
  User me
`)
	for _, c := range []struct {
		name string
		via  []string
		want string
	}{
		{"gpu1", nil, "me@outer.example:2200 me@a.example:22 b@gw2:2222 me@10.0.3.7:22"},
		{"gpu1", []string{"none"}, "me@10.0.3.7:22"},
		{"gpu1", []string{"matched"}, "fromexec@matched.example:22 me@10.0.3.7:22"},
		{"you@gpu1:2222", []string{"gw2", "a"}, "me@never-followed:22 me@gw2:22 me@a.example:22 you@10.0.3.7:2222"},
		{"included", nil, "me@inc.example:22"},
		{"ssh://you@[::1]:2222", nil, "you@[::1]:2222"},
		{"[fe80::1%eth0]", nil, "me@[fe80::1%eth0]:22"},
		{"GPU9.Example", nil, "me@gpu9.example:22"},
	} {
		got, err := r.Resolve(t.Context(), c.name, c.via)
		if err != nil {
			t.Errorf("%s via %v: %v", c.name, c.via, err)
			continue
		}
		if way(got) != c.want {
			t.Errorf("%s via %v: %s, want %s", c.name, c.via, way(got), c.want)
		}
	}
	if got, err := r.Resolve(t.Context(), "behind", nil); err != nil || got.Via.ProxyCommand != "" || way(got.Via.Via) != "me@outer.example:2200 me@a.example:22" {
		t.Errorf("a later gateway of a list keeps its own way: %+v %v", got, err)
	}
	for via, want := range map[string]string{"": "nc -X %h %p", "a": ""} {
		var list []string
		if via != "" {
			list = []string{via}
		}
		if got, err := r.Resolve(t.Context(), "pc", list); err != nil || got.ProxyCommand != want {
			t.Errorf("pc via %q: %+v %v", via, got, err)
		}
	}
}

func TestResolveSettings(t *testing.T) {
	t.Setenv("KEYS", "/keys")
	t.Setenv("AGENT", "/agent")
	r := resolver(t, `
Host gpu1
  HostName 10.0.3.7
  Port 2222
  User me
  HostKeyAlias lab
  IdentityFile ~/.ssh/id_%h_%r
  IdentityFile "/tmp/with blank/%n_%p"
  IdentityFile ${KEYS}/%k
  CertificateFile ~/x-cert.pub
  IdentitiesOnly yes
  IdentityAgent $AGENT
  UserKnownHostsFile ~/kh1 "/tmp/with blank/kh"
  StrictHostKeyChecking accept-new
  HashKnownHosts yes
  PasswordAuthentication no
  PreferredAuthentications publickey,password
  GlobalKnownHostsFile none
  GSSAPIAuthentication yes
  PKCS11Provider /lib/p.so
  AddKeysToAgent 10m
  ControlPath /run/cm-%r@%h
  ProxyCommand /opt/bin/nbremote stdio %n %p
Host plain
  PubkeyAuthentication no
  KbdInteractiveAuthentication no
  IdentityFile none
  IdentityAgent SSH_AUTH_SOCK
  StrictHostKeyChecking no
`)
	home := homeDir()
	got, err := r.Resolve(t.Context(), "gpu1", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &Target{
		Name: "gpu1", User: "me", Host: "10.0.3.7", Port: 2222, HostKeyAlias: "lab",
		IdentityFiles:    []string{home + "/.ssh/id_10.0.3.7_me", "/tmp/with blank/gpu1_2222", "/keys/lab"},
		CertificateFiles: []string{home + "/x-cert.pub"}, IdentitiesOnly: true, IdentityAgent: "/agent",
		UserKnownHosts: []string{home + "/kh1", "/tmp/with blank/kh"}, StrictHostKeyChecking: "accept-new", HashKnownHosts: true,
		PubkeyAuth: true, KbdAuth: true, PreferredAuths: []string{"publickey", "password"}, ConfigFile: r.ConfigFile,
		GSSAPIAuth: true, PKCS11Provider: "/lib/p.so", AddKeysToAgent: "600", ControlPath: "/run/cm-me@10.0.3.7",
		SSHName: "gpu1", SSH: r.SSH,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	got, err = r.Resolve(t.Context(), "plain", nil)
	if err != nil || got.PubkeyAuth || got.KbdAuth || !got.PasswordAuth || len(got.IdentityFiles) != 0 || got.IdentityAgent != "" || got.StrictHostKeyChecking != "no" {
		t.Errorf("%+v %v", got, err)
	}
	raw, err := json.Marshal(want)
	back := &Target{}
	if err != nil || json.Unmarshal(raw, back) != nil || !reflect.DeepEqual(back, want) {
		t.Errorf("not the same after JSON: %s", raw)
	}
}

func TestResolveErrors(t *testing.T) {
	var ring strings.Builder
	for n := range 30 {
		fmt.Fprintf(&ring, "Host h%d\n  ProxyJump h%d\n", n, n+1)
	}
	r := resolver(t, ring.String()+"Host x\n  ProxyJump y\nHost y\n  ProxyJump x\nHost bad\n  ProxyJump a b\n")
	for name, want := range map[string]string{
		"h0": "more than 10 gateways", "x": "circle", "h21": "",
	} {
		_, err := r.Resolve(t.Context(), name, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	r = resolver(t, "Host *\n  ProxyJump bastion\n")
	if _, err := r.Resolve(t.Context(), "bastion", nil); err == nil {
		t.Error("a host that is its own gateway was resolved")
	}
	if got, err := r.Resolve(t.Context(), "gpu1", []string{"none"}); err != nil || got.Via != nil {
		t.Errorf("%v %v", got, err)
	}
	r = resolver(t, "Host *\n  NoSuchOption yes\n")
	_, err := r.Resolve(t.Context(), "gpu1", nil)
	var caused interface {
		Cause() string
		Class() string
	}
	if !errors.As(err, &caused) || caused.Class() != "usage" || !strings.Contains(caused.Cause(), "nosuchoption") {
		t.Errorf("%v", err)
	}
	r.ConfigFile = "/does/not/exist"
	if _, err := r.Resolve(t.Context(), "gpu1", nil); err == nil {
		t.Error("a config that is not there was read")
	}
}

// TestF6_MatchExecHangs: a program of the config that does not end is ended
// with the context.
func TestF6_MatchExecHangs(t *testing.T) {
	r := resolver(t, "Match exec \"sleep 1000; true\"\n  User me\n")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := r.Resolve(ctx, "gpu1", nil)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestResolveWithoutSSH(t *testing.T) {
	r := Resolver{SSH: "/does/not/exist", ConfigFile: "none"}
	got, err := r.Resolve(t.Context(), "me@gpu1:2222", []string{"you@bastion"})
	if err != nil || way(got) != "you@bastion:22 me@gpu1:2222" {
		t.Fatalf("%v %v", got, err)
	}
	if !got.PubkeyAuth || !slices.Contains(got.IdentityFiles, filepath.Join(homeDir(), ".ssh", "id_ed25519")) || got.strict() != "ask" || len(got.UserKnownHosts) == 0 {
		t.Errorf("%+v", got)
	}
	if got, err := r.Resolve(t.Context(), "gpu1", nil); err != nil || got.User == "" || got.Port != 22 {
		t.Errorf("%v %v", got, err)
	}
	r.ConfigFile = filepath.Join(t.TempDir(), "config")
	write(t, r.ConfigFile, "")
	var classed interface {
		Class() string
		Hint() string
	}
	if _, err := r.Resolve(t.Context(), "me@gpu1", nil); !errors.As(err, &classed) || classed.Class() != "usage" || classed.Hint() == "" {
		t.Errorf("%v", err)
	}
}

func TestKey(t *testing.T) {
	a := &Target{Name: "a", User: "me", Host: "h", Port: 22}
	b := &Target{Name: "b", User: "me", Host: "h", Port: 22, IdentityFiles: []string{"x"}}
	if a.Key() != b.Key() || len(a.Key()) != 16 {
		t.Errorf("%s %s", a.Key(), b.Key())
	}
	seen := map[string]bool{}
	for _, other := range []*Target{
		a, {User: "you", Host: "h", Port: 22}, {User: "me", Host: "h2", Port: 22}, {User: "me", Host: "h", Port: 23},
		{User: "me", Host: "h", Port: 22, Via: b}, {User: "me", Host: "h", Port: 22, HostKeyAlias: "x"}, {User: "me", Host: "h", Port: 22, ProxyCommand: "x"},
	} {
		if seen[other.Key()] {
			t.Errorf("%+v has the key of another", other)
		}
		seen[other.Key()] = true
	}
}

func TestNotFound(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	write(t, filepath.Join(dir, "more"), "Host gpu1 gpu2\n")
	write(t, config, "Include "+dir+"/m*\nHost bastion *.example !x\nHost=hpc\n")
	unknown := func(_ context.Context, _, addr string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(addr)
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	for name, want := range map[string]string{"gpu11": "gpu1", "bastoin": "bastion", "hpx": "hpc", "me@gpu3:22": "gpu1", "elsewhere": ""} {
		n, _ := parseName(name)
		target := &Target{Name: name, User: "me", Host: n.host, Port: 22, ConfigFile: config, IdentityAgent: "none"}
		_, err := Connect(t.Context(), target, Options{Dial: unknown})
		var e *NotFoundError
		if !errors.As(err, &e) || e.Class() != "not-found" || e.Suggestion != want {
			t.Errorf("%s: %v, suggested %q, want %q", name, err, e.Suggestion, want)
			continue
		}
		if text := "find " + name + ": not in config, and DNS does not know it"; e.Error() != text {
			t.Errorf("%v, want %s", e, text)
		}
		if want != "" && e.Hint() != "nbremote open "+want+" --ssh-config "+config {
			t.Error(e.Hint())
		}
	}
	target := &Target{Name: "gpu1", User: "me", Host: "gpu1.example", Port: 22, IdentityAgent: "none"}
	_, err := Connect(t.Context(), target, Options{Dial: unknown})
	if want := "find gpu1: DNS does not know gpu1.example"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A name server that cannot be asked is not the host that refuses.
func TestConnect_NoNameServer(t *testing.T) {
	target := &Target{Name: "gpu1", User: "me", Host: "gpu1.example", Port: 22, IdentityAgent: "none"}
	for said, want := range map[string]string{
		"read udp 127.0.0.1:40000->127.0.0.1:53: read: connection refused": "connect to gpu1: no address of gpu1.example: DNS: read udp 127.0.0.1:40000->127.0.0.1:53: read: connection refused",
		"i/o timeout": "connect to gpu1: no address of gpu1.example: DNS: i/o timeout",
	} {
		_, err := Connect(t.Context(), target, Options{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: said, Name: "gpu1.example", Server: "127.0.0.1:53"}}
		}})
		var e *DialError
		if !errors.As(err, &e) || e.Error() != want || e.Class() != "connect" {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestProxyCommand(t *testing.T) {
	noLeak(t)
	s := startServer(t, func(s *server) { s.takePassword("x") })
	target := s.target(t)
	python := program(t, "python3")
	script := filepath.Join(t.TempDir(), "proxy.py")
	write(t, script, `
import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while b := os.read(0, 65536): s.sendall(b)
    s.shutdown(1)
threading.Thread(target=up, daemon=True).start()
while b := s.recv(65536): os.write(1, b)
`)
	target.ProxyCommand = python + " " + script + " %h %p %% %r"
	if signed, err := try(t.Context(), target, Options{Ask: answers(t, "x")}); err != nil || signed.Method != "password" {
		t.Errorf("%+v %v", signed, err)
	}
	target.ProxyCommand = "sh -c 'echo no route to %h >&2; exit 3'"
	_, err := try(t.Context(), target, Options{})
	var dial *DialError
	if !errors.As(err, &dial) || dial.Cause() != "ProxyCommand said: no route to 127.0.0.1" {
		t.Errorf("%v (%s)", err, dial.Cause())
	}
	target.ProxyCommand = "false"
	if _, err = try(t.Context(), target, Options{}); !errors.As(err, &dial) || dial.Cause() != "ProxyCommand ended: exit status 1" {
		t.Errorf("%v (%s)", err, dial.Cause())
	}
	pid := filepath.Join(t.TempDir(), "pid")
	target.ProxyCommand = "sh -c 'trap \"\" HUP; echo $$ >" + pid + "; echo waiting >&2; sleep 1000'"
	if _, err = try(t.Context(), target, Options{Timeout: 500 * time.Millisecond}); !errors.As(err, &dial) || dial.Cause() != "ProxyCommand said: waiting" {
		t.Errorf("%v (%s)", err, dial.Cause())
	}
	poll(t, "the command ends", func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(read(t, pid)))
		return err != nil
	})
}

// TestF2_ProxyCommandTokens: what the shell would read anything into is not put
// into its line.
func TestF2_ProxyCommandTokens(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	for _, target := range []*Target{
		{Name: "gpu1", User: "me", Host: "$(touch " + canary + ")", Port: 22, ProxyCommand: "echo %h"},
		{Name: "gpu1", User: "me", Host: "-oProxyCommand=x", Port: 22, ProxyCommand: "echo %h"},
		{Name: "gpu1", User: "`touch " + canary + "`", Host: "gpu1", Port: 22, ProxyCommand: "echo %r"},
		{Name: "$(touch " + canary + ")", User: "me", Host: "gpu1", Port: 22, ProxyCommand: "echo %n"},
	} {
		target.IdentityAgent = "none"
		if _, err := Connect(t.Context(), target, Options{Timeout: time.Second}); err == nil {
			t.Errorf("%+v connected", target)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a name was run")
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("user me\nhostname gpu1\nport 22\nuserknownhostsfile /a /b c\nproxyjump a,b\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		target, _, err := parseSettings(out, name{host: "gpu1"})
		if err == nil && (target.Host == "" || target.User == "" || target.Port < 1 || target.Port > 65535) {
			t.Errorf("%q: %+v", out, target)
		}
	})
}
