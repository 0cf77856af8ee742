package cli

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/internal/session"
	"nbremote/internal/sshd"
	"nbremote/sshx"
)

// demoCmd shows the whole of it on this computer: an SSH server of ours on
// loopback with a key made for it, this machine as the host, and the ordinary
// open on top.
type demoCmd struct {
	NoBrowser    bool          `help:"Open no browser; print the address with its token."`
	StartTimeout time.Duration `default:"60s" help:"How long Jupyter may take to start."`
	Env          string        `help:"Python environment that has Jupyter: a name or a path." placeholder:"ENV"`
}

// demoHost is the name of this machine in the demo, and of its session.
const demoHost = "demo"

// Run opens, waits for Ctrl-C, and takes everything away again.
func (c *demoCmd) Run(a *app) error {
	dir, err := os.MkdirTemp("", "nbr-") // short: a socket's path has 104 bytes at most
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	target, server, err := demoServer(a.ctx, dir)
	if err != nil {
		return fmt.Errorf("start the SSH server of the demo: %w", err)
	}
	defer server.Close()
	if a.place, err = demoPlace(dir); err != nil {
		return err
	}
	a.target, a.relayIdle = target, time.Second
	defer a.endDemo()
	a.ui.Note("An SSH server of our own runs on " + target.Address() + "; this computer plays the remote machine.")
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	open := &openCmd{
		Host: demoHost, Name: demoHost, Env: c.Env, UI: "lab", NoBrowser: c.NoBrowser, Foreground: true, demo: true,
		ConnectTimeout: 15 * time.Second, StartTimeout: c.StartTimeout,
	}
	return open.run(a, demoWhere(here))
}

func demoWhere(dir string) where { return where{Host: demoHost, Session: demoHost, Path: dir} }

func demoPlace(dir string) (holder.Place, error) {
	p := holder.Place{Run: filepath.Join(dir, "r"), State: filepath.Join(dir, "s")}
	return p, errors.Join(os.Mkdir(p.Run, 0o700), os.Mkdir(p.State, 0o700))
}

// demoServer starts the SSH server with one host key and one key that may sign
// in, and gives the target that it is.
func demoServer(ctx context.Context, dir string) (*sshx.Target, *sshd.Server, error) {
	me, err := user.Current()
	if err != nil {
		return nil, nil, err
	}
	_, hostKey, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	raw, userKey, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	server := &sshd.Server{Addr: "127.0.0.1:0", HostKeys: []ssh.Signer{hostKey}, AuthorizedKeys: []ssh.PublicKey{userKey.PublicKey()}}
	if err := server.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, nil, err
	}
	host, portText, err := net.SplitHostPort(server.Address())
	if err != nil {
		return nil, nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, nil, err
	}
	keyFile, knownHosts := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	known := fmt.Sprintf("[%s]:%d %s", host, port, ssh.MarshalAuthorizedKey(hostKey.PublicKey()))
	if err := errors.Join(os.WriteFile(keyFile, raw, 0o600), os.WriteFile(knownHosts, []byte(known), 0o600)); err != nil {
		return nil, nil, err
	}
	return &sshx.Target{
		Name: demoHost, User: me.Username, Host: host, Port: port, IdentityFiles: []string{keyFile}, IdentitiesOnly: true,
		IdentityAgent: "none", UserKnownHosts: []string{knownHosts}, StrictHostKeyChecking: "yes", PubkeyAuth: true,
	}, server, nil
}

// newKey makes an ed25519 key, and its OpenSSH file.
func newKey() ([]byte, ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "nbremote demo")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return pem.EncodeToMemory(block), signer, err
}

// endDemo ends the session and the holder, within a limit; Ctrl-C, pressed as
// often as one likes, does not keep it from doing so.
func (a *app) endDemo() {
	tidying.Store(true)
	defer tidying.Store(false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 20*time.Second)
	defer cancel()
	client, err := holder.Find(a.place, demoWhere("").alias())
	if err != nil {
		return // it has not come so far
	}
	step := a.ui.Start("ended", "ending the demo")
	if err := errors.Join(forget(ctx, client), client.Close(ctx), waitGone(ctx, client), session.Leave(ctx, remote.Local{})); err != nil {
		step.Fail("")
		a.ui.Error(fmt.Errorf("end the demo: %w", err), "")
		return
	}
	step.Done("Jupyter, its session and the SSH server")
	a.startedHere = ""
}

// forget leaves time for the rest: a holder whose host does not answer ends too.
func forget(ctx context.Context, client *holder.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	return session.Forget(ctx, client, demoHost)
}
