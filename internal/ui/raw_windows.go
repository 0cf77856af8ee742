package ui

import (
	"os"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/windows"
)

// rawSignals: the console sends none that matters. An empty list would stand
// for all of them.
var rawSignals = []os.Signal{os.Interrupt}

func endsRaw(os.Signal) bool { return false }

const pollSize = 500 * time.Millisecond // nothing tells

// makeRaw has keys come as the sequences of a terminal, and those that are
// written obeyed.
func (t *tty) makeRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return os.ErrClosed
	}
	var in, out uint32
	if err := windows.GetConsoleMode(t.in, &in); err != nil {
		return err
	}
	if err := windows.GetConsoleMode(t.out, &out); err != nil {
		return err
	}
	if t.before == nil {
		t.before, t.beforeOut = &in, out
	}
	const vt = windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING | windows.DISABLE_NEWLINE_AUTO_RETURN
	if err := windows.SetConsoleMode(t.out, out|vt); err != nil {
		return err
	}
	return windows.SetConsoleMode(t.in, windows.ENABLE_VIRTUAL_TERMINAL_INPUT)
}

// read gives what was typed as UTF-8; errStopped when woken.
func (t *tty) read(b []byte) (int, error) {
	for {
		c, err := t.readKey()
		if err != nil {
			return 0, err
		}
		r := rune(c)
		switch {
		case utf16.IsSurrogate(r) && t.high == 0:
			t.high = r // the other half is the next key
			continue
		case t.high != 0:
			r, t.high = utf16.DecodeRune(t.high, r), 0
		}
		return copy(b, utf8.AppendRune(nil, r)), nil
	}
}

// writeRaw keeps a character that is not yet whole for the next call.
func (t *tty) writeRaw(b []byte) error {
	text := append(t.rest, b...)
	end := len(text)
	for back := 1; back <= min(utf8.UTFMax-1, len(text)); back++ {
		if tail := text[len(text)-back:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				end -= back
			}
			break
		}
	}
	t.rest = append([]byte(nil), text[end:]...)
	return t.write(string(text[:end]))
}
