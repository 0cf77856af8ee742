package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/jupyter"
	"nbremote/sshx"
)

// examineTime is how long a host may take to answer.
const examineTime = 20 * time.Second

// examined is what is known of a host once it was looked at.
type examined struct {
	*doctor
	*jupyter.Examined
	asked, told time.Time // the clock here before and after
	forwards    answer    // does its SSH server forward connections?
	sessions    answer    // does it give a connection more than one session?
	link        *holder.Link
}

// answer to a question that may not have been asked.
type answer int

const (
	unknown answer = iota
	yes
	no
)

// host examines the host itself: one script, and what its SSH server allows.
func (d *doctor) host(far *reached) {
	ctx, cancel := context.WithTimeoutCause(d.ctx, examineTime, fmt.Errorf("no answer in %v", examineTime))
	defer cancel()
	x := &examined{doctor: d, link: far.link}
	var wg sync.WaitGroup
	wg.Go(func() { x.forwards = mayForward(ctx, far) })
	run := far.Runner
	if far.own != nil {
		run = &asking{signedIn{far.own}, &x.sessions}
	}
	x.asked = time.Now()
	var err error
	x.Examined, err = jupyter.Examine(ctx, run)
	x.told = time.Now()
	wg.Wait()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		d.silent(err)
		return
	}
	for _, check := range hostChecks {
		f := check.look(x)
		f.Check = check.name
		if f.Why == "" && f.State != "" {
			f.Why = check.why
		}
		if f.State == failed && f.Class == "" {
			f.Class = "missing"
		}
		d.say(f)
	}
}

// silent is the host whose shell did not answer our script.
func (d *doctor) silent(err error) {
	f := failure("shell", d.target.Name, err)
	f.Try = strings.ReplaceAll(f.Try, "ssh HOST", d.ssh("", ""))
	var open *sshx.OpenError
	switch {
	case errors.As(err, &open):
		f.Class, f.Why, f.Try = "missing", "its SSH server gives no session (MaxSessions 0, or no shell for this account)", "MaxSessions 10 in the sshd_config of "+d.target.Name
	case errors.As(err, new(*remote.NoAnswerError)), f.Try == "":
		f.Try = "see it: " + d.ssh("", remote.Command) + " </dev/null; if a start-up file ends it: echo 'rename .bashrc .bashrc.off' | " +
			strings.Replace(d.ssh("", ""), "ssh", "sftp -b -", 1)
	}
	if f.Why == "" {
		f.Why = "every command on the host begins with its login shell"
	}
	d.say(f)
	for _, check := range hostChecks[1:] {
		d.say(finding{Check: check.name, State: untried})
	}
}

// signedIn runs scripts on a connection of our own.
type signedIn struct{ *sshx.Conn }

// Run is remote.Runner.
func (s signedIn) Run(ctx context.Context, script string) ([]byte, error) {
	return s.run(ctx, script, func() {})
}

// run calls meanwhile once the script has its session.
func (s signedIn) run(ctx context.Context, script string, meanwhile func()) ([]byte, error) {
	p, err := s.Exec(ctx, remote.Command)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	nonce := remote.NewNonce()
	said := remote.ReadComplaints(p.Stderr)
	go io.WriteString(p.Stdin, remote.Frame(nonce, script))
	meanwhile()
	a, err := remote.ReadAnswer(bufio.NewReader(p.Stdout), nonce)
	if err != nil {
		return nil, said.Of(err)
	}
	return a.Stdout, a.Err()
}

// asking asks for another session while the script has one.
type asking struct {
	signedIn
	sessions *answer
}

// Run is remote.Runner.
func (a *asking) Run(ctx context.Context, script string) ([]byte, error) {
	return a.run(ctx, script, func() {
		p, err := a.Exec(ctx, remote.Command)
		switch {
		case err == nil:
			*a.sessions = yes
			p.Stdin.Close()
			p.Close()
		case errors.As(err, new(*sshx.OpenError)):
			*a.sessions = no
		}
	})
}

// mayForward asks for a connection to a port of the host that hardly anything
// listens on: a server that forwards nothing says something else than one that
// found nobody there.
func mayForward(ctx context.Context, far *reached) answer {
	conn, err := far.dial(ctx, "tcp", "127.0.0.1:1")
	if err == nil {
		conn.Close()
		return yes
	}
	switch classOf(err) {
	case "refused":
		return yes
	case "connect":
		if !errors.As(err, new(*sshx.DialError)) { // that one is silence
			return no
		}
	}
	return unknown
}
