package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The profile's directories have access lists of their own; modes say nothing.

func platformConfigHome() string { return absolute(os.Getenv("AppData")) }
func platformStateHome() string  { return absolute(os.Getenv("LocalAppData")) }

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func userID() string { return notInNames.ReplaceAllString(os.Getenv("USERNAME"), "-") }

func openNow(path string) (*os.File, error) { return os.Open(path) }

func notDirectory(error) bool { return false }

func ours(fs.FileInfo) bool { return true }

func othersCanWrite(fs.FileInfo) bool { return false }

func onlyOursToChange(string, fs.FileInfo) error { return nil }

func prove(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return &Error{Path: dir, Text: "cannot be opened: " + reason(err), err: err}
	}
	if !info.IsDir() {
		return &Error{Path: dir, Text: "a link or a file, not a directory", Try: "del " + filepath.FromSlash(dir)}
	}
	return nil
}

func cannotWrite(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)
}

func syncDir(string) {}
