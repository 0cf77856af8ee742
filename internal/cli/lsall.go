package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/sshx"
)

const (
	askTime   = 4 * time.Second         // for one machine to be signed in to and to answer
	knockTime = 2500 * time.Millisecond // of it, for it to be there at all
	hostTime  = 5 * askTime             // for a host with all that is before it
	partTime  = 2 * time.Second         // for the connections to end; they end with us
	asksAtOne = 128                     // hosts that are asked at a time
	readsAtOn = 8                       // names that ssh is asked about at a time
	readTime  = 700 * time.Millisecond  // for all of those, before the first is signed in to
)

// States of what is not open here, in ls --all.
const (
	runsThere  = "running"
	nothing    = "nothing runs"
	notReached = "not reached"
)

// rollCall asks hosts what runs there, all at once. Nothing is left there, no
// background process is started and nobody is asked.
type rollCall struct {
	*app
	open   []holder.Status
	reads  chan struct{}
	unread atomic.Int64  // names that ssh was not asked about yet
	knock  chan struct{} // closed when they may be signed in to
	mu     sync.Mutex
	visits map[string]*visit
	signed []*reached // in their order: a gateway before what is behind it
}

// visit is the one sign-in to a machine, be it a host or a gateway of many.
type visit struct {
	once sync.Once
	far  *reached
	err  error
}

// errPerson says that a sign-in would need a person.
var errPerson = &problem{what: "the last sign-in needed a person", class: "sign-in"}

// usedBefore are the hosts that were opened from this account.
func (a *app) usedBefore() []where {
	u := a.readUses()
	byAlias := map[string]where{}
	for _, w := range u.Last {
		w = where{Host: w.Host, Via: w.Via, SSHConfig: w.SSHConfig}
		byAlias[w.alias()] = w
	}
	for name := range u.Hinted {
		w, err := a.where(name)
		if err != nil {
			continue // of a time when that was a name
		}
		w.Path, w.Session = "", ""
		byAlias[w.alias()] = w
	}
	all := []where{}
	for _, w := range byAlias {
		if w.Host != thisComputer {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(x, y where) int { return strings.Compare(x.alias(), y.alias()) })
	return all
}

// call gives each host's rows to tell, as they come.
func (a *app) call(hosts []where, open []holder.Status, tell func([]listed)) {
	r := &rollCall{app: a, open: open, reads: make(chan struct{}, readsAtOn), knock: make(chan struct{}), visits: map[string]*visit{}}
	r.unread.Store(int64(min(len(hosts), asksAtOne)))
	slots := make(chan struct{}, asksAtOne)
	var wg sync.WaitGroup
	var telling sync.Mutex
	for _, w := range hosts {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			rows := r.within(hostTime, w)
			telling.Lock()
			defer telling.Unlock()
			tell(rows)
		})
	}
	wg.Wait()
	r.part()
}

// within is host, or that nothing has come of it in that time.
func (r *rollCall) within(limit time.Duration, w where) []listed {
	rows := make(chan []listed, 1)
	go func() { rows <- r.host(w) }()
	select {
	case got := <-rows:
		return got
	case <-time.After(limit):
		return []listed{unheard(w, errors.New("no answer in "+ui.Long(limit)))}
	}
}

// part ends the connections, those behind others first. A line that is stuck
// keeps nobody.
func (r *rollCall) part() {
	r.mu.Lock()
	signed := slices.Clone(r.signed)
	r.mu.Unlock()
	parted := make(chan struct{})
	go func() {
		defer close(parted)
		for _, far := range slices.Backward(signed) {
			far.close()
		}
	}()
	select {
	case <-parted:
	case <-time.After(partTime):
	}
}

// host is what there is to say of one host.
func (r *rollCall) host(w where) []listed {
	target, err := r.target(w)
	if err == nil && r.isDown(target) {
		return nil // that is told already
	}
	var infos []session.Info
	if err == nil {
		infos, err = r.sessions(target)
	}
	if err != nil {
		row := unheard(w, err)
		switch classOf(err) {
		case "sign-in":
			row.State, row.Try = string(holder.NeedsSignIn), "nbremote open "+shellWord(w.Host)
		case "host-key":
			row.State = string(holder.Stopped)
		}
		return []listed{row}
	}
	rows, ports := []listed{}, r.portsOf(target)
	for _, i := range infos {
		if spec, ok := session.ParseScript(i.Spec); ok && i.Running && !ports[i.Name] {
			rows = append(rows, scriptRow(holder.Status{Name: w.Host, State: holder.Up}, holder.Script{Name: i.Name, Command: spec.Command, Running: true, Started: i.Started}))
		} else if i.Running && !ports[i.Name] {
			rows = append(rows, listed{Kind: "session", Host: w.Host, Session: i.Name, State: runsThere, Since: i.Started,
				What: "since " + ui.Since(i.Started), Try: "nbremote open " + shellWord(w.Host+"/"+i.Name)})
		}
	}
	if len(rows) == 0 && len(ports) == 0 {
		rows = append(rows, listed{Kind: "host", Host: w.Host, State: nothing, Since: time.Now()})
	}
	return rows
}

// unheard is a host that has not told what runs there.
func unheard(w where, err error) listed {
	return listed{
		Kind: "host", Host: w.Host, State: notReached, Since: time.Now(), Try: "nbremote doctor " + shellWord(w.Host),
		What: strings.TrimPrefix(err.Error(), "connect to "+w.Host+": "), Reason: err.Error(),
	}
}

// portsOf are the sessions of a target that are open here, and told already.
func (r *rollCall) portsOf(t *sshx.Target) map[string]bool {
	names := map[string]bool{}
	for _, s := range r.open {
		for _, p := range s.Pages {
			if s.Key == t.Key() {
				names[p.Session] = true
			}
		}
		for _, one := range s.Scripts {
			if s.Key == t.Key() {
				names[one.Name] = true
			}
		}
	}
	return names
}

// isDown: it is open here, and its line is not up.
func (r *rollCall) isDown(t *sshx.Target) bool {
	return slices.ContainsFunc(r.open, func(s holder.Status) bool {
		return s.Key == t.Key() && len(s.Pages)+len(s.Scripts) > 0 && s.State != holder.Up
	})
}

// target waits until all names are read, if that does not take long: a sign-in
// costs a computer much more than a name, and those that are dead would be
// knocked at only when the living have been asked.
func (r *rollCall) target(w where) (*sshx.Target, error) {
	target, err := r.readName(w)
	if r.unread.Add(-1) == 0 {
		close(r.knock)
	}
	select {
	case <-r.knock:
	case <-time.After(readTime):
	}
	return target, err
}

func (r *rollCall) readName(w where) (*sshx.Target, error) {
	r.reads <- struct{}{}
	defer func() { <-r.reads }()
	return r.resolve(r.ctx, w)
}

func (r *rollCall) sessions(t *sshx.Target) ([]session.Info, error) {
	far, err := r.reach(t)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(r.ctx, askTime, errors.New("no answer in "+ui.Long(askTime)))
	defer cancel()
	infos, err := session.List(ctx, far)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return infos, err
}

// reach signs in to a machine, once, through those before it.
func (r *rollCall) reach(t *sshx.Target) (*reached, error) {
	r.mu.Lock()
	v := r.visits[t.Key()]
	if v == nil {
		v = &visit{}
		r.visits[t.Key()] = v
	}
	r.mu.Unlock()
	v.once.Do(func() { v.far, v.err = r.visit(t) })
	return v.far, v.err
}

func (r *rollCall) visit(t *sshx.Target) (*reached, error) {
	for _, s := range r.open {
		if s.Key == t.Key() && s.State == holder.Up {
			direct := holder.Direct{Client: holder.ByKey(r.place, s.Key)}
			return &reached{Runner: direct, dial: direct.Dial, close: func() {}}, nil
		}
	}
	opts := sshx.Options{Timeout: askTime, Answer: knockTime, LastKey: holder.LastKey(r.place, t.Key())}
	conn := sshx.Attach(r.ctx, t, opts)
	if conn == nil {
		if holder.NeededPerson(r.place, t.Key()) {
			return nil, errPerson
		}
		if t.Via != nil {
			before, err := r.reach(t.Via)
			if err != nil {
				return nil, fmt.Errorf("reach %s through %s: %w", t.Name, t.Via.Name, err)
			}
			opts.Dial = before.dial
		}
		var err error
		if conn, err = sshx.Connect(r.ctx, notSaving(t), opts); err != nil {
			return nil, err
		}
	}
	far := &reached{Runner: signedIn{conn}, dial: conn.Dial, own: conn, close: func() { conn.Close() }}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signed = append(r.signed, far)
	return far, nil
}

// all is ls --all: what is open at once, and each host's rows when it answers.
func (c *lsCmd) all(a *app, open []holder.Status, rows []listed) error {
	hosts := a.usedBefore()
	width := 0
	for _, w := range hosts {
		width = max(width, len(w.Host)+len("/main"))
	}
	for _, r := range rows {
		width = max(width, len(r.Host+"/"+r.Session))
	}
	began, lost := time.Now(), 0
	print := func(rows []listed) {
		for _, r := range rows {
			line := fmt.Sprintf("%-*s  %-13s  %s", width, r.name(), r.state(), r.What)
			if there := r.address(); there != "" {
				line += "  " + there
			}
			fmt.Fprintln(stdout, a.ui.Text(strings.TrimRight(line, " ")))
		}
	}
	if !a.JSON {
		print(rows)
	}
	a.call(hosts, open, func(more []listed) {
		for _, r := range more {
			if r.State == notReached {
				lost++
			}
		}
		if rows = append(rows, more...); !a.JSON {
			print(more)
		}
	})
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if a.JSON {
		slices.SortStableFunc(rows, func(x, y listed) int { return strings.Compare(x.Host, y.Host) })
		return a.printJSON(rows)
	}
	a.ui.Note(fmt.Sprintf("%d %s asked in %.1f s, %d not reached", len(hosts), plural(len(hosts), "host"), time.Since(began).Seconds(), lost))
	return nil
}
