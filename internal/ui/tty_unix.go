//go:build unix

package ui

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// askSignals end a question, or stop it; with any other the terminal would be
// left without its echo.
var askSignals = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGTSTP}

func stops(s os.Signal) bool { return s == unix.SIGTSTP }

// stopHere stops the program as ^Z would have, and returns when it goes on.
// It waits for that: a signal to oneself may take a moment.
func stopHere() {
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, unix.SIGCONT)
	defer signal.Stop(goesOn)
	if unix.Kill(os.Getpid(), unix.SIGSTOP) == nil {
		<-goesOn
	}
}

// tty is the controlling terminal. Its descriptor does not block, so that a
// pipe can end the wait for input.
type tty struct {
	fd   int
	pipe [2]int

	mu     sync.Mutex // guards what follows, and the life of the descriptors
	before *unix.Termios
	closed bool
}

func openTTY() (*tty, error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t := &tty{fd: fd}
	syscall.ForkLock.RLock()
	err = unix.Pipe(t.pipe[:])
	if err == nil {
		unix.CloseOnExec(t.pipe[0])
		unix.CloseOnExec(t.pipe[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return t, unix.SetNonblock(t.pipe[1], true)
}

func (t *tty) close() {
	t.restore(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	unix.Close(t.fd)
	unix.Close(t.pipe[0])
	unix.Close(t.pipe[1])
}

// wake ends readLine, now or when it is called. It may be called at any time.
func (t *tty) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		unix.Write(t.pipe[1], []byte{0}) // full: it is awake already
	}
}

// setMode gives lines, signals and echo as wanted, whatever a program before
// has left behind.
func (t *tty) setMode(echo bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, err := unix.IoctlGetTermios(t.fd, getTermios)
	if err != nil {
		return err
	}
	if t.before == nil {
		t.before = before
	}
	mode := *before
	mode.Iflag |= unix.ICRNL
	mode.Iflag &^= unix.IGNCR | unix.INLCR
	mode.Oflag |= unix.OPOST | unix.ONLCR
	mode.Lflag |= unix.ICANON | unix.ISIG
	mode.Lflag &^= unix.ECHO | unix.ECHONL
	if echo {
		mode.Lflag |= unix.ECHO | unix.ECHOE | unix.ECHOK
	}
	return setTermios(t.fd, &mode)
}

// restore gives the mode back that setMode found. With drop what was typed of
// an unfinished secret is thrown away: the shell would show it.
func (t *tty) restore(drop bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil || t.closed {
		return
	}
	if drop {
		dropInput(t.fd)
	}
	setTermios(t.fd, t.before)
	t.before = nil
}

func setTermios(fd int, mode *unix.Termios) error {
	for {
		if err := unix.IoctlSetTermios(fd, setTermiosNow, mode); err != unix.EINTR {
			return err
		}
	}
}

// write writes all of s; a stopped terminal (^S) makes it wait, until woken.
func (t *tty) write(s string) error {
	for b := []byte(s); len(b) > 0; {
		n, err := unix.Write(t.fd, b)
		switch {
		case err == unix.EAGAIN:
			if err := t.wait(true); err != nil {
				return err
			}
		case err == unix.EINTR:
		case err != nil:
			return err
		default:
			b = b[n:]
		}
	}
	return nil
}

// readLine gives the next line; errStopped when woken, io.EOF after ^D.
func (t *tty) readLine() (string, error) {
	var line []byte
	chunk := make([]byte, maxAnswer+1)
	for {
		if err := t.wait(false); err != nil {
			return "", err
		}
		n, err := unix.Read(t.fd, chunk)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return "", err
		case n == 0 && len(line) == 0:
			return "", io.EOF
		}
		line = append(line, chunk[:n]...)
		end := bytes.IndexByte(line, '\n')
		switch {
		case end > maxAnswer || end < 0 && len(line) > maxAnswer:
			return "", errTooLong
		case end >= 0:
			return string(line[:end]), nil
		case n == 0:
			return string(line), nil
		}
	}
}
