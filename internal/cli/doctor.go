package cli

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/sshx"
)

// doctorCmd checks each step on the way to a host, and the host. It changes
// nothing anywhere: no host key is saved, no background process or relay is
// started, no file is left.
type doctorCmd struct {
	Host           string        `arg:"" optional:"" predictor:"host" help:"HOST; left out: the last one used here."`
	Via            []string      `help:"Gateway to go through, instead of ssh_config's ProxyJump; again for the next." placeholder:"HOST" sep:"none"`
	ConnectTimeout time.Duration `default:"15s" help:"How long a sign-in may take, without the time a person needs."`
}

// The ways a check may go.
const (
	fine    = "ok"
	warned  = "warning"
	failed  = "failed"
	untried = "not tried"
)

// finding is how one check went: what was found, why it matters, what to paste.
type finding struct {
	Check string `json:"check"`
	Hop   string `json:"hop,omitempty"` // the machine on the way that it is about
	State string `json:"state"`
	What  string `json:"what,omitempty"`
	Why   string `json:"why,omitempty"`
	Try   string `json:"try,omitempty"`
	Class string `json:"class,omitempty"` // of a failure, as exit codes have it
	MS    int64  `json:"ms,omitempty"`
}

// doctor is one examination.
type doctor struct {
	*app
	w       where
	target  *sshx.Target
	held    sshx.Held
	found   []finding
	timeout time.Duration
}

// Run is the story of doctor.
func (c *doctorCmd) Run(a *app) error {
	w, err := a.where(c.Host)
	if err != nil {
		return err
	}
	if len(c.Via) > 0 {
		w.Via = c.Via
	}
	if c.ConnectTimeout <= 0 {
		return usage("read the time limits: they must be above 0", "--connect-timeout 15s")
	}
	d := &doctor{app: a, w: w, timeout: c.ConnectTimeout}
	began := time.Now()
	if d.resolved() {
		d.keys()
		if far := d.way(); far != nil {
			d.host(far)
			far.close()
		}
		d.ports()
	}
	d.browser()
	if err := a.ctx.Err(); err != nil {
		return err
	}
	return d.conclude(time.Since(began))
}

// resolved asks ssh what the name is.
func (d *doctor) resolved() bool {
	t, err := d.resolve(d.ctx, d.w)
	if err != nil {
		f := failure("name", "", err)
		if f.Try == "" {
			f.Try = "ssh -G " + shellWord(d.w.Host)
		}
		d.say(f)
		return false
	}
	d.target = t
	text := fmt.Sprintf("%s is %s@%s", d.w.Host, t.User, t.Address())
	for i, hop := range t.Hops()[:len(t.Hops())-1] {
		text += []string{", by ", ", "}[min(i, 1)] + hop.Name
	}
	d.say(finding{Check: "name", What: text})
	return true
}

// say takes a finding down and prints it, unless nobody wants it yet.
func (d *doctor) say(f finding) {
	if f.State == "" {
		f.State = fine
	}
	d.found = append(d.found, f)
	if d.JSON || d.Quiet && f.State != failed || f.State == untried {
		return
	}
	mark := map[string]string{fine: "done", warned: "warn", failed: "fail"}[f.State]
	line := fmt.Sprintf("  %s %-10s %s", d.ui.Mark(mark), f.Check, d.ui.Text(f.What))
	if f.MS >= 50 {
		line += fmt.Sprintf("  %.1fs", float64(f.MS)/1000)
	}
	fmt.Fprintln(stdout, line)
	for _, more := range [][2]string{{"why: ", f.Why}, {"try: ", f.Try}} {
		if more[1] != "" && f.State != fine {
			fmt.Fprintln(stdout, "      "+more[0]+d.ui.Text(more[1]))
		}
	}
}

// failure is the finding that an error is.
func failure(check, hop string, err error) finding {
	f := finding{Check: check, Hop: hop, State: failed, What: err.Error(), Class: classOf(err)}
	if e, ok := asError[interface{ Cause() string }](err); ok && !strings.Contains(f.What, e.Cause()) {
		f.Why = e.Cause()
	}
	if e, ok := asError[interface{ Hint() string }](err); ok {
		f.Try = e.Hint()
	}
	return f
}

// conclude prints what was not tried and how it stands. A check that failed is
// the error of the command.
func (d *doctor) conclude(took time.Duration) error {
	count, first, left := map[string]int{}, (*finding)(nil), []string{}
	for i, f := range d.found {
		count[f.State]++
		switch {
		case f.State == failed && first == nil:
			first = &d.found[i]
		case f.State == untried && !slices.Contains(left, f.Check):
			left = append(left, f.Check)
		}
	}
	if d.JSON {
		err := d.printJSON(struct {
			Host   string    `json:"host"`
			OK     bool      `json:"ok"`
			MS     int64     `json:"ms"`
			Checks []finding `json:"checks"`
		}{d.w.Host, first == nil, took.Milliseconds(), d.found})
		if err != nil || first == nil {
			return err
		}
	} else if !d.Quiet {
		if len(left) > 0 {
			fmt.Fprintf(stdout, "  - %-10s %s\n", "not tried", strings.Join(left, ", "))
		}
		d.ui.Note(fmt.Sprintf("%s: %d checks in %.1f s: %d fine, %d %s, %d failed", d.w.Host, len(d.found)-count[untried], took.Seconds(),
			count[fine], count[warned], plural(count[warned], "warning"), count[failed]))
	}
	if first == nil {
		return nil
	}
	class := first.Class
	if class == "" {
		class = "missing"
	}
	return &problem{what: "check " + d.w.Host + ": " + first.Check + " failed", class: class, try: first.Try}
}

// reached is a host that scripts run on and that addresses are dialled from.
type reached struct {
	remote.Runner
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	own   *sshx.Conn   // nil: the line of a holder
	link  *holder.Link // of that, once known
	close func()
}
