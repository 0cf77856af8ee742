//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package ui

import "golang.org/x/sys/unix"

const (
	getTermios    = unix.TIOCGETA
	setTermiosNow = unix.TIOCSETA
)

func dropInput(fd int) {
	const fread = 1 // of <sys/fcntl.h>: the input queue
	unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, fread)
}
