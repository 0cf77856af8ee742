package holder

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/internal/sshd"
	"nbremote/sshx"
)

// TestMain lets the test's own program be the background process that Ensure
// starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		os.Exit(serveChild())
	}
	if len(os.Args) > 1 && os.Args[1] == NoticeCommand { // else a notice would be another run of all tests
		os.Exit(0)
	}
	// What is started on "hosts" reads no files of this account, and leaves none.
	home, err := os.MkdirTemp("", "nbr-home-")
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	code := m.Run()
	hostHomes = append(hostHomes, home)
	for _, home := range hostHomes {
		leaveHost(home)
	}
	os.RemoveAll(home)
	os.Exit(code)
}

// hostHomes are the homes of the test hosts; leaveHost ends what still runs there.
var (
	hostHomes []string
	leaveHost = func(home string) {}
)

func serveChild() int {
	var spec Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := Serve(context.Background(), spec, "test", os.Stderr, func() { fmt.Println("ready"); os.Stdout.Close() }); err != nil {
		return 1
	}
	return 0
}

// rig is one embedded SSH server and what a holder of it needs.
type rig struct {
	t      *testing.T
	server *sshd.Server
	place  Place
	target *sshx.Target
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, settings ...func(*sshd.Server)) *rig {
	t.Helper()
	place := newPlace(t)
	r := &rig{t: t, place: place, log: &lockedBuffer{}}
	r.server, r.target = newServer(t, place.State, "gpu1", settings...)
	return r
}

// withPassword is a server that a person must sign in to.
func withPassword(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, func(s *sshd.Server) {
		s.Password = func(_, password string) bool { return password == "secret" }
	})
	r.target.IdentityFiles = nil
	return r
}

func newPlace(t *testing.T) Place {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	place := Place{Run: filepath.Join(dir, "r"), State: filepath.Join(dir, "s")}
	for _, d := range []string{place.Run, place.State} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return place
}

// newServer starts a server that one key may sign in to, and the target it is.
func newServer(t *testing.T, dir, name string, settings ...func(*sshd.Server)) (*sshd.Server, *sshx.Target) {
	t.Helper()
	hostKey, _, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	userKey, raw, err := sshd.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	server := &sshd.Server{HostKeys: []ssh.Signer{hostKey}, AuthorizedKeys: []ssh.PublicKey{userKey.PublicKey()}}
	for _, set := range settings {
		set(server)
	}
	if err := server.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if block, _ := pem.Decode(raw); block == nil {
		t.Fatal("NewKey gave no PEM")
	}
	keyFile := filepath.Join(dir, name+".key")
	if err := os.WriteFile(keyFile, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	host, portText, _ := net.SplitHostPort(server.Address())
	port, _ := strconv.Atoi(portText)
	known := filepath.Join(dir, name+".known_hosts")
	line := fmt.Sprintf("[%s]:%d %s", host, port, ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	if err := os.WriteFile(known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return server, &sshx.Target{
		Name: name, User: me.Username, Host: host, Port: port, IdentityFiles: []string{keyFile}, IdentitiesOnly: true,
		IdentityAgent: "none", UserKnownHosts: []string{known}, StrictHostKeyChecking: "ask", PubkeyAuth: true,
		PasswordAuth: true, KbdAuth: true,
	}
}

// serve runs a holder in this process and gives its client.
func (r *rig) serve() *Client {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Spec{Place: r.place, Target: r.target, ConnectTimeout: 5 * time.Second}, "test", r.log, func() { close(ready) })
	}()
	r.t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			r.t.Error("the holder does not end")
		}
		if r.t.Failed() {
			r.t.Logf("log of the holder:\n%s", r.log)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		r.t.Fatalf("Serve: %v", err)
	}
	return ByKey(r.place, r.target.Key())
}

// up attaches and waits until the line is up.
func up(t *testing.T, c *Client) *Attachment {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	a, err := c.Attach(context.Background(), AttachOptions{Alias: "gpu1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	waitEvent(t, ctx, a, "up")
	return a
}

func waitEvent(t *testing.T, ctx context.Context, a *Attachment, kind string) Event {
	t.Helper()
	type result struct {
		e   Event
		err error
	}
	for {
		got := make(chan result, 1)
		go func() { e, err := a.Next(ctx); got <- result{e, err} }()
		select {
		case r := <-got:
			if r.err != nil {
				t.Fatalf("wait for %q: %v", kind, r.err)
			}
			if r.e.Kind == kind {
				return r.e
			}
			if r.e.Kind == "error" {
				t.Fatalf("wait for %q: %v", kind, r.e.Error)
			}
		case <-ctx.Done():
			t.Fatalf("wait for %q: %v", kind, ctx.Err())
		}
	}
}

// until polls a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
