//go:build unix && !darwin

package ui

import "golang.org/x/sys/unix"

// wait waits until the terminal can be read, or written, or wake was called.
func (t *tty) wait(write bool) error {
	want := int16(unix.POLLIN)
	if write {
		want = unix.POLLOUT
	}
	fds := []unix.PollFd{{Fd: int32(t.fd), Events: want}, {Fd: int32(t.pipe[0]), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case fds[1].Revents != 0:
			return errStopped
		default:
			return nil
		}
	}
}
