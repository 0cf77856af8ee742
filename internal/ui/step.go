package ui

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	showAfter  = 300 * time.Millisecond // a shorter step shows its end only
	waitsAfter = 5 * time.Second        // from here on the seconds are shown
	stillEach  = 10 * time.Second       // where no line can be overwritten
)

// Step is something that takes time. It ends with Done, DoneIn, Warn or Fail;
// what is called on it after that does nothing.
type Step struct {
	ui         *UI
	name, text string
	began      time.Time
	timer      *time.Timer
	shown      bool // long enough for a line in progress
	paused     bool
	ended      bool
}

// Start begins a step. name is short, "found"; text says what is waited for,
// "looking around on gpu1".
func (u *UI) Start(name, text string) *Step {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := &Step{ui: u, name: name, text: text, began: time.Now()}
	u.steps = append(u.steps, s)
	switch {
	case u.mode == objects:
		u.begin(name)
		u.object(event{Event: "step", Name: name, State: "start", Text: text})
		s.timer = time.AfterFunc(stillEach, s.tick)
	case u.mode == plain:
		u.begin(startText(name, text))
		s.timer = time.AfterFunc(stillEach, s.tick)
	case u.mode == transcript && u.moves:
		s.timer = time.AfterFunc(showAfter, s.tick)
	case u.mode == transcript:
		s.timer = time.AfterFunc(waitsAfter, s.tick)
	}
	return s
}

// startText is what plain says of a command that did not say what it begins.
func startText(name, text string) string {
	if text == "" {
		return name
	}
	return "(" + text + ")"
}

// Update changes what is waited for, and ends a pause.
func (s *Step) Update(text string) {
	u := s.ui
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.ended {
		return
	}
	s.text, s.paused = text, false
	if u.mode == objects {
		u.object(event{Event: "step", Name: s.name, State: "update", Text: text})
	}
	u.draw()
}

// Pause takes the line in progress away until Update or the end.
func (s *Step) Pause() {
	s.ui.mu.Lock()
	defer s.ui.mu.Unlock()
	s.paused = true
	s.ui.erase()
	s.ui.draw()
}

// Done ends the step well; text says what came of it.
func (s *Step) Done(text string) { s.end("done", text, time.Since(s.began)) }

// DoneIn is Done with a time that was measured elsewhere.
func (s *Step) DoneIn(text string, took time.Duration) { s.end("done", text, took) }

// Warn ends the step with something the person should know.
func (s *Step) Warn(text string) { s.end("warn", text, time.Since(s.began)) }

// Fail ends the step badly. With "" it says what was waited for: the error
// that follows says more.
func (s *Step) Fail(text string) { s.end("fail", text, time.Since(s.began)) }

func (s *Step) end(state, text string, took time.Duration) {
	u := s.ui
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for i, x := range u.steps {
		if x == s {
			u.steps = append(u.steps[:i], u.steps[i+1:]...)
			break
		}
	}
	if text == "" && state == "fail" && u.mode == transcript {
		text = s.text
	}
	if state == "warn" && u.mode == transcript { // ux.md shows no time beside a warning
		u.result(state, s.name, text, nil)
		return
	}
	u.result(state, s.name, text, &took)
}

// tick shows that the step goes on, and comes again.
func (s *Step) tick() {
	u := s.ui
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.ended {
		return
	}
	s.shown = true
	next := time.Second
	if !u.moves || u.mode != transcript {
		next = stillEach
		u.still(s)
	}
	u.draw()
	s.timer.Reset(next)
}

// still is the line in progress where none can be overwritten.
func (u *UI) still(s *Step) {
	if s.paused || u.asking {
		return
	}
	waited := time.Since(s.began).Round(time.Second)
	switch u.mode {
	case plain:
		u.print(fmt.Sprintf("nbremote: still at %s: %s (%s)", oneLine(s.name), oneLine(s.text), seconds(waited)))
	case objects:
		ms := waited.Milliseconds()
		u.object(event{Event: "step", Name: s.name, State: "waiting", Text: s.text, MS: &ms})
	case transcript:
		u.print(u.row(u.mark("open"), s.name, s.text+"  "+seconds(waited), nil))
	}
}

// current is the newest step that has something to show.
func (u *UI) current() *Step {
	for i := len(u.steps) - 1; i >= 0; i-- {
		if s := u.steps[i]; s.shown && !s.paused {
			return s
		}
	}
	return nil
}

// draw writes the line in progress over the one before. u.mu is held.
func (u *UI) draw() {
	if u.mode != transcript || !u.moves || u.asking {
		return
	}
	s := u.current()
	if s == nil {
		u.erase()
		return
	}
	waited, tail := time.Since(s.began), ""
	if waited >= waitsAfter {
		tail = "  " + seconds(waited)
	}
	room := u.width()
	if room <= 0 {
		room = 80
	}
	room-- // the last column would wrap
	line := cut(strings.TrimRight(u.row(u.mark("open"), s.name, s.text, nil), " "), room-len(tail))
	line = cut(line+tail, room)
	n := wide(line)
	blank := strings.Repeat(" ", max(u.drawn-n, 0))
	io.WriteString(u.w, "\r"+line+blank)
	u.drawn = max(n, u.drawn) // the cursor stands behind the blanks
	if blank == "" {
		u.drawn = n
	}
}

// erase takes the line in progress away. u.mu is held.
func (u *UI) erase() {
	if u.drawn == 0 {
		return
	}
	n := u.drawn
	if w := u.width(); w > 0 { // the window may have become smaller
		n = min(n, w-1)
	}
	io.WriteString(u.w, "\r"+strings.Repeat(" ", n)+"\r")
	u.drawn = 0
}
