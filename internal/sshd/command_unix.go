//go:build unix

package sshd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// groupLook is how often we look whether a process group still has members.
const groupLook = time.Second

// command is a started command and our ends of its pipes or its terminal.
type command struct {
	server   *Server
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	stdout   io.ReadCloser
	stderr   io.ReadCloser // nil on a terminal
	terminal *os.File      // nil without one
}

// run starts a command in a process group of its own; with a terminal, in a
// session of its own.
func (s *Server) run(line *string, env []string, terminal *size) (*command, error) {
	shell := s.shell()
	cmd := exec.Command(shell)
	cmd.Args = []string{"-" + filepath.Base(shell)}
	if line != nil {
		cmd.Args = []string{filepath.Base(shell), "-c", *line}
	}
	cmd.Env, cmd.Dir = env, s.dir(env)
	c := &command{server: s, cmd: cmd}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("start a command: the server is closed")
	}
	var err error
	if terminal != nil {
		err = c.startOnTerminal(*terminal)
	} else {
		err = c.startOnPipes()
	}
	if err != nil {
		return nil, fmt.Errorf("start a command: %w", err)
	}
	s.commands[c] = true
	return c, nil
}

func (c *command) startOnPipes() error {
	var files [6]*os.File
	for i := 0; i < 6; i += 2 {
		var err error
		if files[i], files[i+1], err = os.Pipe(); err != nil {
			closeAll(files[:i])
			return err
		}
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = files[0], files[3], files[5]
	c.stdin, c.stdout, c.stderr = files[1], files[2], files[4]
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		closeAll(files[:])
		return err
	}
	closeAll([]*os.File{files[0], files[3], files[5]})
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (c *command) startOnTerminal(z size) error {
	terminal, tty, err := openTerminal()
	if err != nil {
		return err
	}
	defer tty.Close()
	c.terminal, c.stdin, c.stdout = terminal, terminal, terminal
	c.resize(z)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, tty, tty
	c.cmd.Env = append(c.cmd.Env, "SSH_TTY="+tty.Name())
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err = c.cmd.Start(); err != nil {
		terminal.Close()
	}
	return err
}

func (c *command) resize(z size) bool {
	return c.terminal != nil && setSize(c.terminal, z) == nil
}

// endInput passes the end of the client's bytes on. A terminal has no half to
// close.
func (c *command) endInput() {
	if c.terminal == nil {
		c.stdin.Close()
	}
}

// hangUp takes our ends away: the command cannot write, on a terminal it gets
// SIGHUP from the kernel. Its input ends once all that had come is read.
func (c *command) hangUp() {
	c.stdout.Close()
	if c.terminal != nil {
		c.cmd.Process.Signal(syscall.SIGHUP) // where a read in progress keeps the terminal open
	}
	if c.stderr != nil {
		c.stderr.Close()
	}
}

var signals = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT, "ALRM": syscall.SIGALRM, "FPE": syscall.SIGFPE, "HUP": syscall.SIGHUP,
	"ILL": syscall.SIGILL, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT, "SEGV": syscall.SIGSEGV, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2,
}

// signal sends a signal, by its SSH name, to the command's process group.
func (c *command) signal(name string) bool {
	sig, known := signals[name]
	return known && c.signalGroup(sig) == nil
}

func (c *command) signalGroup(sig syscall.Signal) error {
	return syscall.Kill(-c.cmd.Process.Pid, sig)
}

// kill ends the process group.
func (c *command) kill() {
	c.signalGroup(syscall.SIGKILL)
	c.stdin.Close()
	c.hangUp()
}

// wait returns the message that says how the command ended.
func (c *command) wait() (name string, message []byte) {
	c.cmd.Wait()
	c.server.running.Go(c.forget)
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return "exit-status", ssh.Marshal(struct{ Status uint32 }{uint32(c.cmd.ProcessState.ExitCode())})
	}
	m := struct {
		Name     string
		Core     bool
		Text, In string
	}{Name: "TERM", Core: status.CoreDump(), Text: status.Signal().String()}
	for n, sig := range signals {
		if sig == status.Signal() {
			m.Name = n
		}
	}
	return "exit-signal", ssh.Marshal(m)
}

// forget drops the command once its process group is empty. From then on the
// system may give its number to others, so it must not stay on the list of
// what Close kills.
func (c *command) forget() {
	tick := time.NewTicker(groupLook)
	defer tick.Stop()
	for c.signalGroup(0) == nil {
		select {
		case <-tick.C:
		case <-c.server.done:
			return
		}
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.commands, c)
}
