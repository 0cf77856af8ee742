package ui

import "golang.org/x/sys/unix"

const (
	getTermios    = unix.TCGETS
	setTermiosNow = unix.TCSETS
)

func dropInput(fd int) { unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }
