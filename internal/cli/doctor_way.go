package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/internal/ui"
	"nbremote/sshx"
)

// hopChecks are the steps of a connection to one machine, in order.
var hopChecks = []struct{ name, why string }{
	{"tcp", "the first step to it: a firewall, a VPN or the machine itself may be off"},
	{"ssh", "something else listens there, or its SSH server is stopped or overloaded (MaxStartups)"},
	{"host key", "who answers may not be the machine that you mean"},
	{"sign-in", "nothing runs there before"},
}

// way goes to the host, hop by hop. Where a holder has signed in already, its
// line is used. nil: the host is not reached, and that has been said.
func (d *doctor) way() *reached {
	hops := d.target.Hops()
	first, at := d.lineUp(hops)
	if at < 0 {
		d.dns(hops[0])
	}
	for _, hop := range hops[:at+1] {
		d.say(finding{Check: "sign-in", Hop: hop.Name, What: hop.Name + " is signed in to already, by the line that is open"})
	}
	far := first
	for i, hop := range hops[at+1:] {
		next := d.hop(hop, far)
		if next == nil {
			if far != nil {
				far.close()
			}
			d.notTried(hops[at+2+i:])
			return nil
		}
		if far != nil {
			inner, outer := next.close, far.close
			next.close = func() { inner(); outer() }
		}
		far = next
	}
	return far
}

// lineUp is the last of the machines that a holder has a line to that is up.
func (d *doctor) lineUp(hops []*sshx.Target) (*reached, int) {
	for i := len(hops) - 1; i >= 0; i-- {
		client := holder.ByKey(d.place, hops[i].Key())
		ctx, cancel := context.WithTimeout(d.ctx, time.Second)
		s, err := client.Status(ctx)
		cancel()
		switch {
		case err != nil:
		case s.State == holder.Up:
			direct := holder.Direct{Client: client}
			return &reached{Runner: direct, dial: direct.Dial, link: s.Link, close: func() {}}, i
		default:
			d.say(finding{
				Check: "line", Hop: s.Name, State: warned, Try: "nbremote open " + shellWord(d.w.Host),
				What: fmt.Sprintf("the line to %s is %s since %s", s.Name, s.State, ui.Since(s.Since)), Why: s.Reason,
			})
		}
	}
	return nil, -1
}

// dns looks the first machine's name up; those behind it are looked up by the
// gateways.
func (d *doctor) dns(t *sshx.Target) {
	if t.ProxyCommand != "" {
		return
	}
	if net.ParseIP(t.Host) != nil {
		d.say(finding{Check: "dns", Hop: t.Name, What: t.Host + " is an address: nothing to look up"})
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.timeout)
	defer cancel()
	began := time.Now()
	addresses, err := net.DefaultResolver.LookupHost(ctx, t.Host)
	f := finding{Check: "dns", Hop: t.Name, MS: time.Since(began).Milliseconds()}
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) {
			err = errors.New(dns.Err)
		}
		// What to try is told by the step that needs the address.
		f.State, f.Class = failed, "connect"
		f.What, f.Why = t.Host+" is not found: "+err.Error(), "nothing is reached without its address; a VPN off? "+knownNames(t)
		config := "~/.ssh/config"
		if t.ConfigFile != "" {
			config = shellWord(t.ConfigFile)
		}
		f.Try = "grep -in '^ *host' " + config + "; getent hosts " + shellWord(t.Host)
		if dns != nil && dns.IsNotFound {
			f.Class = "not-found"
		}
	} else {
		f.What = t.Host + " is " + strings.Join(addresses, ", ")
	}
	d.say(f)
}

func knownNames(t *sshx.Target) string {
	if t.Host == t.Name || t.Host == "" {
		return "(no HostName for it in the ssh_config)"
	}
	return "(HostName of " + t.Name + " in the ssh_config)"
}

// hop signs in to one machine; nil: it did not work.
func (d *doctor) hop(t *sshx.Target, before *reached) *reached {
	var seen sshx.Trace
	fresh := ""
	opts := sshx.Options{
		Timeout: d.timeout, Trace: &seen, LastKey: holder.LastKey(d.place, t.Key()),
		Notice: func(text string) {
			if strings.HasPrefix(text, t.Name+" is new here") {
				fresh = "; it is new, and is not saved by doctor"
			}
		},
	}
	if before != nil {
		opts.Dial = before.dial
	}
	if d.canAsk() {
		opts.Ask = d.askSignIn
	}
	conn, err := sshx.Connect(d.ctx, notSaving(t), opts)
	d.passed(t, &seen, err, before, conn, fresh)
	if err != nil {
		return nil
	}
	return &reached{Runner: signedIn{conn}, dial: conn.Dial, own: conn, close: func() { conn.Close() }}
}

// notSaving is t for one who goes on as ssh would, and saves no host key.
func notSaving(t *sshx.Target) *sshx.Target {
	try := *t
	if try.StrictHostKeyChecking == "accept-new" {
		try.StrictHostKeyChecking = "no"
	}
	return &try
}

var errNoHostKeys = errors.New("doctor accepts no host key")

// askSignIn puts a question of a sign-in to the person, but for host keys.
func (d *doctor) askSignIn(ctx context.Context, q sshx.Question) (string, error) {
	if q.Kind == "hostkey" {
		return "", errNoHostKeys
	}
	return d.put(ctx, q)
}

// passed says which steps of a connection went well, and which one did not.
func (d *doctor) passed(t *sshx.Target, seen *sshx.Trace, err error, before *reached, conn *sshx.Conn, fresh string) {
	stuck := len(hopChecks)
	if err != nil {
		stuck = stuckAt(err, seen)
	}
	for i, step := range hopChecks {
		check := step.name
		f := finding{Check: check, Hop: t.Name}
		switch {
		case i > stuck:
			f.State = untried
		case i == stuck:
			if f = d.stuck(check, t, seen, err); f.Why == "" {
				f.Why = step.why
			}
		case check == "tcp":
			f.What, f.MS = answers(t, before), seen.Dialled.Milliseconds()
		case check == "ssh":
			f.What = t.Name + " speaks SSH"
		case check == "host key" && conn != nil:
			f.What = t.Name + " shows " + conn.Signed().HostKey + fresh
		case check == "host key":
			f.What = t.Name + " shows a key that is known"
		case check == "sign-in":
			f.What = fmt.Sprintf("%s as %s (%s)%s", t.Name, t.User, conn.Signed().Method, takes(seen))
			f.MS = (seen.Took - seen.Dialled).Milliseconds()
		}
		d.say(f)
	}
}

func answers(t *sshx.Target, before *reached) string {
	switch {
	case t.ProxyCommand != "":
		return t.Name + " is reached by its ProxyCommand"
	case before != nil:
		return fmt.Sprintf("%s (%s) answers, from %s", t.Name, t.Address(), t.Via.Name)
	}
	return fmt.Sprintf("%s (%s) answers", t.Name, t.Address())
}

func takes(seen *sshx.Trace) string {
	if len(seen.Methods) == 0 {
		return ""
	}
	return "; it takes " + strings.Join(seen.Methods, ", ")
}

// stuckAt is the step that an error belongs to, by its kind and by how far the
// connection had come.
func stuckAt(err error, seen *sshx.Trace) int {
	switch {
	case errors.As(err, new(*sshx.HostKeyError)):
		return 2
	case errors.As(err, new(*sshx.AuthError)):
		return 3
	}
	switch seen.Reached {
	case sshx.PhaseGreeting, sshx.PhaseKex:
		return 1
	case sshx.PhaseSignIn:
		return 3
	}
	return 0
}

// stuck is the step that did not work.
func (d *doctor) stuck(check string, t *sshx.Target, seen *sshx.Trace, err error) finding {
	f := failure(check, t.Name, err)
	if check != "sign-in" {
		return f
	}
	f.Why = strings.Trim(f.Why+takes(seen), "; ")
	usable := 0
	for _, k := range d.held.Keys {
		if !k.Locked {
			usable++
		}
	}
	switch {
	case len(d.held.Keys) == 0 && len(seen.Methods) > 0:
		f.Try = "ssh-keygen -t ed25519 && ssh-copy-id " + shellWord(t.Name)
	case usable == 0 && !d.canAsk():
		f.Try = "ssh-add, or nbremote doctor " + shellWord(d.w.Host) + " in a terminal"
	}
	return f
}

// notTried takes down what lies behind a machine that was not reached.
func (d *doctor) notTried(hops []*sshx.Target) {
	for _, hop := range hops {
		for _, check := range hopChecks {
			d.say(finding{Check: check.name, Hop: hop.Name, State: untried})
		}
	}
	for _, check := range hostChecks {
		d.say(finding{Check: check.name, State: untried})
	}
}

// ssh is a command on the host, to be pasted here.
func (d *doctor) ssh(options, command string) string {
	words := []string{"ssh"}
	if options != "" {
		words = append(words, options)
	}
	if d.w.SSHConfig != "" {
		words = append(words, "-F", shellWord(d.w.SSHConfig))
	}
	if len(d.w.Via) > 0 {
		words = append(words, "-J", shellWord(strings.Join(d.w.Via, ",")))
	}
	name := d.w.Host
	if ssh := d.config.Hosts[name].SSH; ssh != "" {
		name = ssh
	}
	if strings.Contains(name, ":") && !strings.Contains(name, "://") {
		name = "ssh://" + name
	}
	words = append(words, shellWord(name))
	if command != "" {
		words = append(words, remote.Quote(command))
	}
	return strings.Join(words, " ")
}
