package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// receive takes the files that were wanted.
func (r *receiver) receive() error {
	for {
		name, value, err := r.far.take(piece)
		if err != nil {
			return err
		}
		switch name {
		case "data":
			err = r.data(value)
		case "begin":
			err = r.begin(value)
		case "end":
			err = r.end(value)
		case "same":
			err = r.same(value)
		case "sent":
			if slices.ContainsFunc(r.files, func(f *incoming) bool { return f != nil }) || r.began {
				return errors.New("it ended before all had come that it has")
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// wanted is a file by its number.
func (r *receiver) wanted(value []byte, n int) (*incoming, []int64, string, error) {
	all, rest, err := numbers(value, n)
	if err != nil {
		return nil, nil, "", err
	}
	if all[0] >= int64(len(r.files)) || r.files[all[0]] == nil {
		return nil, nil, "", fmt.Errorf("it sends file %d, which is not wanted", all[0])
	}
	return r.files[all[0]], all, rest, nil
}

func (r *receiver) begin(value []byte) error {
	f, all, _, err := r.wanted(value, 2)
	if err == nil && r.began {
		err = errors.New("a file begins in the middle of another")
	}
	if err != nil {
		return err
	}
	r.files[all[0]] = nil // it comes once
	r.now, r.began = f, true
	r.Bytes += all[1]
	if err := f.begin(all[1]); err != nil {
		return r.lose(err)
	}
	return nil
}

func (r *receiver) data(value []byte) error {
	if !r.began {
		return errors.New("bytes of no file")
	}
	r.Bytes += int64(len(value))
	r.tell(r.State)
	if r.now == nil {
		return nil
	}
	if r.now.at+int64(len(value)) > max(r.now.size, 0)+growth {
		return fmt.Errorf("%.100q is longer than was said", r.now.rel)
	}
	if err := r.now.write(value); err != nil {
		return r.lose(err)
	}
	return nil
}

// growth is how much longer a file may have become since it was listed.
const growth = 1 << 30

// lose gives the file up that is on its way; what comes of it is dropped.
func (r *receiver) lose(err error) error {
	f := r.now
	r.now = nil
	fatal := r.failed(f.rel, err)
	if fatal != nil {
		f.at = 0 // room is what is wanted
	}
	f.drop()
	return fatal
}

func (r *receiver) end(value []byte) error {
	if !r.began {
		return errors.New("the end of no file")
	}
	r.began = false
	f := r.now
	if f == nil {
		return nil
	}
	sum, state, _ := bytes.Cut(value, []byte(" "))
	if string(sum) == "-" {
		r.now = nil
		f.drop()
		r.add(Trouble{Class: "other", Path: f.rel, Text: string(state)})
		return nil
	}
	if err := f.finish(string(sum)); err != nil {
		return r.lose(err)
	}
	r.now = nil
	r.Files++
	if string(state) == Changed {
		r.add(Trouble{Class: Changed, Path: r.here(f.rel), Text: "it changed while it was read"})
	}
	r.tell(r.State)
	return nil
}

func (r *receiver) same(value []byte) error {
	f, all, answer, err := r.wanted(value, 1)
	if err != nil {
		return err
	}
	r.files[all[0]] = nil
	if answer == "yes" {
		r.Already++
		return nil
	}
	return r.failed(f.rel, exists("another file is there"))
}

// finish makes the links, now that nothing goes through them, and gives the
// folders their modes and times.
func (r *receiver) finish() error {
	for _, l := range r.links {
		if err := r.link(l); err != nil {
			if err = r.failed(l.path, err); err != nil {
				return err
			}
		}
	}
	if r.name != "" && r.Failed == 0 {
		r.root.Remove(named(r.name, ".copy"))
	}
	for _, d := range slices.Backward(r.made) {
		i, err := r.root.Lstat(d.path)
		if err == nil && i.IsDir() {
			if mode := permits(i.Mode().Perm(), d.mode); mode != i.Mode().Perm() {
				err = r.root.Chmod(d.path, mode)
			}
			r.root.Chtimes(d.path, d.mtime, d.mtime)
		}
		if err != nil {
			if err = r.failed(d.path, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *receiver) link(l entry) error {
	i, err := r.root.Lstat(l.path)
	if err == nil {
		is := i.Mode()&fs.ModeSymlink != 0
		if to, err := r.root.Readlink(l.path); is && err == nil && to == l.to {
			r.Already++
			return nil
		}
		if !is || !r.wish.Force {
			return exists("something else is there")
		}
		if err := r.root.Remove(l.path); err != nil {
			return err
		}
	}
	err = r.root.Symlink(l.to, l.path)
	if err == nil {
		r.Files++
	}
	return err
}

// leave gives up what has not arrived.
func (r *receiver) leave() {
	if r.now != nil {
		r.now.drop()
	}
	for _, f := range r.files {
		if f != nil {
			f.drop()
		}
	}
}

// hashFile is the checksum of the first size bytes of a file in a folder.
func hashFile(root *os.Root, rel string, size int64) (string, error) {
	f, err := root.Open(rel)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum, err := hashOf(f, size)
	if err != nil {
		return "", err
	}
	return strings.ToLower(sum), nil
}
