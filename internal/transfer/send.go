package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"nbremote/internal/remote"
)

// Put copies from here to a host; see Get.
func Put(ctx context.Context, host remote.Piper, wish Wish, tell func(State)) (Result, error) {
	tries := &attempts{}
	return tries.run(ctx, wish, func() (Result, error) { return tries.put(ctx, host, wish, tell) })
}

func (a *attempts) put(ctx context.Context, host remote.Piper, wish Wish, tell func(State)) (Result, error) {
	s := &sender{wish: wish, tell: func(now State) { tell(a.state(now)) }, tries: a}
	if len(wish.From) == 1 {
		if _, err := os.Stat(wish.From[0]); err != nil { // before anything is connected
			return s.Result, &localError{fmt.Errorf("read %s: %w", wish.From[0], cause(err)), classOf(err)}
		}
	}
	f, err := begin(ctx, host, a, func(w *writer) {
		w.field("dest", wish.To)
		if wish.Folder {
			w.field("folder", "1")
		}
		if wish.Force {
			w.field("force", "1")
		}
	})
	if err != nil {
		return s.Result, broken(ctx, err)
	}
	defer f.Close()
	defer context.AfterFunc(ctx, f.Close)()
	s.far = f
	if err = s.list(); err == nil {
		err = s.answer()
	}
	if err == nil {
		a.list(s.State)
		s.tell(s.State)
		err = s.sendAll()
	}
	return s.Result, broken(ctx, err)
}

func classOf(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "not-found"
	}
	return "other"
}

type sender struct {
	Result
	wish  Wish
	tell  func(State)
	far   *far
	files []source
	asked []asked
	tries *attempts
}

// source is a file here.
type source struct {
	path string
	fs.FileInfo
}

// asked is what the host wants of one of them.
type asked struct {
	number int64
	same   bool // whether it is what the host has
	from   int64
	sum    string
}

func (s *sender) trouble(path string, err error) {
	s.add(Trouble{Class: classOf(err), Path: path, Text: cause(err).Error()})
}

// list tells the host what there is.
func (s *sender) list() error {
	for n, from := range s.wish.From {
		i, err := os.Stat(from) // what is named is followed
		if err != nil {
			s.trouble(from, err)
			continue
		}
		name := filepath.Base(from)
		if name == "." || name == ".." || name == string(filepath.Separator) {
			name = ""
		}
		s.far.field("source", name)
		s.walk(from, fmt.Sprint(n), i)
	}
	s.far.field("listed", "")
	return s.far.flush()
}

// walk lists a file, or a folder with what is in it.
func (s *sender) walk(path, name string, i fs.FileInfo) {
	e := entry{mode: i.Mode().Perm(), mtime: i.ModTime(), path: name}
	switch {
	case i.Mode().IsRegular():
		e.kind, e.size = "file", i.Size()
		s.files = append(s.files, source{path, i})
	case i.IsDir():
		e.kind = "dir"
		if s.tries.made[name] {
			s.far.field("made", name)
		}
	case i.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil {
			s.trouble(path, err)
			return
		}
		e.kind, e.to = "link", filepath.ToSlash(to)
		if !staysInside(name, e.to) {
			s.add(Trouble{Class: Skipped, Path: path, Text: "a link that leads out of what is copied, to " + to})
			return
		}
	default:
		s.add(Trouble{Class: Skipped, Path: path, Text: "no file, folder or link"})
		return
	}
	s.far.entry(e)
	if e.kind != "dir" {
		return
	}
	inside, err := os.ReadDir(path)
	if err != nil {
		s.trouble(path, err)
	}
	for _, one := range inside {
		below := filepath.Join(path, one.Name())
		i, err := one.Info()
		if err != nil {
			s.trouble(below, err)
			continue
		}
		s.walk(below, name+"/"+one.Name(), i)
	}
}

// answer hears what the host wants.
func (s *sender) answer() error {
	for {
		name, value, err := s.far.take(maxField)
		if err != nil {
			return err
		}
		a := asked{same: name == "same"}
		n := 2
		switch name {
		case "wanted":
			return nil
		case "trouble":
			s.add(parseTrouble(value))
			continue
		case "made":
			s.tries.made[string(value)] = true
			continue
		case "same":
			n = 1
		case "want":
		default:
			continue
		}
		all, rest, err := numbers(value, n)
		if err != nil {
			return err
		}
		if all[0] >= int64(len(s.files)) {
			return fmt.Errorf("it wants file %d of %d", all[0], len(s.files))
		}
		a.number, a.sum = all[0], rest
		if !a.same {
			a.from = all[1]
			s.AllFiles++
			s.AllBytes += s.files[a.number].Size()
		}
		s.asked = append(s.asked, a)
	}
}

// sendAll sends what is wanted while it hears how that arrives.
func (s *sender) sendAll() error {
	heard := make(chan error, 1)
	changed := make(chan []Trouble, 1)
	go func() { heard <- s.hear() }()
	go func() {
		var all []Trouble
		for _, a := range s.asked {
			all = append(all, s.send(a)...)
		}
		s.far.field("sent", "")
		if s.far.flush() != nil {
			s.far.Close() // what is heard ends too
		}
		changed <- all
	}()
	err := <-heard
	s.far.Close() // a sender that nobody hears ends
	for _, t := range <-changed {
		s.add(t)
	}
	return err
}

// hear hears how far the host is, until it is done.
func (s *sender) hear() error {
	for {
		name, value, err := s.far.take(maxField)
		if err != nil {
			return err
		}
		switch name {
		case "trouble":
			s.add(parseTrouble(value))
		case "at":
			if all, _, err := numbers(value, 2); err == nil {
				s.Files, s.Bytes = int(all[0]), all[1]
				s.tell(s.State)
			}
		case "done":
			all, _, err := numbers(value, 3)
			if err != nil {
				return err
			}
			s.Files, s.Already, s.Bytes = int(all[0]), int(all[1]), all[2]
			return nil
		}
	}
}

// send sends one file, or says whether it is what the host has.
func (s *sender) send(a asked) []Trouble {
	from := s.files[a.number]
	unread := func(err error) []Trouble {
		s.far.field("end", "- ")
		return []Trouble{{Class: classOf(err), Path: from.path, Text: cause(err).Error()}}
	}
	f, err := os.Open(from.path)
	if err != nil {
		s.far.field("begin", fmt.Sprintf("%d 0", a.number))
		return unread(err)
	}
	defer f.Close()
	if a.same {
		sum, err := hashOf(f, from.Size())
		answer := "no"
		if err == nil && sum == a.sum {
			answer = "yes"
		}
		s.far.field("same", fmt.Sprintf("%d %s", a.number, answer))
		return nil
	}
	if a.from > 0 {
		if left, err := hashOf(f, a.from); err != nil || left != a.sum {
			a.from = 0
			f.Seek(0, io.SeekStart)
		}
	}
	s.far.field("begin", fmt.Sprintf("%d %d", a.number, a.from))
	at, sum, err := s.bytes(f, a.from)
	if err == errUnheard {
		return nil
	}
	if err != nil {
		return unread(err)
	}
	now, err := f.Stat()
	if err != nil {
		return unread(err)
	}
	s.far.field("end", crcText(sum)+" ok")
	if at != now.Size() || now.Size() != from.Size() || !now.ModTime().Equal(from.ModTime()) {
		return []Trouble{{Class: Changed, Path: from.path, Text: "it changed while it was read"}}
	}
	return nil
}

// errUnheard: the host does not take it; why is heard from there.
var errUnheard = errors.New("nobody takes it")

// bytes sends a file as long as it is when it is begun, and gives where it
// ended and the CRC-32 of what was sent.
func (s *sender) bytes(f *os.File, at int64) (int64, uint32, error) {
	sum := uint32(0)
	begun, err := f.Stat()
	if err == nil && !begun.Mode().IsRegular() {
		err = errors.New("it is no file any more")
	}
	if err != nil {
		return at, sum, err
	}
	b := make([]byte, piece)
	for at < begun.Size() {
		n, err := f.Read(b[:min(piece, begun.Size()-at)])
		if n > 0 {
			sum = crc32.Update(sum, crc32.IEEETable, b[:n])
			at += int64(n)
			if err := s.far.bytes("data", b[:n]); err != nil {
				return at, sum, errUnheard
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return at, sum, err
		}
	}
	return at, sum, nil
}

// hashOf is the checksum of the first size bytes.
func hashOf(r io.Reader, size int64) (string, error) {
	sum := sha256.New()
	if _, err := io.CopyN(sum, r, size); err != nil && err != io.EOF {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
