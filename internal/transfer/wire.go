package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/remote"
)

const (
	piece    = 256 << 10 // of a file, in one field
	maxField = 64 << 10  // of every other
)

// wire is one end of the pipe.
type wire struct {
	in   *bufio.Reader
	room []byte
	writer
}

func newWire(in *bufio.Reader, out io.Writer) wire {
	return wire{in: in, room: make([]byte, piece), writer: writer{bufio.NewWriterSize(out, piece+1024)}}
}

// writer writes fields. An error stays until flush.
type writer struct{ out *bufio.Writer }

func (w *writer) field(name string, value string) { remote.WriteField(w.out, name, value) }

func (w *writer) bytes(name string, value []byte) error {
	fmt.Fprintf(w.out, "%s %d\n", name, len(value))
	w.out.Write(value)
	return w.out.WriteByte('\n')
}

func (w *writer) flush() error { return w.out.Flush() }

// take reads the next field; one whose value is longer than most is an error.
// The value is good until the next one.
// What the host's fail said is that error.
func (w *wire) take(most int) (name string, value []byte, err error) {
	var said []remote.Field
	for {
		var size int64
		name, size, err = remote.NextField(w.in)
		if err == nil {
			limit := most
			if limit == 0 || remote.IsFail(name) {
				limit = maxField
			}
			value, err = remote.ReadValue(w.in, size, limit, w.room)
		}
		switch {
		case err != nil:
			if last := remote.Said(said); last != nil {
				err = last
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", nil, err
		case !remote.IsFail(name):
			return name, value, nil
		}
		if said = append(said, remote.Field{Name: name, Value: bytes.Clone(value)}); len(said) > 8 {
			return "", nil, errors.New("it says too much of a failure")
		}
	}
}

// entry is a file, folder or link of what is copied.
type entry struct {
	kind  string // dir, file, link
	mode  fs.FileMode
	mtime time.Time
	size  int64
	path  string // from the number of its source on, with slashes
	to    string // of a link
}

// parseEntry reads "MODE MTIME SIZE PATH", of a link with a NUL and where it
// leads behind it. The path is one that stays below where it is put.
func parseEntry(kind string, value []byte) (entry, error) {
	e := entry{kind: kind}
	words := strings.SplitN(string(value), " ", 4)
	if len(words) != 4 {
		return e, fmt.Errorf("an entry of %d words", len(words))
	}
	mode, err1 := strconv.ParseUint(words[0], 8, 32)
	mtime, err2 := strconv.ParseInt(words[1], 10, 64)
	size, err3 := strconv.ParseInt(words[2], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil || size < 0 {
		return e, fmt.Errorf("no entry: %.100q", value)
	}
	e.mode, e.mtime, e.size, e.path = fs.FileMode(mode)&fs.ModePerm, time.Unix(0, mtime), size, words[3]
	if kind == "link" {
		var ok bool
		if e.path, e.to, ok = strings.Cut(e.path, "\x00"); !ok || e.to == "" || strings.Contains(e.to, "\x00") {
			return e, fmt.Errorf("a link that leads nowhere: %.100q", value)
		}
	}
	for i, part := range strings.Split(e.path, "/") {
		if i == 0 && !allDigits(part) || !goodName(part) {
			return e, fmt.Errorf("a name that leads elsewhere: %.100q", e.path)
		}
	}
	return e, nil
}

func allDigits(s string) bool {
	return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == ""
}

// goodName says whether s is one name, of something in a folder.
func goodName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 255 && !strings.ContainsAny(s, "/\x00") && localName(s)
}

func (w *writer) entry(e entry) {
	path := e.path
	if e.kind == "link" {
		path += "\x00" + e.to
	}
	w.field(e.kind, fmt.Sprintf("%o %d %d %s", e.mode.Perm(), e.mtime.UnixNano(), e.size, path))
}

// staysInside says whether a link at path, whose first name is the top of what
// is copied, leads to something in it: relative, and with ".." only where it
// begins, since behind another link it could mean anything.
func staysInside(path, to string) bool {
	if to == "" || strings.HasPrefix(to, "/") || !localLink(to) {
		return false
	}
	depth, down := strings.Count(path, "/")-1, false
	for _, part := range strings.Split(to, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || down {
				return false
			}
		default:
			down = true
		}
	}
	return true
}

// parseTrouble reads "CLASS PATH", NUL, text.
func parseTrouble(value []byte) Trouble {
	head, text, _ := bytes.Cut(value, []byte{0})
	class, path, _ := bytes.Cut(head, []byte(" "))
	return Trouble{Class: string(class), Path: string(path), Text: string(text)}
}

// numbers reads n numbers that are not negative, and what stands behind them.
func numbers(value []byte, n int) (all []int64, rest string, err error) {
	words := strings.Split(string(value), " ")
	if len(words) < n {
		return nil, "", fmt.Errorf("%d numbers in %.100q", n, value)
	}
	for _, word := range words[:n] {
		number, err := strconv.ParseInt(word, 10, 64)
		if err != nil || number < 0 {
			return nil, "", fmt.Errorf("no number: %.100q", value)
		}
		all = append(all, number)
	}
	return all, strings.Join(words[n:], " "), nil
}
