//go:build unix

package config

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func platformConfigHome() string { return inHome(".config") }
func platformStateHome() string  { return inHome(".local", "state") }

// inHome is a path in the home directory: $HOME, else the one of the user's
// account, as ssh does it.
func inHome(parts ...string) string {
	home := absolute(os.Getenv("HOME"))
	if home == "" {
		u, err := user.LookupId(userID())
		if err != nil || absolute(u.HomeDir) == "" {
			return ""
		}
		home = u.HomeDir
	}
	return filepath.Join(append([]string{home}, parts...)...)
}

func userID() string { return strconv.Itoa(os.Geteuid()) }

// openNow opens without waiting for the other end of a FIFO.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func notDirectory(err error) bool { return errors.Is(err, unix.ENOTDIR) }

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func othersCanWrite(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

// onlyOursToChange refuses a file that somebody else could have written: it
// decides hosts and commands. root's is trusted, as in ssh.
func onlyOursToChange(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case othersCanWrite(info):
		return &Error{Path: path, Text: "others can write to it, so it is not read", Try: "chmod go-w " + path}
	case ok && st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return &Error{Path: path, Text: "belongs to another user, so it is not read", Try: "ls -l " + path}
	}
	return nil
}

// prove checks dir itself, not what a link leads to, on one open descriptor;
// a mode that only lets others look is tightened.
func prove(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP):
		return &Error{Path: dir, Text: "a link or a file, not a directory", Try: "rm " + dir, err: err}
	case err != nil:
		return &Error{Path: dir, Text: "cannot be opened: " + reason(err), Try: "ls -ld " + dir, err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return &Error{Path: dir, Text: reason(err), err: err}
	case !ours(info):
		return &Error{Path: dir, Text: "belongs to another user, so it is not used", Try: "set XDG_STATE_HOME and XDG_RUNTIME_DIR to directories of yours"}
	case othersCanWrite(info):
		return &Error{Path: dir, Text: "others can write to it, so it is not used", Try: "chmod 700 " + dir}
	}
	if info.Mode().Perm() != 0o700 {
		if err := f.Chmod(0o700); err != nil {
			return &Error{Path: dir, Text: "cannot be made private: " + reason(err), Try: "chmod 700 " + dir, err: err}
		}
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &Error{Path: dir, Text: "cannot be written to: " + reason(err), Try: "ls -ld " + dir, err: err}
	}
	return nil
}

// cannotWrite tells a place where nothing can be written from one that cannot
// be trusted.
func cannotWrite(err error) bool {
	for _, no := range []error{unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.EACCES, unix.EPERM, unix.ENOENT} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// syncDir makes a rename last. Some file systems cannot; the content is safe
// then too.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}
