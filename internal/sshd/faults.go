package sshd

import "golang.org/x/crypto/ssh"

// Faults is what a server does wrong. The zero value does all right.
type Faults struct {
	Silent            bool               // accept connections, never speak
	StopAfter         int64              // bytes of a connection that reach the client; the rest is swallowed. 0 = all
	CloseAfterAuth    bool               // hang up as soon as the client is signed in
	Hang              string             // where to stop answering: HangAtAuth, HangAtOpen, HangAtExec
	Refuse            map[string]Refusal // by channel type: Session, TCP, Unix
	MaxSessions       int                // open session channels of one connection; 0 = any number, -1 = none
	SwallowKeepalives bool               // no answer to global requests
	ErrorOnExec       bool               // say no to exec and shell requests
}

// Where a server can stop answering.
const (
	HangAtAuth = "auth"
	HangAtOpen = "open"
	HangAtExec = "exec"
)

// Channel types a server knows.
const (
	Session = "session"
	TCP     = "direct-tcpip"
	Unix    = "direct-streamlocal@openssh.com"
)

// Refusal is the answer to opening a channel.
type Refusal struct {
	Reason ssh.RejectionReason // 0 = ssh.Prohibited
	Text   string              // "" = "open failed", as OpenSSH says
}

// SetFaults replaces what goes wrong from now on; StopAfter and Silent count
// for new connections only.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Faults = f
}

func (s *Server) faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Faults
}

// Connections is how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Accepted is how many connections there ever were.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// CutAll ends the open connections; new ones are welcome.
func (s *Server) CutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Freeze stops all bytes both ways, of new connections too, until Thaw: a
// stopped machine, or a line that swallows everything. Nothing is lost.
func (s *Server) Freeze() { s.gate.shut() }

// Thaw lets the bytes go on after Freeze.
func (s *Server) Thaw() { s.gate.open() }

// refusal says whether, and how, a channel is to be refused.
func (f Faults) refusal(kind string) (Refusal, bool) {
	r, refused := f.Refuse[kind]
	if !refused {
		return r, false
	}
	if r.Reason == 0 {
		r.Reason = ssh.Prohibited
	}
	if r.Text == "" {
		r.Text = "open failed"
	}
	return r, true
}
