package transfer

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// localName: a name from a host may be one here, where some are devices and
// some letters mean something.
func localName(s string) bool {
	return !strings.ContainsAny(s, `\:*?"<>|`) && filepath.IsLocal(s) && s == strings.TrimRight(s, ". ")
}

// localLink: where a link leads means the same here.
func localLink(to string) bool { return !strings.ContainsAny(to, `\:`) }

// noRoom: the disk is full.
var noRoom = []error{syscall.Errno(112)}

// permits: modes are the host's affair.
func permits(now, _ fs.FileMode) fs.FileMode { return now }

// mine: owners are not looked at.
func mine(fs.FileInfo) bool { return true }
