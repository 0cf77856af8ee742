package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/internal/session"
	"nbremote/internal/ui"
)

// following is a session's output on its way to this terminal, over lost lines
// and lost relays.
type following struct {
	a     *app
	line  *line
	w     where
	watch *session.Watch
	menu  bool                // Ctrl-C at a terminal asks what is meant
	apart bool                // stderr goes to stderr
	begun func(session.Begun) // called once; nil: nobody wants to know

	out, err io.Writer
	stopping sync.WaitGroup
}

func (f *following) full() string { return f.w.Host + "/" + f.watch.Name }

// told is one answer of the watch.
type told struct {
	session.Piece
	err error
}

// next reads one piece in the background. It ends with the watch.
func (f *following) next() <-chan told {
	c := make(chan told, 1)
	go func() {
		p, err := f.watch.Next()
		c <- told{p, err}
	}()
	return c
}

// run shows what comes until the session has ended, or all is told.
func (f *following) run() (session.End, error) {
	f.line.told.Store(true)
	defer f.stopping.Wait()
	defer func() { f.watch.Close() }()
	var asked <-chan struct{}
	if f.menu && f.a.canAsk() && ui.IsTerminal(os.Stdout) && ui.IsTerminal(os.Stdin) {
		var end func()
		asked, end = onInterrupt()
		defer end()
	}
	watcher := &watcher{a: f.a, l: f.line, w: f.w}
	events, tells := f.line.events, ui.IsTerminal(os.Stderr) || f.a.Verbose > 0
	for pieces := f.next(); ; {
		select {
		case p := <-pieces:
			done, err := f.take(p)
			if done {
				f.noteEnd(endOf(p))
			}
			if done || err != nil {
				return endOf(p), err
			}
			pieces = f.next()
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if tells {
				watcher.hear(e)
			}
		case <-watcher.isSteady():
			watcher.settle()
		case <-asked:
			if err := f.ask(asked); err != nil {
				return session.End{}, err
			}
		case <-f.a.ctx.Done():
			return session.End{}, context.Cause(f.a.ctx)
		}
	}
}

// noteEnd tells the holder how a script ended, for ls.
func (f *following) noteEnd(end session.End) {
	if spec, ok := session.ParseScript(f.watch.Spec); ok && !end.Ended.IsZero() {
		f.a.keepScript(f.line, scriptOf(f.watch.Name, spec.Command, end))
	}
}

func endOf(p told) session.End {
	if p.End == nil {
		return session.End{}
	}
	return *p.End
}

// writer is a stream of ours. What a script prints comes to a file or a pipe
// byte by byte; a terminal gets nothing that it would obey.
func (f *following) writer(file *os.File) io.Writer {
	_, script := session.ParseScript(f.watch.Spec)
	switch {
	case !script:
		return ui.SafeWriter(file)
	case ui.IsTerminal(file):
		return ui.OutputWriter(file)
	}
	return file
}

// take shows one piece; done: it was the last.
func (f *following) take(p told) (done bool, err error) {
	if p.err != nil {
		return false, f.goOn(p.err)
	}
	if p.Begun && f.out == nil {
		f.out, f.err = f.writer(os.Stdout), f.writer(os.Stderr)
	}
	if p.Begun || p.End != nil {
		if f.begun != nil {
			f.begun(f.watch.Begun)
		}
		f.begun = nil
	}
	if p.Told && p.Trouble != "" {
		f.a.ui.Note(f.full() + " is held back: its log on " + f.w.Host + " cannot be written: " + p.Trouble)
	}
	to := f.out
	if p.Stderr && f.apart {
		to = f.err
	}
	if len(p.Data) > 0 && to != nil {
		_, err = to.Write(p.Data)
	}
	return p.End != nil, err
}

const resumeEvery = time.Second

// goOn follows on where the stream broke, as soon as the line is up.
func (f *following) goOn(cause error) error {
	var said *remote.ScriptError
	if errors.As(cause, &said) || !f.watch.Seen() {
		return cause
	}
	f.a.ui.Verbose("what came from " + f.full() + " broke off: " + cause.Error())
	err := f.line.again(f.a.ctx, func() error { return f.watch.Resume(f.a.ctx, f.line) })
	if errors.Is(err, holder.ErrNone) {
		return &problem{"follow " + f.full() + ": the line was closed on this computer", "line", "nbremote logs -f " + shellWord(f.full())}
	}
	return err
}

// again waits until the line is up, does something, and waits on as long as that
// fails. holder.ErrNone: there will be no line.
func (l *line) again(ctx context.Context, do func() error) error {
	for {
		s, err := l.Status(ctx)
		if errors.Is(err, holder.ErrNone) {
			return err
		}
		if err == nil && s.State == holder.Up && do() == nil {
			return nil
		}
		select {
		case <-time.After(resumeEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ask asks what a Ctrl-C means. Meanwhile nothing is shown.
func (f *following) ask(asked <-chan struct{}) error {
	answer, err := f.a.ui.Ask(f.a.ctx, "[Enter] leave it running   [s] stop it   [c] go on watching ", true)
	for len(asked) > 0 {
		<-asked
	}
	if err != nil {
		return &ui.SignalError{Signal: os.Interrupt}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "s":
		f.stopping.Go(func() {
			if err := session.Stop(f.a.ctx, f.line, f.watch.Name); err != nil {
				f.a.ui.Note(err.Error())
			}
		})
	case "c":
	default:
		return &ui.SignalError{Signal: os.Interrupt}
	}
	return nil
}

// exit is the script's own end as ours.
func (f *following) exit(end session.End) error {
	switch {
	case !end.Known:
		return &problem{"how " + f.full() + " ended is not known: it was killed with all around it, or " + f.w.Host + " was started anew", "other", "nbremote logs " + shellWord(f.full())}
	case end.Exit == 0:
		return nil
	case end.Signal != "" && ui.IsTerminal(os.Stderr):
		f.a.ui.Note(f.full() + " was ended by signal " + end.Signal)
	}
	return &farExit{end.Exit}
}

func exitOf(e session.End) int {
	if !e.Known {
		return -1
	}
	return e.Exit
}

// endText is "exit 1, 18h ago".
func endText(s holder.Script, now time.Time) string {
	text := s.How()
	if !s.Ended.IsZero() {
		text += ", " + ui.Short(now.Sub(s.Ended)) + " ago"
	}
	return text
}

// ofScript makes an error of ours, in a command whose exit code is a script's,
// 255. That of the script, and a signal, stay what they are.
func ofScript(err error) error {
	var far *farExit
	var signal *ui.SignalError
	if err == nil || errors.As(err, &far) || errors.As(err, &signal) {
		return err
	}
	return &own{err}
}

// misreadScript is ofScript for a command line that could not be read.
func misreadScript(args []string, err error) error {
	if i := slices.IndexFunc(args, func(s string) bool { return !strings.HasPrefix(s, "-") }); i >= 0 && (args[i] == "run" || args[i] == "wait") {
		return ofScript(err)
	}
	return err
}
