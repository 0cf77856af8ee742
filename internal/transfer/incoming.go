package transfer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
)

// keep is the size from which on a file that did not arrive whole is kept, to
// go on with; its name is found again by the name that it is to have.
const keep = 1 << 20

func part(rel string) string { return named(rel, ".part") }

func named(rel, end string) string {
	sum := sha256.Sum256([]byte(path.Base(rel)))
	return path.Join(path.Dir(rel), ".nbremote-"+hex.EncodeToString(sum[:8])+end)
}

func beside(rel string) string {
	var b [8]byte
	rand.Read(b[:])
	return path.Join(path.Dir(rel), ".nbremote-"+hex.EncodeToString(b[:]))
}

// incoming is a file on its way: until it is whole it has another name.
type incoming struct {
	entry
	root *os.Root
	rel  string
	was  fs.FileInfo // what had its name when the copy began; nil: nothing

	file *os.File
	temp string
	at   int64
	left string // SHA-256 of what an earlier copy has left
	sum  uint32 // CRC-32 of what has come since begin
}

// claim takes over what an earlier copy has left.
func (f *incoming) claim() {
	left, err := f.root.Lstat(part(f.rel))
	if err != nil || !left.Mode().IsRegular() || left.Size() > f.size || !mine(left) {
		return
	}
	temp := beside(f.rel)
	if f.root.Rename(part(f.rel), temp) != nil {
		return
	}
	f.temp = temp
	if f.file, err = f.root.OpenFile(temp, os.O_RDWR, 0); err == nil {
		sum := sha256.New()
		f.at, err = io.Copy(sum, f.file)
		f.left = hex.EncodeToString(sum.Sum(nil))
	}
	if err != nil {
		f.drop()
		f.at = 0
	}
}

// begin makes it ready for what comes from at on: where it is, or the start.
func (f *incoming) begin(at int64) (err error) {
	if at != 0 && (at != f.at || f.file == nil) {
		return fmt.Errorf("it begins at %d and not at %d", at, f.at)
	}
	if at != 0 {
		_, err = f.file.Seek(at, io.SeekStart)
		return err
	}
	f.at = 0
	if f.file != nil {
		if _, err = f.file.Seek(0, io.SeekStart); err == nil {
			err = f.file.Truncate(0)
		}
		return err
	}
	f.temp = beside(f.rel)
	f.file, err = f.root.OpenFile(f.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
	return err
}

func (f *incoming) write(b []byte) error {
	f.sum = crc32.Update(f.sum, crc32.IEEETable, b)
	f.at += int64(len(b))
	_, err := f.file.Write(b)
	return err
}

func crcText(sum uint32) string { return fmt.Sprintf("%08x", sum) }

// errMeanwhile: nothing is replaced that was not seen when the copy began.
var errMeanwhile = errors.New("something else has come there meanwhile, or two names differ in case only")

// finish gives it its name, if it is what was sent.
func (f *incoming) finish(sum string) error {
	if crcText(f.sum) != sum {
		f.at = 0 // nothing to go on with
		return errors.New("its checksum is another here: it was damaged on the way")
	}
	if f.at >= keep {
		if err := f.file.Sync(); err != nil {
			return err
		}
	}
	err := f.file.Close()
	f.file = nil
	if err == nil {
		err = f.root.Chtimes(f.temp, f.mtime, f.mtime)
	}
	if err != nil {
		return err
	}
	now, err := f.root.Lstat(f.rel)
	if errors.Is(err, fs.ErrNotExist) {
		now, err = nil, nil
	}
	if err == nil && !same(f.was, now) {
		err = errMeanwhile
	}
	if err == nil {
		err = f.root.Rename(f.temp, f.rel)
	}
	if err == nil {
		f.temp = ""
		f.root.Remove(part(f.rel)) // of what it was before
	}
	return err
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// drop leaves a file that will not be whole now.
func (f *incoming) drop() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
	if f.temp == "" {
		return
	}
	if f.at < keep || f.root.Rename(f.temp, part(f.rel)) != nil {
		f.root.Remove(f.temp)
	}
	f.temp = ""
}
