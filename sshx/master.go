package sshx

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// master is an ssh of ours that signs in and then shares its connection over a
// socket (ssh_config(5), ControlMaster).
type master struct {
	cmd   *exec.Cmd
	stdin io.Closer // ends it when it is closed, be it by our death
	sock  string
	temp  string // a directory to remove, or ""
	words *heard
	once  sync.Once
	over  chan struct{}
}

// masterScript runs ssh and ends it with its own stdin.
const masterScript = `exec 3<&0 </dev/null
"$@" 3<&- & p=$!
{ read x <&3; kill $p; } >/dev/null 2>&1 & r=$!
wait $p; s=$?
kill $r 2>/dev/null
exit $s`

// startMaster starts ssh; it asks, where it must, by the SSH_ASKPASS of our
// environment.
func startMaster(t *Target, opts *Options) (*master, error) {
	m := &master{over: make(chan struct{}), words: &heard{notice: opts.notice, left: maxBanner}}
	dir := opts.Dir
	if dir == "" {
		var err error
		if m.temp, err = os.MkdirTemp("", "nbr-"); err != nil {
			return nil, err
		}
		dir = m.temp
	}
	m.sock = filepath.Join(dir, "m"+rand.Text()[:7]) // ssh adds 17 characters, and 104 is all there is
	m.cmd = exec.Command("/bin/sh", append([]string{"-c", masterScript, "sh", t.program()}, t.masterArguments(m.sock, opts)...)...)
	m.cmd.Stderr, m.cmd.WaitDelay = m.words, time.Second
	m.cmd.Env = append(os.Environ(), insideEnv+"=1")
	ownSession(m.cmd)
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		os.RemoveAll(m.temp)
		return nil, err
	}
	go func() {
		m.cmd.Wait()
		os.Remove(m.sock)
		if m.temp != "" {
			os.RemoveAll(m.temp)
		}
		close(m.over)
	}()
	return m, nil
}

// masterArguments have ssh do nothing but hold the connection. What the
// command line says wins over ssh_config.
func (t *Target) masterArguments(sock string, opts *Options) []string {
	args := []string{"-M", "-N", "-T", "-S", sock}
	if t.ConfigFile != "" {
		args = append(args, "-F", t.ConfigFile)
	}
	settings := []string{
		"ControlMaster=yes", "ControlPersist=no", "ClearAllForwardings=yes", "RemoteCommand=none", "RequestTTY=no",
		"PermitLocalCommand=no", "ForwardAgent=no", "ForwardX11=no", "Tunnel=no", "LogLevel=VERBOSE",
		"VerifyHostKeyDNS=no", "UpdateHostKeys=no", // neither DNS nor a server vouches for other keys
		"ServerAliveInterval=15", "ServerAliveCountMax=3", "ConnectTimeout=" + strconv.Itoa(max(1, int(opts.timeout().Seconds()))),
	}
	if !opts.childMayAsk() {
		settings = append(settings, "BatchMode=yes")
		if t.namesFIDO() { // it would wait for a touch all the same
			settings = append(settings, "PubkeyAcceptedKeyTypes=-sk-*") // the name that old ones know too
		}
	}
	if t.strict() == "no" { // a changed key stops us all the same
		settings = append(settings, "StrictHostKeyChecking=accept-new")
		pins := []string{quotePath(PinFile(filepath.Dir(sock), t))} // ssh appends to the first
		for _, file := range t.UserKnownHosts {
			pins = append(pins, quotePath(file))
		}
		settings = append(settings, "UserKnownHostsFile="+strings.Join(pins, " "))
	}
	switch {
	case opts.DialCommand != "":
		settings = append(settings, "ProxyCommand="+strings.ReplaceAll(opts.DialCommand, "%", "%%"))
	case t.Via != nil:
		settings = append(settings, "ProxyJump="+t.jumps())
	case t.ProxyCommand == "":
		settings = append(settings, "ProxyCommand=none")
	}
	for _, s := range settings {
		args = append(args, "-o", s)
	}
	return append(args, "-l", t.User, "-p", strconv.Itoa(t.Port), "--", t.asked())
}

// childMayAsk says whether what an ssh of ours asks reaches a person.
func (o *Options) childMayAsk() bool { return o.Ask != nil && o.Asking != nil }

// jumps are the gateways on the way, as ssh's -J takes them: it signs in to them
// itself.
func (t *Target) jumps() string {
	var names []string
	for hop := t.Via; hop != nil; hop = hop.Via {
		names = append([]string{hop.Name}, names...)
	}
	return strings.Join(names, ",")
}

// PinFile is where ssh keeps the host keys that StrictHostKeyChecking no let
// in; whoever owns dir removes it.
func PinFile(dir string, t *Target) string { return filepath.Join(dir, t.Key()+".pins") }

func quotePath(path string) string { return `"` + path + `"` }

// asked is the name that ssh knows the target by.
func (t *Target) asked() string {
	if t.SSHName != "" {
		return t.SSHName
	}
	return t.Host
}

// runMaster connects by an ssh of ours. What that asks, and whether a person
// answered, is known to whoever serves its SSH_ASKPASS.
func (a *attempt) runMaster() (*Conn, error) {
	m, err := startMaster(a.target, &a.opts)
	if err != nil {
		return nil, err
	}
	watching := a.stopClockWhileAsking()
	raw, err := m.connect(a.ctx)
	watching()
	if err != nil {
		m.end()
		if a.ctx.Err() == nil {
			return nil, a.masterFailed(m.words)
		}
		e := &DialError{Name: a.target.Name, Address: a.target.Address(), Phase: PhaseDial, After: a.clock.limit(), because: m.words.cause()}
		return nil, e
	}
	signed := Signed{Method: "ssh"}
	if methods := m.words.methods(); methods != "" {
		signed.Method = "ssh: " + methods
	}
	return muxConn(a.ctx, a.target.Name, a.opts.timeout(), &masterConn{Conn: raw, master: m}, signed)
}

// stopClockWhileAsking lets no time pass while a child asks a person, until end
// is called.
func (a *attempt) stopClockWhileAsking() (end func()) {
	if a.opts.Asking == nil {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for asking := false; ; {
			select {
			case <-tick.C:
			case <-stop:
				if asking {
					a.clock.start(0)
				}
				return
			}
			before := asking
			if asking = a.opts.Asking(); asking && !before {
				a.clock.stop()
			} else if before && !asking {
				a.clock.start(a.opts.timeout() / 3)
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// connect waits until ssh has signed in and listens.
func (m *master) connect(ctx context.Context) (net.Conn, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("unix", m.sock); err == nil {
			return conn, nil
		}
		select {
		case <-tick.C:
		case <-m.over:
			return nil, errors.New("it ended")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// end ends ssh, and a second later for certain.
func (m *master) end() {
	m.once.Do(func() {
		m.stdin.Close()
		limit := time.NewTimer(time.Second)
		defer limit.Stop()
		select {
		case <-m.over:
			return
		case <-limit.C:
		}
		endGroup(m.cmd, true)
		<-m.over
	})
}

// masterConn is our connection to a master of ours, and its life.
type masterConn struct {
	net.Conn
	master *master
}

// Read gives what ssh said when it has ended the connection.
func (c *masterConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != io.EOF {
		return n, err
	}
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	select {
	case <-c.master.over:
	case <-moment.C:
	}
	if last := c.master.words.cause(); last != "" {
		err = errors.New("ssh said: " + last)
	}
	return n, err
}

func (c *masterConn) Close() error {
	err := c.Conn.Close()
	c.master.end()
	return err
}
