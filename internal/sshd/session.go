package sshd

import (
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// session is one session channel: requests that prepare, then one command
// (RFC 4254 section 6).
type session struct {
	peer     *peer
	channel  ssh.Channel
	env      []string
	terminal *size // nil = no pty was asked for
	command  *command
	then     func() // to run once the request is answered: the answer comes before any output
}

// size of a terminal, in characters.
type size struct{ columns, rows uint32 }

// session serves a channel until the client is done with it. Its command may
// live longer: like sshd we only close its pipes or its terminal.
func (p *peer) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	s := &session{peer: p, channel: ch}
	for r := range requests {
		if (r.Type == "exec" || r.Type == "shell") && p.server.faults().Hang == HangAtExec {
			continue
		}
		ok := s.request(r)
		if r.WantReply {
			r.Reply(ok, nil)
		}
		if s.then != nil {
			p.server.running.Go(s.then)
			s.then = nil
		}
	}
	ch.Close()
	if s.command != nil {
		s.command.hangUp()
	}
}

func (s *session) request(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		return s.setenv(r.Payload)
	case "pty-req":
		return s.askedTerminal(r.Payload)
	case "window-change":
		return s.resize(r.Payload)
	case "exec":
		var m struct{ Command string }
		return ssh.Unmarshal(r.Payload, &m) == nil && s.start(&m.Command)
	case "shell":
		return s.start(nil)
	case "signal":
		var m struct{ Name string }
		return ssh.Unmarshal(r.Payload, &m) == nil && s.command != nil && s.command.signal(m.Name)
	}
	return false
}

func (s *session) setenv(payload []byte) bool {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(payload, &m) != nil || strings.ContainsRune(m.Name+m.Value, 0) {
		return false
	}
	patterns := s.peer.server.AcceptEnv
	if patterns == nil {
		patterns = []string{"LANG", "LC_*"}
	}
	for _, pattern := range patterns {
		if ok, _ := path.Match(pattern, m.Name); ok {
			s.env = append(s.env, m.Name+"="+m.Value)
			return true
		}
	}
	return false
}

func (s *session) askedTerminal(payload []byte) bool {
	var m struct {
		Term          string
		Columns, Rows uint32
		Width, Height uint32
		Modes         string
	}
	if ssh.Unmarshal(payload, &m) != nil || s.command != nil {
		return false
	}
	s.terminal = &size{m.Columns, m.Rows}
	s.env = append(s.env, "TERM="+m.Term)
	return true
}

func (s *session) resize(payload []byte) bool {
	var m struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &m) != nil || s.command == nil {
		return false
	}
	return s.command.resize(size{m.Columns, m.Rows})
}

// start runs a command by the shell, or with nil a login shell.
func (s *session) start(line *string) bool {
	server := s.peer.server
	if s.command != nil || server.faults().ErrorOnExec {
		return false
	}
	c, err := server.run(line, s.environment(), s.terminal)
	if err != nil {
		s.then = func() { s.couldNotStart(err) }
		return true
	}
	s.command = c
	s.then = func() { c.serve(&server.running, s.channel) }
	return true
}

func (s *session) couldNotStart(err error) {
	fmt.Fprintf(s.channel.Stderr(), "%v\r\n", err)
	s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{255}))
	s.channel.Close()
}

func (s *session) environment() []string {
	server := s.peer.server
	env := server.Env
	if env == nil {
		env = os.Environ()
	}
	clientHost, clientPort, _ := net.SplitHostPort(s.peer.conn.RemoteAddr().String())
	ourHost, ourPort, _ := net.SplitHostPort(s.peer.conn.LocalAddr().String())
	user := s.peer.conn.User()
	return append(append([]string{"USER=" + user, "LOGNAME=" + user}, env...), append(s.env,
		"SHELL="+server.shell(),
		fmt.Sprintf("SSH_CLIENT=%s %s %s", clientHost, clientPort, ourPort),
		fmt.Sprintf("SSH_CONNECTION=%s %s %s %s", clientHost, clientPort, ourHost, ourPort))...)
}

func (s *Server) shell() string {
	if s.Shell == "" {
		return "/bin/sh"
	}
	return s.Shell
}

// dir is where commands start.
func (s *Server) dir(env []string) string {
	if s.Dir != "" {
		return s.Dir
	}
	dir := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "HOME="); ok {
			dir = v
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "/"
	}
	return dir
}

// serve carries a command's output to the channel and the channel's bytes to
// its input, tells how it ended, and closes the channel once all its output
// was sent: like sshd, that is when the last who holds the pipes lets go.
func (c *command) serve(running *sync.WaitGroup, ch ssh.Channel) {
	running.Go(func() {
		if _, err := io.Copy(c.stdin, ch); err != nil {
			io.Copy(io.Discard, ch)
		}
		c.endInput()
	})
	var outputs sync.WaitGroup
	outputs.Go(func() { copyOutput(ch, c.stdout) })
	outputs.Go(func() { copyOutput(ch.Stderr(), c.stderr) })
	exited := make(chan struct{})
	running.Go(func() {
		defer close(exited)
		name, message := c.wait()
		ch.SendRequest(name, false, message)
		c.endInput()
	})
	outputs.Wait()
	ch.CloseWrite()
	<-exited
	ch.Close()
}

// copyOutput ends with the reader closed, so that a command whose client has
// gone learns of it when it writes.
func copyOutput(to io.Writer, from io.ReadCloser) {
	if from == nil {
		return
	}
	io.Copy(to, from)
	from.Close()
}
