package config

import (
	"errors"
	"os"
	"path/filepath"
)

// maxRun is how long RunDir may be: the path of a unix socket has 104 bytes on
// macOS (108 on Linux), of which a zero byte, a slash and "0123456789abcdef.sock"
// are taken.
const maxRun = 104 - 1 - 1 - 21

// StateDir is the directory of what outlives a restart, made when missing:
// $XDG_STATE_HOME/nbremote, else ~/.local/state/nbremote (on Windows
// %LocalAppData%\nbremote). It is ours, 0700 and no link.
//
// Where no such directory can be made or written (a read-only or full home,
// none at all) it is a directory that the commands of this user still share
// until the restart of this computer: state in $XDG_RUNTIME_DIR/nbremote, else
// nbremote-UID in the temporary directory.
func StateDir() (string, error) {
	dir := stateHome()
	if dir != "" {
		dir = filepath.Join(dir, "nbremote")
		err := private(dir)
		if err == nil || !cannotWrite(err) {
			return dir, err
		}
	}
	if runtime := runtimeHome(); runtime != "" {
		dir := filepath.Join(runtime, "nbremote")
		if err := private(dir); err == nil {
			dir = filepath.Join(dir, "state")
			return dir, private(dir)
		}
	}
	temp := absolute(os.TempDir())
	if temp == "" {
		temp = "/tmp"
	}
	dir = filepath.Join(temp, "nbremote-"+userID())
	return dir, private(dir)
}

// RunDir is the directory of sockets and locks, made when missing:
// $XDG_RUNTIME_DIR/nbremote when that is set, absolute, ours and short enough,
// else run in StateDir. It is ours, 0700, no link, and short enough for the
// sockets in it.
func RunDir() (string, error) {
	if runtime := runtimeHome(); runtime != "" {
		dir := filepath.Join(runtime, "nbremote")
		if len(dir) <= maxRun {
			if err := private(dir); err == nil || !cannotWrite(err) {
				return dir, err
			}
		}
	}
	state, err := StateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "run")
	if len(dir) > maxRun {
		return "", &Error{Path: dir, Text: "too long for the path of a socket", Try: "set XDG_RUNTIME_DIR to a short directory of yours, mode 0700"}
	}
	return dir, private(dir)
}

// runtimeHome is $XDG_RUNTIME_DIR if it can be trusted. After su or sudo it is
// often somebody else's, and then counts as not set.
func runtimeHome() string {
	dir := absolute(os.Getenv("XDG_RUNTIME_DIR"))
	if dir == "" {
		return ""
	}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || !ours(info) || othersCanWrite(info) {
		return ""
	}
	return dir
}

func stateHome() string {
	if dir := absolute(os.Getenv("XDG_STATE_HOME")); dir != "" {
		return dir
	}
	return platformStateHome()
}

// private makes dir, or proves that the one there is a directory of ours that
// nobody else can write to, and that we can.
func private(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return &Error{Path: dir, Text: "cannot be made: " + reason(err), Try: "set XDG_STATE_HOME to a directory of yours", err: err}
	}
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return &Error{Path: dir, Text: "cannot be made: " + reason(err), Try: "set XDG_STATE_HOME to a directory of yours", err: err}
	}
	return prove(dir)
}
