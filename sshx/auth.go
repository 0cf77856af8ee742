package sshx

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// auth chooses, for one attempt, what to sign in with: what the server allows,
// in the order of PreferredAuths, nothing that needs a person when there is
// none.
type auth struct {
	*attempt
	loading chan *identities // gives one, soon; nil once it is in ids
	cancel  context.CancelFunc

	// All below is used by the handshake's goroutine only.
	ids     *identities
	kind    string          // the method under way
	allowed []string        // methods that the server named last
	asked   bool            // a person answered in it
	current string          // what the step under way is called
	steps   []string        // steps that have succeeded
	done    map[string]bool // methods with nothing left to try
	last    *identity       // the key signed with last
	wrong   int             // wrong passwords and codes
	needs   string          // what a person would have had to give
	beyond  string          // the method by which ssh could sign in where we cannot
	fatal   error           // no further method is to be tried
	person  bool            // a person has answered or touched
}

// newAuth starts to look for keys at once: it takes no time from the connection.
func newAuth(a *attempt) *auth {
	ctx, cancel := context.WithCancel(a.ctx)
	u := &auth{attempt: a, loading: make(chan *identities, 1), cancel: cancel, done: map[string]bool{}, ids: &identities{}}
	go func() {
		ids := &identities{}
		if a.target.PubkeyAuth {
			ids = loadIdentities(ctx, a.target, a.opts.LastKey)
		}
		u.loading <- ids
	}()
	return u
}

// close ends the use of the agent.
func (u *auth) close() {
	u.cancel()
	if u.loading != nil {
		u.ids = <-u.loading
	}
	u.ids.agent.close()
}

// signed says how it went, after a success.
func (u *auth) signed() Signed {
	s := Signed{Person: u.person, Method: "none"}
	if u.current != "" {
		s.Method = strings.Join(append(u.steps, u.current), ", ")
	}
	if u.last != nil {
		s.KeyFingerprint = ssh.FingerprintSHA256(u.last.pub)
	}
	return s
}

var openSSHOrder = []string{"publickey", "keyboard-interactive", "password"}

// next is the ssh.ClientAuthCallback: it is called after each failure and each
// partial success.
func (u *auth) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	u.enter(PhaseSignIn)
	u.allowed = c.AllowedMethods
	u.clock.shorten(u.opts.timeout())
	if u.conn.failed.Load() {
		return nil, u.conn.failure()
	}
	if u.fatal != nil {
		return nil, u.fatal
	}
	u.count(len(c.PartialSuccessMethods) > len(u.steps))
	order := u.target.PreferredAuths
	if len(order) == 0 {
		order = openSSHOrder
	}
	for _, method := range order {
		if !slices.Contains(c.AllowedMethods, method) || u.done[method] {
			continue
		}
		if method != "publickey" && u.leaveToSSH(c.AllowedMethods) {
			return nil, errBeyond
		}
		if m := u.method(method); m != nil {
			u.kind = method
			return m, nil
		}
		u.done[method] = true
		if u.fatal != nil {
			return nil, u.fatal
		}
	}
	if u.leaveToSSH(c.AllowedMethods) {
		return nil, errBeyond
	}
	return nil, u.refused(c.AllowedMethods)
}

// leaveToSSH: our keys were refused, and ssh has something else. A sign-in that
// is half done goes on.
func (u *auth) leaveToSSH(allowed []string) bool {
	return u.beyond != "" && len(u.steps) == 0 && !u.person && slices.Contains(allowed, u.beyond)
}

// count takes down how the method under way has ended: as a step of several, or
// with a refusal.
func (u *auth) count(step bool) {
	switch {
	case step:
		u.steps = append(u.steps, u.current)
		u.done, u.wrong = map[string]bool{}, 0
	case u.asked:
		u.wrong++
	case u.kind != "publickey":
		u.done[u.kind] = true
	}
	u.kind, u.asked = "", false
}

// method is what to try next of one kind, or nil.
func (u *auth) method(kind string) ssh.AuthMethod {
	switch {
	case kind == "publickey" && u.target.PubkeyAuth:
		return u.publicKeys()
	case kind == "password" && u.target.PasswordAuth && u.mayAsk("a password"):
		u.current = "password"
		return ssh.PasswordCallback(u.password)
	case kind == "keyboard-interactive" && u.target.KbdAuth && u.mayAsk("a code"):
		u.current = "code"
		return ssh.KeyboardInteractive(u.challenge)
	}
	return nil
}

// mayAsk says whether a person can be asked once more. If there is none, what
// they would have been asked for is kept for the error.
func (u *auth) mayAsk(what string) bool {
	if u.opts.Ask == nil {
		if u.needs == "" || what == "a password" && len(u.steps) == 0 {
			u.needs = what
		}
		return false
	}
	return u.wrong < maxTries
}

// publicKeys offers all keys that have not had their turn, in one method.
func (u *auth) publicKeys() ssh.AuthMethod {
	if !u.load() {
		return nil
	}
	var signers []ssh.Signer
	for _, id := range u.ids.ready {
		if id.offered {
			continue
		}
		if id.touch && u.opts.Ask == nil {
			u.needs = "a touch of a security key"
			continue
		}
		signers = append(signers, &offer{id: id, sign: u.sign})
	}
	if len(signers) == 0 {
		return u.lateKey()
	}
	return ssh.PublicKeys(signers...)
}

// load waits for the keys, as long as the attempt lasts.
func (u *auth) load() bool {
	if u.loading == nil {
		return true
	}
	select {
	case u.ids = <-u.loading:
		u.loading = nil
		return true
	case <-u.ctx.Done():
		u.fatal = context.Cause(u.ctx)
		return false
	}
}

// lateKey unlocks a key file whose public half cannot be known before, once
// all others have been refused.
func (u *auth) lateKey() ssh.AuthMethod {
	for len(u.ids.late) > 0 && u.fatal == nil {
		f := u.ids.late[0]
		u.ids.late = u.ids.late[1:]
		if err := u.unlock(f); err != nil {
			continue
		}
		id := &identity{name: f.name(), pub: f.pub, file: f}
		u.ids.ready = append(u.ids.ready, id)
		return ssh.PublicKeys(&offer{id: id, sign: u.sign})
	}
	return nil
}

// sign is called for a key that the server would take.
func (u *auth) sign(id *identity, data []byte, algo string) (*ssh.Signature, error) {
	u.last, u.current = id, id.name
	if id.agent {
		u.current = "agent"
		return u.signByAgent(id, data, algo)
	}
	if id.file.locked() {
		if err := u.unlock(id.file); err != nil {
			return nil, err
		}
	}
	u.addToAgent(id.file)
	signer, ok := id.file.signer.(ssh.AlgorithmSigner)
	if !ok || algo == "" {
		return id.file.signer.Sign(rand.Reader, data)
	}
	return signer.SignWithAlgorithm(rand.Reader, data, algo)
}

func (u *auth) signByAgent(id *identity, data []byte, algo string) (*ssh.Signature, error) {
	limit := agentLimit
	if u.opts.Ask != nil {
		limit = touchLimit
	}
	u.clock.stop()
	defer u.clock.start(0)
	if id.touch {
		defer u.askTouch(id.name)()
	}
	start := time.Now()
	sig, err := u.ids.agent.sign(u.ctx, limit, id.signKey, data, algo)
	if err != nil {
		u.ids.unused = append(u.ids.unused, id.name+" ("+oneLine(err.Error())+")")
	}
	// The agent does not say that it asks (ssh-add -c): no machine takes so long.
	if id.touch || time.Since(start) > max(personTime, 10*u.ids.agent.listed) {
		u.person = true
	}
	return sig, err
}

// give ends the sign-in with err.
func (u *auth) give(err error) error {
	u.fatal = err
	return err
}

func (u *auth) failed() *AuthError {
	e := &AuthError{Name: u.target.Name, User: u.target.User, Unused: u.ids.unused, Wrong: u.wrong}
	for _, id := range u.ids.ready {
		if id.offered {
			e.Offered = append(e.Offered, id.name)
		}
	}
	return e
}

// refused is the error when nothing is left to try.
func (u *auth) refused(allowed []string) error {
	e := u.failed()
	if e.Needs = u.needs; u.needs != "" {
		e.Err = ErrNobodyToAsk
		return e
	}
	ours := slices.ContainsFunc(allowed, func(m string) bool { return slices.Contains(openSSHOrder, m) })
	if !ours && len(allowed) > 0 {
		e.Ended = "it takes only " + strings.Join(allowed, ", ")
	}
	return e
}

// ended is the error of a sign-in in which the connection ended: the server
// said so, or it just broke.
func (u *auth) ended(err error) error {
	said := rootText(err)
	if i := strings.Index(said, "disconnect, reason "); i >= 0 {
		e := u.failed()
		_, e.Ended, _ = strings.Cut(said[i:], ": ")
		return e
	}
	e := &DialError{Name: u.target.Name, Address: u.target.Address(), Phase: PhaseSignIn, Err: err}
	switch asked := u.clock.asked(); {
	case u.said != "": // as of /etc/nologin, by PAM
		e.because = "it said: " + oneLine(u.said)
	case asked >= slowAnswer:
		e.because = "the answer took " + seconds(asked) + "; a server waits for two minutes, or what its LoginGraceTime says"
	}
	return e
}
