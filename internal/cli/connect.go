package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/sshx"
)

// line is this command's use of a holder: as long as it is held, questions of
// the line are asked here.
type line struct {
	*holder.Client
	attached *holder.Attachment
	events   chan holder.Event // state changes after the line is up
	done     chan struct{}
	asking   map[int64]context.CancelFunc // questions at the terminal; whoever reads attached has it
	told     atomic.Bool                  // what becomes of the line is told, or not, by who shows something
}

// connect finds or starts the holder of w and returns once its line is up.
func (a *app) connect(ctx context.Context, w where) (*line, error) {
	var err error
	for range 3 { // a holder found may just be ending
		var l *line
		if l, err = a.connectOnce(ctx, w); !errors.Is(err, holder.ErrNone) {
			return l, err
		}
	}
	return nil, fmt.Errorf("connect to %s: %w", w.Host, err)
}

func (a *app) connectOnce(ctx context.Context, w where) (*line, error) {
	client, err := holder.Find(a.place, w.alias())
	if err != nil {
		if client, err = a.newHolder(ctx, w); err != nil {
			return nil, err
		}
	}
	a.log = client.LogPath(a.place)
	l, err := a.attach(ctx, client, w.alias())
	if err != nil {
		return nil, err
	}
	go a.follow(ctx, l)
	return l, nil
}

// attach connects to a holder and waits until its line is up. Nobody follows it
// yet.
func (a *app) attach(ctx context.Context, client *holder.Client, alias string) (*line, error) {
	attached, err := client.Attach(ctx, holder.AttachOptions{Ask: a.canAsk(), Alias: alias})
	if err != nil {
		return nil, err
	}
	l := &line{Client: client, attached: attached, events: make(chan holder.Event, 64), done: make(chan struct{}), asking: map[int64]context.CancelFunc{}}
	if err := a.untilUp(ctx, l); err != nil {
		l.withdraw()
		attached.Close()
		return nil, err
	}
	return l, nil
}

// connectIn is connect with a limit for what needs no person, as the first step
// of a command.
func (a *app) connectIn(w where, limit time.Duration) (*line, error) {
	a.connectTimeout = limit
	a.ui.Begin(w.Host)
	return a.connect(a.ctx, w)
}

// newHolder resolves the name as ssh does and starts the holder of what it is.
func (a *app) newHolder(ctx context.Context, w where) (*holder.Client, error) {
	target, err := a.resolve(ctx, w)
	if err != nil {
		return nil, err
	}
	return holder.Ensure(ctx, holder.Spec{Place: a.place, Target: target, ConnectTimeout: a.connectTimeout, RelayIdle: a.relayIdle, NoNotices: a.config.NoNotices})
}

func (a *app) resolve(ctx context.Context, w where) (*sshx.Target, error) {
	if a.target != nil {
		return a.target, nil
	}
	name := w.Host
	if h := a.config.Hosts[w.Host]; h.SSH != "" {
		name = h.SSH
	}
	target, err := sshx.Resolver{ConfigFile: w.SSHConfig}.Resolve(ctx, name, w.Via)
	if err != nil {
		return nil, err
	}
	target.Name = w.Host
	for _, hop := range target.Hops() {
		hop.Engine = a.config.Hosts[hop.Name].Engine
	}
	return target, nil
}

// untilUp shows the steps of the sign-in and answers its questions until the
// line is up.
func (a *app) untilUp(ctx context.Context, l *line) error {
	steps := map[string]*ui.Step{}
	stalled := a.watchStall(ctx, l)
	defer stalled.stop()
	for {
		e, err := l.attached.Next(ctx)
		if err != nil {
			if ctx.Err() == nil { // the holder has ended: another one begins anew
				failAll(steps)
			}
			return cmp.Or(stalled.stop(), err)
		}
		switch e.Kind {
		case "up":
			return nil
		case "error":
			failAll(steps)
			return e.Error
		case "start":
			if !a.waiting && steps[e.Hop] == nil { // else each try would leave its lines
				steps[e.Hop] = a.ui.Start(e.Hop, e.Text)
			}
		case "done":
			if s := steps[e.Hop]; s != nil {
				s.DoneIn(e.Text, time.Duration(e.MS)*time.Millisecond)
				delete(steps, e.Hop)
				a.took(e.Hop, e.MS)
			}
		case "question":
			stalled.stop() // a person has all the time
			a.hear(ctx, l, e)
		default:
			a.hear(ctx, l, e)
		}
	}
}

// follow hears the line until the command leaves it.
func (a *app) follow(ctx context.Context, l *line) {
	defer close(l.done)
	down := false
	for {
		e, err := l.attached.Next(ctx)
		if err != nil {
			l.withdraw()
			close(l.events)
			return
		}
		a.hear(ctx, l, e)
		if e.Kind == "state" && !l.told.Load() {
			down = a.sayWaits(e, down)
		}
		switch e.Kind {
		case "state", "error", "port", "gone":
			select {
			case l.events <- e:
			default:
			}
		}
	}
}

// sayWaits says that the line was lost under a command that needs it, and that
// it is back.
func (a *app) sayWaits(e holder.Event, down bool) bool {
	switch {
	case e.State == holder.Down && !down:
		a.ui.Note("the line to " + e.Hop + " is down: " + e.Text + "; waiting for it, Ctrl-C gives up")
		return true
	case e.State == holder.Up && down:
		a.ui.Note("the line to " + e.Hop + " is back")
		return false
	}
	return down
}

func failAll(steps map[string]*ui.Step) {
	for _, s := range steps {
		s.Fail("")
	}
}

// leave ends this command's use of the line; the holder goes on.
func (l *line) leave() {
	l.attached.Close()
	<-l.done
}

// hear shows a notice, and asks a question in the background so that its being
// answered elsewhere can be heard too.
func (a *app) hear(ctx context.Context, l *line, e holder.Event) {
	switch e.Kind {
	case "notice":
		a.ui.Verbose(strings.TrimRight(e.Text, "\r\n"))
	case "warning":
		if !a.waiting {
			a.ui.Note(e.Hop + ": " + e.Text)
		}
	case "question":
		ctx, cancel := context.WithCancel(ctx)
		l.asking[e.ID] = cancel
		go func() {
			defer cancel()
			text, err := a.put(ctx, *e.Question)
			if ctx.Err() == nil || err == nil {
				l.Answer(context.WithoutCancel(ctx), holder.Answer{ID: e.ID, Text: text, Refused: err != nil})
			}
		}()
	case "answered":
		if cancel := l.asking[e.ID]; cancel != nil {
			cancel()
			delete(l.asking, e.ID)
		}
	}
}

// withdraw ends the questions of a holder that takes no answer any more.
func (l *line) withdraw() {
	for id, cancel := range l.asking {
		cancel()
		delete(l.asking, id)
	}
}

// put asks the person at the terminal, naming the machine that asks.
func (a *app) put(ctx context.Context, q holder.Question) (string, error) {
	switch q.Kind {
	case "touch":
		a.ui.Note(q.Hop + ": touch your security key: " + strings.TrimSpace(q.Text))
		<-ctx.Done()
		return "", ctx.Err()
	case "hostkey":
		a.ui.Note(fmt.Sprintf("%s is new here. %s %s", q.Hop, q.KeyType, q.Fingerprint))
		return a.ui.Ask(ctx, "Trust it? yes, no, or paste the fingerprint: ", true)
	}
	if q.Cause != "" { // it is asked again
		a.ui.Note(q.Hop + ": " + q.Cause)
	}
	return a.ui.Ask(ctx, fmt.Sprintf("%s asks: %s ", q.Hop, strings.TrimSpace(q.Text)), q.Echo)
}
