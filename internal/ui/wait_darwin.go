package ui

import (
	"errors"

	"golang.org/x/sys/unix"
)

// wait waits until the terminal can be read, or written, or wake was called.
// It selects: poll and kqueue do not know /dev/tty on a Mac.
func (t *tty) wait(write bool) error {
	if t.fd >= unix.FD_SETSIZE || t.pipe[0] >= unix.FD_SETSIZE {
		return errors.New("too many open files")
	}
	for {
		var in, out unix.FdSet
		in.Set(t.pipe[0])
		if write {
			out.Set(t.fd)
		} else {
			in.Set(t.fd)
		}
		_, err := unix.Select(max(t.fd, t.pipe[0])+1, &in, &out, nil, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case in.IsSet(t.pipe[0]):
			return errStopped
		default:
			return nil
		}
	}
}
