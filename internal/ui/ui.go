// Package ui is what the person and the program that watches see on stderr:
// steps, notes, errors; and how questions are asked on the terminal. Only
// package cli uses it. Nothing of it writes an escape sequence: there is no
// colour, and a line in progress is overwritten with \r and spaces.
package ui

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// The rules of output, by Options.Progress:
//
//	auto   the transcript on a terminal, else plain
//	plain  lines that begin with "nbremote: "; "starting …", "ready HOST/NAME URL"
//	       and "error: …" are a contract that other programs match
//	json   one object a line, with the key "event"; keys are only ever added
//	none   errors only; so too with Quiet
//
// What a host has written passes Safe before it is shown. While a question is
// open on the same terminal, lines wait for its answer.

// Options of New; the zero value is auto on the standard error.
type Options struct {
	Progress string // auto (or ""), plain, json, none
	Quiet    bool   // errors only
	Verbose  int    // from 1 Verbose prints
	NoInput  bool   // never ask
	JSON     bool   // an error is one JSON object too
	Stderr   io.Writer
}

type mode int

const (
	transcript mode = iota
	plain
	objects
	none
)

// UI shows steps and asks questions. Its methods may be called at any time
// from any goroutine.
type UI struct {
	options Options
	mode    mode
	moves   bool       // the cursor can go back: a line in progress may be shown
	unicode bool       // of the terminal's locale
	width   func() int // columns, 0 = not known
	asks    chan struct{}

	mu     sync.Mutex // guards what follows, and the order of lines
	w      io.Writer
	steps  []*Step // open ones, in the order of their start
	drawn  int     // columns of the line in progress
	asking bool
	held   []string // lines that wait for an answer
	begun  bool
}

// New makes the UI of one command.
func New(o Options) *UI {
	u := &UI{options: o, w: o.Stderr, unicode: true, width: func() int { return 0 }, asks: make(chan struct{}, 1)}
	if u.w == nil {
		u.w = os.Stderr
	}
	terminal := false
	if f, ok := u.w.(*os.File); ok && IsTerminal(f) {
		terminal = true
		u.width = func() int { return columns(f) }
		u.unicode = localeIsUTF8()
		u.moves = os.Getenv("TERM") != "dumb"
	}
	u.mode = modeOf(o, terminal)
	return u
}

func modeOf(o Options, terminal bool) mode {
	switch {
	case o.Quiet || o.Progress == "none":
		return none
	case o.Progress == "json":
		return objects
	case o.Progress == "plain" || !terminal:
		return plain
	}
	return transcript
}

// event is a line of --progress=json.
type event struct {
	Event string `json:"event"`
	Name  string `json:"name,omitempty"`
	State string `json:"state,omitempty"`
	Text  string `json:"text,omitempty"`
	URL   string `json:"url,omitempty"`
	MS    *int64 `json:"ms,omitempty"`
}

// Begin says what the command sets out to do, at most once; a command that
// does not say so begins with its first step. It is for programs that watch:
// a person sees nothing of it.
func (u *UI) Begin(what string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begin(what)
}

func (u *UI) begin(what string) {
	if u.begun {
		return
	}
	u.begun = true
	switch u.mode {
	case plain:
		u.print("nbremote: starting " + oneLine(what))
	case objects:
		u.object(event{Event: "starting", Text: what})
	}
}

// Note prints a line, or several, that belong to no step.
func (u *UI) Note(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.say("note", text)
}

// Verbose is Note for those who asked for more.
func (u *UI) Verbose(text string) {
	if u.options.Verbose < 1 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.say("verbose", text)
}

func (u *UI) say(what, text string) {
	if u.mode == objects {
		u.object(event{Event: what, Text: text})
		return
	}
	for line := range strings.Lines(text) {
		u.note(strings.TrimRight(line, "\r\n"))
	}
}

func (u *UI) note(line string) {
	switch u.mode {
	case transcript:
		u.print("  " + u.text(line))
	case plain:
		u.print("nbremote: " + oneLine(line))
	}
}

// Line prints what is so without a step: ✓, name, text and no time.
func (u *UI) Line(name, text string) { u.Done(name, text) }

// Done prints what has been done without a step; it looks like Line.
func (u *UI) Done(name, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.result("done", name, text, nil)
}

// Ready says that HOST/NAME is to be had at url, and what was told about it,
// "opened in your browser". In plain it is the last line of a success.
func (u *UI) Ready(name, url, told string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch u.mode {
	case transcript:
		u.result("done", "ready", told, nil)
	case plain:
		u.begin(name)
		if told != "" {
			u.result("done", name, told, nil)
		}
		u.print("nbremote: ready " + oneLine(name) + " " + oneLine(url))
	case objects:
		u.begin(name)
		u.object(event{Event: "ready", Name: name, URL: url, Text: told})
	}
}

// result prints how something ended: state is done, warn or fail; took is nil
// where no time is known. u.mu is held.
func (u *UI) result(state, name, text string, took *time.Duration) {
	switch u.mode {
	case transcript:
		u.print(u.row(u.mark(state), name, text, took))
	case plain:
		if line := plainResult(state, name, text); line != "" {
			u.print(line)
		}
	case objects:
		e := event{Event: "step", Name: name, State: state, Text: text}
		if took != nil {
			ms := took.Milliseconds()
			e.MS = &ms
		}
		u.object(e)
	}
}

func plainResult(state, name, text string) string {
	prefix := "nbremote: "
	switch state {
	case "warn":
		prefix += "warning: "
	case "fail":
		if text == "" { // the error that follows says it
			return ""
		}
		prefix += "warning: "
	}
	return prefix + oneLine(name) + ": " + oneLine(text)
}

func (u *UI) object(e any) {
	raw, err := json.Marshal(e)
	if err != nil {
		return // texts and numbers only: it cannot be
	}
	u.print(string(SafeJSON(raw)))
}

// maxHeld bounds the lines that wait for an answer.
const maxHeld = 1000

// print writes a whole line, above the one in progress. u.mu is held.
func (u *UI) print(line string) {
	if u.asking && u.mode == transcript && len(u.held) < maxHeld {
		u.held = append(u.held, line)
		return
	}
	u.erase()
	io.WriteString(u.w, line+"\n") // nobody is left to be told when it fails
	u.draw()
}

// quiet keeps the terminal free for a question until the returned func is
// called.
func (u *UI) quiet() (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.erase()
	u.asking = true
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.loud()
	}
}

// loud prints what has waited, and ends the waiting. u.mu is held.
func (u *UI) loud() {
	u.asking = false
	held := u.held
	u.held = nil
	for _, line := range held {
		u.print(line)
	}
	u.draw()
}
