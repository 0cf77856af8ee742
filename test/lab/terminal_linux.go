package lab

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Terminal is an nbremote command at a terminal of its own, which is its
// controlling one: /dev/tty works, and a typed Ctrl-C is a signal.
type Terminal struct {
	*Job
	screen Text
	pty    *os.File
	tty    *os.File
	read   int
}

// Pty starts nbremote on the laptop at a terminal of 100 columns.
func (l *Lab) Pty(args ...string) *Terminal {
	l.t.Helper()
	return l.PtyEnv(nil, args...)
}

// PtyEnv is Pty with more environment, "KEY=VALUE".
func (l *Lab) PtyEnv(env []string, args ...string) *Terminal {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	x := &Terminal{Job: &Job{ended: make(chan struct{}), cancel: cancel, l: l}}
	x.cmd = l.Command(ctx, args...)
	x.cmd.Env = append(x.cmd.Env, env...)
	var err error
	x.pty, x.tty, err = pty.Open()
	must(l.t, err, "open a terminal")
	must(l.t, pty.Setsize(x.pty, &pty.Winsize{Rows: 40, Cols: 100}), "size a terminal")
	must(l.t, os.Chown(x.tty.Name(), l.Laptop.account(Me).UID, -1), "own a terminal")
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = x.tty, x.tty, x.tty
	x.cmd.SysProcAttr.Setctty = true
	x.begin()
	go func() { _, _ = io.Copy(&x.screen, x.pty) }()
	l.t.Cleanup(func() { x.pty.Close(); x.tty.Close() })
	return x
}

// Screen is everything the terminal has shown, control characters included.
func (x *Terminal) Screen() string { return strings.ReplaceAll(x.screen.String(), lastWord, "") }

// lastWord is written to a terminal when its program has ended: what is read
// before it is all that the program showed. The kernel may echo a typed Ctrl-C
// after it, or drop it for one, so it is written until it stands last.
const lastWord = "\x00"

// Wait waits until the program has ended, and the screen shows its last words.
func (x *Terminal) Wait() Result {
	x.l.t.Helper()
	r := x.Job.Wait()
	x.settle()
	return r
}

func (x *Terminal) settle() {
	x.l.t.Helper()
	Wait(x.l.t, 10*time.Second, "the last words on the screen", func() bool {
		if strings.HasSuffix(x.screen.String(), lastWord) {
			return true
		}
		_, err := x.tty.WriteString(lastWord)
		must(x.l.t, err, "write to the terminal")
		time.Sleep(10 * time.Millisecond)
		return false
	})
}

// Expect waits until the terminal shows a text after the one that was
// expected before.
func (x *Terminal) Expect(text string, limit time.Duration) {
	x.l.t.Helper()
	end := time.Now().Add(limit)
	for {
		ended := x.Ended()
		if ended {
			x.settle()
		}
		fresh := x.Screen()[x.read:]
		if at := strings.Index(fresh, text); at >= 0 {
			x.read += at + len(text)
			return
		}
		if ended || time.Now().After(end) {
			x.l.t.Fatalf("waited %v for %q at the terminal; it shows:\n%s", limit, text, x.Screen())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Type types a text; "\r" is Enter, "\x03" Ctrl-C.
func (x *Terminal) Type(text string) {
	x.l.t.Helper()
	_, err := x.pty.WriteString(text)
	must(x.l.t, err, "type at the terminal")
}

// Modes are the terminal's settings, to be compared before and after.
func (x *Terminal) Modes() unix.Termios {
	x.l.t.Helper()
	modes, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	must(x.l.t, err, "read a terminal's settings")
	return *modes
}

// Resize gives the terminal's window another size.
func (x *Terminal) Resize(rows, cols uint16) {
	x.l.t.Helper()
	must(x.l.t, pty.Setsize(x.pty, &pty.Winsize{Rows: rows, Cols: cols}), "size a terminal")
}
