package sshx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

const defaultTimeout = 15 * time.Second

// Question is put to a person.
type Question struct {
	Kind        string `json:"kind"` // hostkey, passphrase, password, keyboard, or touch: nothing to type, it ends with its context
	Hop         string `json:"hop"`  // the machine that asks
	Text        string `json:"text"`
	Echo        bool   `json:"echo"`
	KeyType     string `json:"key_type,omitempty"`    // hostkey: ED25519, …
	Fingerprint string `json:"fingerprint,omitempty"` // hostkey
	Cause       string `json:"cause,omitempty"`       // why it is asked again
}

// Options say how to connect. The zero value works where nobody has to be
// asked.
type Options struct {
	// Timeout bounds what needs no person, in all; 0 is 15 s. While a person
	// is asked the clock stops.
	Timeout time.Duration
	// Answer bounds the part of it until there is a byte stream to the server; 0:
	// as long as all of it.
	Answer time.Duration
	// LastKey is the fingerprint of the key to offer first.
	LastKey string
	// PinnedHostKey is the fingerprint of a host key accepted before, where no
	// known_hosts file has one.
	PinnedHostKey string
	// Trace is filled in with what was seen on the way; nil: nobody wants it.
	Trace *Trace
	// Notice hears banners and the like, bounded; nil: nobody does.
	Notice func(text string)
	// Ask puts a question to a person; nil: nobody can be asked.
	Ask func(ctx context.Context, q Question) (string, error)
	// Dial reaches the target, through a gateway or otherwise; nil: directly,
	// or by the ProxyCommand.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Again are the dials of the line that this replaces, where it was cut, and
	// RTT its round trip; nil: it replaces none.
	Again *Redials
	RTT   time.Duration
	// DialCommand is a command line that does with its stdin and stdout what
	// Dial does, for the engine openssh; "": ssh goes through the gateways itself.
	DialCommand string
	// Asking says whether a child's question to a person is open: the clock
	// stops meanwhile; nil: what a child asks reaches nobody.
	Asking func() bool
	// Dir is a directory of ours for the sockets of the engine openssh; "" is
	// a temporary one.
	Dir string
}

func (o *Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return defaultTimeout
	}
	return o.Timeout
}

func (o *Options) notice(text string) {
	if o.Notice != nil {
		o.Notice(text)
	}
}

// Signed says how a sign-in went.
type Signed struct {
	Method         string `json:"method"`                    // "agent", "id_ed25519", "password", "code"; several: "agent, code"
	KeyFingerprint string `json:"key_fingerprint,omitempty"` // of the key that was taken last
	HostKey        string `json:"host_key"`                  // fingerprint
	HostKeySaved   bool   `json:"host_key_saved"`
	Person         bool   `json:"person"` // a person answered, or touched, more than the host key

	Asked time.Duration `json:"-"` // how long a person took for it, in all
}

// errTimeout is the cause of a context whose clock ran out.
var errTimeout = errors.New("time is up")

// attempt is one Connect under way.
type attempt struct {
	target *Target
	opts   Options
	ctx    context.Context
	clock  *clock
	conn   *watched
	phase  atomic.Pointer[Phase]
	auth   *auth
	banner int    // bytes of banners so far
	said   string // the last of them

	began   time.Time
	dialled time.Duration // until there was a byte stream; 0: not yet
}

// Connect signs in to t. It does not walk t.Via: opts.Dial does. Every phase
// is bounded, and the end of ctx ends it at once. Errors are *DialError,
// *NotFoundError, *HostKeyError, *AuthError, or the end of ctx.
func Connect(ctx context.Context, t *Target, opts Options) (*Conn, error) {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &attempt{target: t, opts: opts, ctx: ctx, began: time.Now()}
	defer a.fill(opts.Trace)
	a.enter(PhaseDial)
	a.clock = startClock(opts.timeout(), func() { cancel(errTimeout) })
	defer a.clock.end()
	if t.Via != nil && opts.Dial == nil {
		return nil, &DialError{Name: t.Name, Address: t.Address(), Phase: PhaseDial, Err: fmt.Errorf("no way through %s was given", t.Via.Name)}
	}
	a.auth = newAuth(a)
	defer a.auth.close()
	c, err := a.connect()
	if err == nil {
		c.signed.Asked = a.clock.asked()
		return c, nil
	}
	if outer.Err() != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Name, context.Cause(outer))
	}
	return nil, a.explain(err)
}

// connect is the one place that decides which engine it is.
func (a *attempt) connect() (*Conn, error) {
	openssh, err := a.byOpenSSH()
	if err != nil {
		return nil, err
	}
	if openssh {
		return a.runMaster()
	}
	hosts, err := newHostKeys(a.target, &a.opts, a.ask)
	if err != nil {
		return nil, err
	}
	c, err := a.run(hosts)
	if errors.Is(err, errBeyond) {
		a.enter(PhaseDial)
		return a.runMaster()
	}
	return c, err
}

func (a *attempt) enter(p Phase) { a.phase.Store(&p) }

func (a *attempt) run(hosts *hostKeys) (*Conn, error) {
	raw, err := a.dial()
	if err != nil {
		return nil, err
	}
	a.conn, a.dialled = watch(raw), time.Since(a.began)
	a.enter(PhaseGreeting)
	closing := context.AfterFunc(a.ctx, func() { a.conn.Close() })
	sc, chans, reqs, err := ssh.NewClientConn(a.conn, a.target.Address(), a.config(hosts))
	if !closing() && err == nil { // it is being closed under us
		sc.Close()
		go ssh.DiscardRequests(reqs)
		for range chans {
		}
		err = context.Cause(a.ctx)
	}
	if err != nil {
		a.conn.Close()
		return nil, err
	}
	signed := a.auth.signed()
	signed.HostKey, signed.HostKeySaved = hosts.shown, hosts.saved
	return newConn(a.target.Name, a.opts.timeout(), a.conn, signed, sc, chans, reqs, false), nil
}

// silentError: there was no byte stream in that time.
type silentError struct{ after time.Duration }

func (e *silentError) Error() string { return "no answer in " + seconds(e.after) }

func (a *attempt) dial() (net.Conn, error) {
	if a.opts.Answer <= 0 {
		return a.dialUntil(a.ctx)
	}
	silent := &silentError{a.opts.Answer}
	ctx, cancel := context.WithTimeoutCause(a.ctx, silent.after, silent)
	defer cancel()
	conn, err := a.dialUntil(ctx)
	if err != nil && context.Cause(ctx) == silent {
		err = silent
	}
	return conn, err
}

func (a *attempt) dialUntil(ctx context.Context) (net.Conn, error) {
	if a.opts.Dial != nil {
		return dialInTime(ctx, a.opts.Dial, a.target.Address())
	}
	if a.opts.Again != nil {
		return a.opts.Again.again(ctx, a.target, a.opts.RTT)
	}
	return Reach(ctx, a.target)
}

// dialInTime ends with ctx, even if the dialer does not.
func dialInTime(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := dial(ctx, "tcp", addr)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// config sets the algorithms: none that is known to be weak, and AES-GCM
// first, which prefix truncation (CVE-2023-48795) cannot touch where a server
// lacks strict key exchange.
func (a *attempt) config(hosts *hostKeys) *ssh.ClientConfig {
	algorithms := ssh.SupportedAlgorithms()
	return &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: algorithms.KeyExchanges, Ciphers: algorithms.Ciphers, MACs: algorithms.MACs,
		},
		User:              a.target.User,
		ClientVersion:     "SSH-2.0-nbremote",
		HostKeyAlgorithms: hosts.known.algorithms(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			a.enter(PhaseKex)
			return hosts.check(a.ctx, key)
		},
		AuthCallback:   a.auth.next,
		BannerCallback: a.hearBanner,
	}
}

const maxBanner = 64 << 10

func (a *attempt) hearBanner(text string) error {
	if room := maxBanner - a.banner; len(text) > room {
		text = text[:max(room, 0)]
	}
	a.banner += len(text)
	if text != "" {
		a.said = text
		a.opts.notice(text)
	}
	return nil
}

// ask puts a question to a person; the clock stands meanwhile.
func (a *attempt) ask(q Question) (string, error) {
	if a.opts.Ask == nil {
		return "", ErrNobodyToAsk
	}
	a.clock.stop()
	defer a.clock.start(a.opts.timeout() / 3)
	q.Text = bounded(q.Text, 4096)
	return a.opts.Ask(a.ctx, q)
}
