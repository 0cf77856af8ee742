package sshx

import (
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks a byte far behind the end, so that programs which know nothing
// of the lock can go on reading and writing.
func tryLock(f *os.File) error {
	far := windows.Overlapped{OffsetHigh: 0x7fffffff}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &far)
}
