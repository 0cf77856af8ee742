//go:build unix

package ui

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// rawSignals are those that matter to a terminal in raw mode and that nobody
// else heeds: SIGQUIT would leave it so.
var rawSignals = []os.Signal{unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP, unix.SIGQUIT}

func endsRaw(s os.Signal) bool { return s == unix.SIGQUIT }

const pollSize time.Duration = 0 // SIGWINCH tells

// makeRaw is cfmakeraw(3).
func (t *tty) makeRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return os.ErrClosed
	}
	before, err := unix.IoctlGetTermios(t.fd, getTermios)
	if err != nil {
		return err
	}
	if t.before == nil {
		t.before = before
	}
	mode := *before
	mode.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	mode.Oflag &^= unix.OPOST
	mode.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	mode.Cflag &^= unix.CSIZE | unix.PARENB
	mode.Cflag |= unix.CS8
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	return setTermios(t.fd, &mode)
}

// read gives what was typed; errStopped when woken, io.EOF when the terminal
// is gone.
func (t *tty) read(b []byte) (int, error) {
	for {
		if err := t.wait(false); err != nil {
			return 0, err
		}
		n, err := unix.Read(t.fd, b)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EIO) || err == nil && n == 0:
			return 0, io.EOF
		case err != nil:
			return 0, err
		default:
			return n, nil
		}
	}
}

func (t *tty) writeRaw(b []byte) error { return t.write(string(b)) }
