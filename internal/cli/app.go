package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"nbremote/internal/config"
	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/sshx"
)

// app is what a command works with.
type app struct {
	flags
	ctx            context.Context
	ui             *ui.UI
	config         *config.Config
	place          holder.Place
	target         *sshx.Target // demo: the host, resolved already
	connectTimeout time.Duration
	relayIdle      time.Duration // demo: it leaves nothing
	steps          []stepTime
	startedHere    string   // the session that this command has started on the host
	beginsHere     string   // the one whose start was interrupted: it may come to run
	log            string   // of the holder in use
	waiting        bool     // for a host that could not be reached: tries are not told
	ended          []string // by close or stop, for --json
}

// stepTime is one step of open and how long it took.
type stepTime struct {
	Name string `json:"name"`
	MS   int64  `json:"ms"`
}

func (a *app) took(name string, ms int64) { a.steps = append(a.steps, stepTime{name, ms}) }

// newApp makes what every command works with; load adds what most need.
func newApp(ctx context.Context, f flags) *app {
	return &app{
		flags: f, ctx: ctx, config: &config.Config{},
		ui: ui.New(ui.Options{Progress: f.Progress, Quiet: f.Quiet, Verbose: f.Verbose, NoInput: f.NoInput, JSON: f.JSON}),
	}
}

// load reads the settings and finds the directories of sockets and state.
func (a *app) load() (err error) {
	if a.config, err = config.Load(); err != nil {
		return err
	}
	if err = checkSettings(a.config); err != nil {
		return err
	}
	if a.place.State, err = config.StateDir(); err != nil {
		return err
	}
	a.place.Run, err = config.RunDir()
	return err
}

// end says how it ended and gives the exit code.
func (a *app) end(err error) int {
	if err == nil {
		return 0
	}
	var signal *ui.SignalError
	if errors.As(err, &signal) {
		if a.startedHere != "" {
			a.ui.Note(a.startedHere + " runs on; end it with: nbremote stop " + shellWord(a.startedHere))
		} else if a.beginsHere != "" {
			a.ui.Note(a.beginsHere + " may start all the same; end it with: nbremote stop " + shellWord(a.beginsHere))
		}
		return ui.ExitCode(err)
	}
	var far *farExit
	if errors.As(err, &far) {
		return far.code
	}
	var no *refused
	if errors.As(err, &no) {
		a.ui.Note(no.what)
		return 1
	}
	a.ui.Error(err, a.log)
	return ui.ExitCode(err)
}

// open gives the holders that run.
func (a *app) open() []holder.Status { return holder.List(a.ctx, a.place) }

func (a *app) canAsk() bool { return !a.NoInput && a.ui.CanAsk() }

// choose asks a question that is answered by one letter. The letters are given
// as "y/N": the upper-case one is the default, taken too when -y was given
// and y is not among them.
func (a *app) choose(question, letters string) (string, error) {
	def := strings.ToLower(letters[strings.IndexFunc(letters, isUpper):][:1])
	known := strings.ToLower(letters)
	if a.Yes {
		if strings.Contains(known, "y") {
			return "y", nil
		}
		return def, nil
	}
	for range 3 {
		answer, err := a.ui.Ask(a.ctx, question+" ["+letters+"] ", true)
		if err != nil {
			return "", err
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		if answer == "" {
			return def, nil
		}
		if first := answer[:1]; first != "/" && strings.Contains(known, first) {
			return first, nil
		}
	}
	return "", usage("read the answer: it must be one of "+letters, "")
}

func isUpper(r rune) bool { return r >= 'A' && r <= 'Z' }

// printJSON prints one object or array on stdout.
func (a *app) printJSON(v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, string(ui.SafeJSON(raw)))
	return err
}

// printOpened prints what open has to say on stdout: the address in one line,
// with its token only where it must be pasted, or the JSON object.
func (a *app) printOpened(o opened, token bool) error {
	if a.JSON {
		return a.printJSON(o)
	}
	address := o.URL
	if token {
		address = withToken(o)
	}
	_, err := fmt.Fprintln(stdout, address)
	return err
}

// withToken is the address as it is pasted into an IDE.
func withToken(o opened) string {
	if o.Token == "" {
		return o.URL
	}
	mark := "?"
	if strings.Contains(o.URL, "?") {
		mark = "&"
	}
	return o.URL + mark + "token=" + url.QueryEscape(o.Token)
}

// classOf is the class that an error gives itself, or "".
func classOf(err error) string {
	var classed interface{ Class() string }
	if errors.As(err, &classed) {
		return classed.Class()
	}
	return ""
}
