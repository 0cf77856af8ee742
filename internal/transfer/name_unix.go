//go:build !windows

package transfer

import (
	"io/fs"
	"syscall"
)

// localName: a name from a host may be one here.
func localName(string) bool { return true }

// localLink: where a link leads means the same here.
func localLink(string) bool { return true }

// noRoom: the disk is full, or the user's part of it.
var noRoom = []error{syscall.ENOSPC, syscall.EDQUOT}

// permits keeps of a folder's mode what the source's allows.
func permits(now, source fs.FileMode) fs.FileMode { return now & source }

// mine says whether a file belongs to who runs us.
func mine(i fs.FileInfo) bool {
	s, ok := i.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == syscall.Geteuid()
}
