// Package transfer copies files and folders between this computer and a host,
// in one stream: no round trip for each file. What is copied goes to a name
// beside its own until it is whole and its checksum is that of the source. It
// knows neither how the host is reached nor how things are shown.
package transfer

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"sync"

	"nbremote/internal/remote"
)

//go:embed far/wire.py
var wireText string

//go:embed far/send.py
var sendText string

//go:embed far/receive.py
var receiveText string

//go:embed far/main.py
var mainText string

// The order on the pipe, after the host's hello and what the copy is to be:
//
//	sender    source, dir, file, link, trouble …, listed
//	receiver  made (folder) …, want (file, offset, SHA-256 of what is there), same (file, SHA-256), trouble …, wanted
//	sender    begin, data …, end (CRC-32 of the data, state) for each want; same (yes, no); sent
//	receiver  at (how far it is) …, trouble …, done
//
// Files are known by their place in the list. CRC-32 finds what was damaged on
// the way, which SSH has already guarded from enemies; what decides whether two
// files are the same is a strong hash.

// Wish is what is to be copied.
type Wish struct {
	From   []string
	To     string
	Folder bool // To has to be a folder that is there
	Force  bool // what is there under the same name is replaced
	// Broke is called when the stream broke, and waits until there may be another:
	// the copy goes on where it was; false, or nil: it does not.
	Broke func(error) bool
}

// State is how far a copy is.
type State struct {
	Files    int   // that have arrived
	AllFiles int   // that are to be copied; 0: that is not known yet
	Bytes    int64 // that have arrived
	AllBytes int64
}

// Trouble is something that was not copied, or not as it should be.
type Trouble struct {
	Class string `json:"class"` // not-found, exists, skipped, changed, other
	Path  string `json:"path"`  // as it is called where the trouble is
	Text  string `json:"text"`
}

// Result is what became of it.
type Result struct {
	State
	Already  int       // files that were there
	Troubles []Trouble // the first thousand
	Failed   int       // how many things could not be copied, or were not whole
}

// maxTroubles is how many are kept.
const maxTroubles = 1000

func (r *Result) add(t Trouble) {
	if t.Class != Skipped {
		r.Failed++
	}
	if len(r.Troubles) < maxTroubles {
		r.Troubles = append(r.Troubles, t)
	}
}

// Classes of Trouble that mean more than that something failed.
const (
	Skipped = "skipped" // no file, folder or link; or a link that leads out
	Exists  = "exists"
	Changed = "changed" // while it was read: it is there as it was read
)

// BrokenError is a copy whose stream broke. Given again it goes on.
type BrokenError struct{ err error }

func (e *BrokenError) Error() string { return "the line was lost" }

// Class is that of a lost line.
func (e *BrokenError) Class() string { return "line" }

// Cause is what broke.
func (e *BrokenError) Cause() string { return e.err.Error() }

// Unwrap is what broke.
func (e *BrokenError) Unwrap() error { return e.err }

// program finds Python on the host, which takes the place of the shell.
var program = remote.Prelude + `py=$(command -v python3)
case $py in */shims/*) [ ! -x /usr/bin/python3 ] || py=/usr/bin/python3 ;; esac
[ -n "$py" ] || fail missing "that needs Python 3 there, and PATH has none" "scp -o ProxyCommand='nbremote stdio %n %p' …"
nbr_restore
exec "$py" -I -S -c ` + remote.Quote(wireText+sendText+receiveText+mainText)

// far is the host's half.
type far struct {
	pipe io.ReadWriteCloser
	wire
	once sync.Once
}

// begin starts the host's half and waits until it speaks.
func begin(ctx context.Context, host remote.Piper, tries *attempts, wish func(*writer)) (*far, error) {
	pipe, err := host.Pipe(ctx)
	if err != nil {
		return nil, err
	}
	f := &far{pipe: pipe}
	in, err := remote.TakeOver(pipe, program+" "+tries.id)
	if err != nil {
		f.Close()
		return nil, err
	}
	f.wire = newWire(in, pipe)
	name, _, err := f.take(0)
	if err == nil && name != "hello" {
		err = fmt.Errorf("it began with the field %q", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	wish(&f.writer)
	if tries.count > 0 {
		f.field("again", "")
	}
	f.field("go", "")
	return f, f.flush()
}

func (f *far) Close() { f.once.Do(func() { f.pipe.Close() }) }

// broken tells an end of the stream from what the host or this computer said.
func broken(ctx context.Context, err error) error {
	var said *remote.ScriptError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &said):
		return said
	case errors.As(err, new(*localError)):
		return err
	case errors.As(err, new(*remote.NoAnswerError)):
		return err
	}
	return &BrokenError{err}
}

// localError is a failure of this computer, not of the line.
type localError struct {
	err   error
	class string
}

func (e *localError) Error() string { return e.err.Error() }

// Unwrap is what failed.
func (e *localError) Unwrap() error { return e.err }

// Class decides the exit code.
func (e *localError) Class() string { return e.class }
