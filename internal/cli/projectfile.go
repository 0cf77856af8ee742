package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// maxProjectFile bounds what is read and merged.
const maxProjectFile = 1 << 20

// projectFile is a file of a person's project, as it was read.
type projectFile struct {
	path    string // behind all links
	content []byte // nil: there is none
	mode    fs.FileMode
}

// readProjectFile reads a file that may be missing. Links are followed; what is
// no regular file is refused.
func readProjectFile(path string) (*projectFile, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return nil, errors.New("a link that leads nowhere")
		}
		return &projectFile{path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() > maxProjectFile {
		return nil, fmt.Errorf("larger than %d bytes", maxProjectFile)
	}
	content, err := os.ReadFile(real)
	if content == nil {
		content = []byte{}
	}
	return &projectFile{path: real, content: content, mode: info.Mode().Perm()}, err
}

// replace puts content in the place of what was read, which is kept beside it
// first, under a name that is given back; "" where there was nothing. A reader
// sees the old content or the new.
func (f *projectFile) replace(content []byte) (backup string, err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return "", err
	}
	mode := fs.FileMode(0o666) // less the umask
	if f.content != nil {
		mode = f.mode
	}
	if len(f.content) > 0 {
		if backup, err = f.keep(); err != nil {
			return "", err
		}
	}
	fresh, err := createNew(func(n int) string {
		return filepath.Join(filepath.Dir(f.path), "."+filepath.Base(f.path)+".nbremote"+strconv.Itoa(n))
	}, mode)
	if err != nil {
		return backup, err
	}
	if f.content != nil {
		err = fresh.Chmod(mode) // the umask does not count for a file that was there
	}
	err = errors.Join(err, finish(fresh, content))
	if err == nil {
		err = os.Rename(fresh.Name(), f.path)
	}
	if err != nil {
		os.Remove(fresh.Name())
	}
	return backup, err
}

// keep writes what was read to FILE.bak, or .bak.1, …: no older one is lost.
func (f *projectFile) keep() (string, error) {
	backup, err := createNew(func(n int) string {
		if n == 0 {
			return f.path + ".bak"
		}
		return f.path + ".bak." + strconv.Itoa(n)
	}, f.mode)
	if err != nil {
		return "", err
	}
	if err := finish(backup, f.content); err != nil {
		os.Remove(backup.Name())
		return "", err
	}
	return backup.Name(), nil
}

// createNew creates the first file of names that is not there.
func createNew(name func(n int) string, mode fs.FileMode) (*os.File, error) {
	for n := 0; ; n++ {
		f, err := os.OpenFile(name(n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) || n == 999 {
			return f, err
		}
	}
}

func finish(f *os.File, content []byte) error {
	_, err := f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
