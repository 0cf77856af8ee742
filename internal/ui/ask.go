package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
)

// The rules of asking: on the terminal itself (/dev/tty; CONIN$ and CONOUT$ on
// Windows), so that pipes stay clean; one question at a time; what is typed is
// read by the terminal's own line mode, so that ^C, ^Z and ^W work; and the
// terminal is as it was before, however the question ends.

const (
	maxAnswer = 4096
	maxPrompt = 8192 // a host words it
)

var (
	errStopped = errors.New("stopped")
	errTooLong = errors.New("too long")
)

// asked is the terminal of the open question, for RestoreTerminal.
var asked atomic.Pointer[tty]

// RestoreTerminal gives the terminal the mode that it had before the open
// question, if there is one. It is for a program that ends at once.
func RestoreTerminal() {
	if t := asked.Load(); t != nil {
		t.restore(true)
	}
}

// CanAsk says whether there is a terminal and questions are allowed.
func (u *UI) CanAsk() bool {
	if u.options.NoInput {
		return false
	}
	t, err := openTTY()
	if err != nil {
		return false
	}
	t.close()
	return true
}

// Ask puts a question on the terminal and gives the line typed, without its
// end; with echo false it is not shown. It ends with ctx, then with ctx.Err,
// or with a signal, then with a *SignalError. Without a terminal or with
// NoInput the error is of class usage.
func (u *UI) Ask(ctx context.Context, prompt string, echo bool) (string, error) {
	if u.options.NoInput {
		return "", &problem{"nobody can be asked: --no-input"}
	}
	select {
	case u.asks <- struct{}{}:
		defer func() { <-u.asks }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	t, err := openTTY()
	if err != nil {
		return "", &problem{"nobody can be asked: there is no terminal"}
	}
	defer t.close()
	defer u.quiet()()
	answer, err := t.ask(ctx, u.prompt(prompt), echo)
	switch {
	case errors.Is(err, errStopped) && ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, io.EOF):
		return "", &problem{"no answer"}
	case errors.Is(err, errTooLong):
		return "", &problem{"the answer is longer than 4 KiB"}
	case err != nil:
		return "", fmt.Errorf("ask on the terminal: %w", err)
	}
	return answer, nil
}

// prompt is the text as it is shown: safe, bounded, each line indented.
func (u *UI) prompt(text string) string {
	if len(text) > maxPrompt {
		text = text[:maxPrompt] + cutMark + " "
	}
	text = Safe(text)
	if !localeIsUTF8() {
		text = ascii(text)
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// ask is one question on t, from its prompt to the restored terminal.
func (t *tty) ask(ctx context.Context, prompt string, echo bool) (answer string, err error) {
	asked.Store(t)
	defer asked.Store(nil)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, askSignals...)
	defer signal.Stop(signals)
	defer context.AfterFunc(ctx, t.wake)()
	var caught os.Signal
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		caught = t.heed(signals, done, prompt, echo)
	}()
	answer, err = t.put(prompt, echo)
	close(done)
	<-ended
	t.restore(err != nil && !echo)
	if !echo || err != nil {
		t.write("\n")
	}
	if caught != nil {
		return "", &SignalError{caught}
	}
	return answer, err
}

func (t *tty) put(prompt string, echo bool) (string, error) {
	if err := t.setMode(echo); err != nil {
		return "", err
	}
	if err := t.write(prompt); err != nil {
		return "", err
	}
	return t.readLine()
}

// heed waits for a signal that ends the question and gives it; one that stops
// the program stops it, with the terminal restored meanwhile.
func (t *tty) heed(signals <-chan os.Signal, done <-chan struct{}, prompt string, echo bool) os.Signal {
	for {
		select {
		case s := <-signals:
			if !stops(s) {
				t.restore(!echo) // at once: who reads may still be busy
				t.wake()
				return s
			}
			t.restore(false)
			stopHere()
			if t.setMode(echo) == nil {
				t.write(prompt)
			}
		case <-done:
			return nil
		}
	}
}

// Choice is one of several: a name to be typed, and what helps to choose it.
type Choice struct{ Name, About string }

// Choose asks for one of choices, by its number in a list or by its name, and
// gives its index; the error is of class usage when three answers were neither.
func (u *UI) Choose(ctx context.Context, prompt string, choices []Choice) (int, error) {
	if len(choices) == 0 {
		return 0, &problem{"nothing to choose from"}
	}
	var question strings.Builder
	question.WriteString(prompt + "\n")
	columns := 0
	for _, c := range choices {
		columns = max(columns, wide(oneLine(c.Name)))
	}
	names := make([]string, len(choices))
	for i, c := range choices {
		names[i] = c.Name
		line := fmt.Sprintf("%3d  %s  %s", i+1, pad(oneLine(c.Name), columns), oneLine(c.About))
		question.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	number := fmt.Sprintf("Number or name [1-%d]: ", len(choices))
	text := question.String() + number
	for range 3 {
		answer, err := u.Ask(ctx, text, true)
		if err != nil {
			return 0, err
		}
		if i, ok := pick(strings.TrimSpace(answer), names); ok {
			return i, nil
		}
		text = number
	}
	return 0, &problem{"no such choice: one of " + strings.Join(names, ", ")}
}

// pick finds a name, which may be a number itself, or else a number. A name
// that several have is none.
func pick(answer string, names []string) (int, bool) {
	found, count := 0, 0
	for i, name := range names {
		if name == answer {
			found, count = i, count+1
		}
	}
	if count > 0 {
		return found, count == 1
	}
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(names) {
		return n - 1, true
	}
	return 0, false
}
