package lab

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	program  = "/usr/local/bin/nbremote"
	urlsFile = "/home/me/opened"
)

// browser stands in for the person's browser: it writes down what it is asked
// to open.
const browser = `#!/bin/sh
printf '%s\n' "$1" >>` + urlsFile + `
`

// furnish makes the laptop somebody's: account, key, ssh_config, known_hosts,
// nbremote and a browser.
func (l *Lab) furnish() {
	l.t.Helper()
	m := l.Laptop
	m.AddAccount(Account{Name: Me})
	m.WriteFile(Me, "/home/me/.ssh/id_ed25519", l.key.PEM)
	m.WriteFile(Me, "/home/me/.ssh/id_ed25519.pub", l.key.Public)
	m.WriteFile(Me, "/home/me/.ssh/config", l.SSHConfig())
	if !l.chain.Unknown {
		m.WriteFile(Me, "/home/me/.ssh/known_hosts", l.KnownHosts())
	}
	m.WriteMode("root", "/usr/local/bin/lab-browser", browser, 0o755)
	if l.Binary != "" {
		l.install()
	}
}

func (l *Lab) install() {
	l.t.Helper()
	// By cp, because a file that this process has open for writing is busy in
	// each child that is just being forked, and cannot be started.
	out, err := exec.Command("cp", l.Binary, l.Laptop.Path(program)).CombinedOutput()
	must(l.t, err, "install nbremote: %s", out)
	must(l.t, os.Chmod(l.Laptop.Path(program), 0o755), "install nbremote")
	l.t.Cleanup(l.races)
}

// races fails the test when nbremote, built with -race, saw one, be it in a
// process that nobody waited for.
func (l *Lab) races() {
	entries, _ := os.ReadDir(l.Laptop.Path("/tmp"))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "race.") {
			l.t.Errorf("data race in nbremote:\n%s", tail(l.Laptop.ReadFile("/tmp/"+e.Name())))
		}
	}
}

// SSHConfig is the laptop's ssh_config: each machine by its name, through the
// gateways before it.
func (l *Lab) SSHConfig() string {
	var b strings.Builder
	via := ""
	for _, m := range l.servers() {
		b.WriteString("Host " + m.Name + "\n  HostName " + m.Addr + "\n  User me\n")
		if via != "" {
			b.WriteString("  ProxyJump " + via + "\n")
		}
		if strings.HasPrefix(m.Name, "gw") {
			via = m.Name
		}
	}
	return b.String()
}

// KnownHosts is a known_hosts file with every machine's keys.
func (l *Lab) KnownHosts() string {
	var b strings.Builder
	for _, m := range l.servers() {
		b.WriteString(m.KnownHosts(m.Addr))
	}
	return b.String()
}

// Reach has a name of the laptop's ssh_config mean another address, behind
// which are a machine's host keys.
func (l *Lab) Reach(name string, addr net.Addr, m *Machine) {
	l.t.Helper()
	host, port, err := net.SplitHostPort(addr.String())
	must(l.t, err, "reach %s", name)
	config := "Host " + name + "\n  HostName " + host + "\n  Port " + port + "\n  User me\n"
	l.Laptop.WriteFile(Me, "/home/me/.ssh/config", config+l.Laptop.ReadFile("/home/me/.ssh/config"))
	known := l.Laptop.ReadFile("/home/me/.ssh/known_hosts")
	l.Laptop.WriteFile(Me, "/home/me/.ssh/known_hosts", known+m.KnownHosts("["+host+"]:"+port))
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Exit           int // as a shell says it: 130 for SIGINT
	Took           time.Duration
}

// Job is an nbremote command that runs on the laptop.
type Job struct {
	cmd    *Cmd
	stdout Text
	stderr Text
	ended  chan struct{}
	result Result
	cancel context.CancelFunc
	l      *Lab
}

// Limit is how long a command of the lab may take before the test fails.
const Limit = 2 * time.Minute

// Command is nbremote with arguments on the laptop, not yet started: Env, Dir
// and Stdin may be changed. Env starts as the account's own, with the browser
// that writes addresses down.
func (l *Lab) Command(ctx context.Context, args ...string) *Cmd {
	l.t.Helper()
	cmd := l.Laptop.As(ctx, Me, append([]string{program}, args...)...)
	cmd.Env = append(cmd.Env, "BROWSER=lab-browser", "GORACE=log_path=/tmp/race")
	return cmd
}

// Run runs nbremote on the laptop and waits for its end.
func (l *Lab) Run(args ...string) Result {
	l.t.Helper()
	return l.Start(args...).Wait()
}

// RunEnv is Run with more environment, "KEY=VALUE".
func (l *Lab) RunEnv(env []string, args ...string) Result {
	l.t.Helper()
	return l.StartEnv(env, args...).Wait()
}

// Must is Run for a command that has to succeed.
func (l *Lab) Must(args ...string) Result {
	l.t.Helper()
	r := l.Run(args...)
	if r.Exit != 0 {
		l.t.Fatalf("nbremote %s: exit %d\n%s%s", strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	}
	return r
}

// Start starts nbremote on the laptop, without a terminal.
func (l *Lab) Start(args ...string) *Job {
	l.t.Helper()
	return l.StartEnv(nil, args...)
}

// StartEnv is Start with more environment, "KEY=VALUE".
func (l *Lab) StartEnv(env []string, args ...string) *Job {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	j := &Job{ended: make(chan struct{}), cancel: cancel, l: l}
	j.cmd = l.Command(ctx, args...)
	j.cmd.Env = append(j.cmd.Env, env...)
	j.cmd.Stdout, j.cmd.Stderr = &j.stdout, &j.stderr
	j.begin()
	return j
}

func (j *Job) begin() {
	j.l.t.Helper()
	since := time.Now()
	must(j.l.t, j.cmd.Start(), "start nbremote")
	go func() {
		err := j.cmd.Wait()
		j.result = Result{Stdout: j.stdout.String(), Stderr: j.stderr.String(),
			Exit: exitCode(err), Took: time.Since(since)}
		close(j.ended)
	}()
	j.l.t.Cleanup(func() { j.cancel(); <-j.ended })
}

// Wait waits for the end.
func (j *Job) Wait() Result {
	<-j.ended
	j.cancel()
	return j.result
}

// Ended reports whether the command has ended.
func (j *Job) Ended() bool {
	select {
	case <-j.ended:
		return true
	default:
		return false
	}
}

// Stdout is what the command has printed so far.
func (j *Job) Stdout() string { return j.stdout.String() }

// Stderr is what the command has told so far.
func (j *Job) Stderr() string { return j.stderr.String() }

// Expect waits until the command has printed or told a text.
func (j *Job) Expect(text string, limit time.Duration) {
	j.l.t.Helper()
	end := time.Now().Add(limit)
	for !strings.Contains(j.Stdout()+j.Stderr(), text) {
		if j.Ended() || time.Now().After(end) {
			j.l.t.Fatalf("waited %v for %q; got:\n%s%s", limit, text, j.Stdout(), j.Stderr())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Signal sends a signal to the command.
func (j *Job) Signal(sig syscall.Signal) { _ = j.cmd.Process.Signal(sig) }

// PID is the command's number, seen from here.
func (j *Job) PID() int { return j.cmd.Process.Pid }

// Opened are the addresses that the browser was asked to open so far.
func (l *Lab) Opened() []string {
	return strings.Fields(l.Laptop.ReadFile(urlsFile))
}

// NextOpened waits until the browser was asked to open more than n addresses
// and returns the newest.
func (l *Lab) NextOpened(n int) string {
	l.t.Helper()
	Wait(l.t, 10*time.Second, "the browser to be opened", func() bool { return len(l.Opened()) > n })
	urls := l.Opened()
	return urls[len(urls)-1]
}

// SSH runs a command on a host by the laptop's own ssh, for comparison.
func (l *Lab) SSH(host, command string) Result {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	cmd := l.Laptop.As(ctx, Me, "/usr/bin/ssh", "-o", "BatchMode=yes", host, command)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	since := time.Now()
	err := cmd.Run()
	return Result{Stdout: out.String(), Stderr: trouble.String(), Exit: exitCode(err), Took: time.Since(since)}
}
