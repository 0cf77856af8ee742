package session

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/remote"
)

//go:embed watch.sh
var watchText string

// For WatchWish.Lines.
const (
	All   = -1 // the whole log, and which of it was stderr
	Usual = -2 // of a script all, else the last 200
)

// WatchWish is what of a session is to be told.
type WatchWish struct {
	Lines int  // how many of the log's last lines to begin with, All or Usual
	Quiet bool // nothing of the log: its end only
	Once  bool // do not wait for the end
}

// Watch follows one run of a session to its end. When its stream is lost it
// goes on, with Resume, where it was.
type Watch struct {
	Name  string
	Begun Begun  // of Begin only
	Spec  []byte // the file spec

	names  []string // that Begin may choose from
	body   io.Closer
	in     *bufio.Reader
	once   bool
	quiet  bool
	apart  bool   // which of it is stderr is wanted
	run    string // which run it is
	at     int64  // in the log
	ended  End
	flips  []int64 // where it goes over between stdout and stderr, from here on
	partly []byte  // of a line of the index
	index  int64   // how much of it is known
	stderr bool
	left   int64 // of the piece that is being read
	buffer []byte
}

// Piece is the next of what there is to tell.
type Piece struct {
	Begun   bool   // it is known what is watched
	Data    []byte // of the log, until the next piece is asked for
	Stderr  bool   // whose it was
	Trouble string // why the log cannot be written just now; with Told
	Told    bool   // Trouble has changed
	End     *End   // the last one
}

// End is how a run ended.
type End struct {
	Known          bool // false: it was killed with its wrapper, or it runs and Once was asked for
	Exit           int  // 128+n for signal n
	Signal         string
	Started, Ended time.Time // by the host's clock; zero: not known
}

// Follow begins to watch a session.
func Follow(ctx context.Context, s remote.Streamer, name string, wish WatchWish) (*Watch, error) {
	at, index := "", ""
	switch {
	case wish.Quiet:
	case wish.Lines == All:
		at, index = "0", "0"
	case wish.Lines == Usual:
		at = "-"
	default:
		at = "-" + strconv.Itoa(max(0, wish.Lines))
	}
	w := &Watch{Name: name, once: wish.Once, quiet: wish.Quiet, apart: index != ""}
	return w, w.open(ctx, s, looking(remote.Compact(watchText)+named(name)+w.call(at, index, "")))
}

// call is the watching line of a script.
func (w *Watch) call(at, index, run string) string {
	once := ""
	if w.once {
		once = "1"
	}
	return fmt.Sprintf("session_watch %s %s %s %s %s", Encode(w.Name), remote.Quote(at), remote.Quote(index), remote.Quote(run), remote.Quote(once))
}

func (w *Watch) open(ctx context.Context, s remote.Streamer, text string) error {
	body, err := s.Stream(ctx, text)
	if err != nil {
		return fmt.Errorf("follow %s: %w", w.Name, err)
	}
	w.body, w.in, w.left = body, bufio.NewReaderSize(body, 64<<10), 0
	return nil
}

// Resume goes on with another stream: no byte is lost or comes twice.
func (w *Watch) Resume(ctx context.Context, s remote.Streamer) error {
	w.Close()
	at, index := strconv.FormatInt(w.at, 10), ""
	if w.quiet {
		at = ""
	}
	if w.apart {
		index = strconv.FormatInt(w.index, 10)
	}
	if w.run == "" {
		return errors.New("go on with a session that was not seen to run")
	}
	return w.open(ctx, s, looking(remote.Compact(watchText)+named(w.Name)+w.call(at, index, w.run)))
}

// Seen says that it is known which run is watched: Resume can go on with it.
func (w *Watch) Seen() bool { return w.run != "" }

// Close ends it; the session runs on.
func (w *Watch) Close() error {
	if w.body == nil {
		return nil
	}
	return w.body.Close()
}

// errGoesOn ends a Next whose field was none of the log.
var errGoesOn = errors.New("there is more")

// Next waits for the next piece. After one with End there is none. An error is
// a *remote.ScriptError when the host said so, else that of the stream.
func (w *Watch) Next() (Piece, error) {
	for {
		if w.left > 0 {
			return w.data()
		}
		name, size, err := remote.NextField(w.in)
		if err != nil {
			return Piece{}, w.broken(err)
		}
		if name == "log" {
			w.left = size
			if size == 0 {
				err = w.newline()
			}
			if err != nil {
				return Piece{}, w.broken(err)
			}
			continue
		}
		p, err := w.field(name, size)
		if !errors.Is(err, errGoesOn) {
			return p, w.broken(err)
		}
	}
}

// broken: an end in the middle is none.
func (w *Watch) broken(err error) error {
	if err == nil {
		return nil
	}
	var said *remote.ScriptError
	switch {
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	case errors.As(err, &said) && said.Class() == "taken":
		return &TakenError{Name: w.Name, Why: said.Error()}
	case errors.As(err, &said) && said.Class() == "only-here":
		return &OnlyHereError{Path: said.Error()}
	case said != nil:
		return said
	}
	return fmt.Errorf("follow %s: %w", w.Name, err)
}

// data is the next piece of the log, of one kind.
func (w *Watch) data() (Piece, error) {
	for len(w.flips) > 0 && w.flips[0] <= w.at {
		w.stderr, w.flips = !w.stderr, w.flips[1:]
	}
	n := min(w.left, 64<<10)
	if len(w.flips) > 0 {
		n = min(n, w.flips[0]-w.at)
	}
	if w.buffer == nil {
		w.buffer = make([]byte, 64<<10)
	}
	read, err := w.in.Read(w.buffer[:n])
	if read == 0 && err != nil {
		return Piece{}, w.broken(err)
	}
	w.at += int64(read)
	if w.left -= int64(read); w.left == 0 {
		err = w.newline()
		if err != nil { // what was read counts
			w.in.Reset(errReader{err})
		}
	}
	return Piece{Data: w.buffer[:read], Stderr: w.stderr}, nil
}

type errReader struct{ error }

func (r errReader) Read([]byte) (int, error) { return 0, r.error }

func (w *Watch) newline() error {
	c, err := w.in.ReadByte()
	if err == nil && c != '\n' {
		err = errors.New("a field is longer than was said")
	}
	return err
}

const (
	maxField = 64 << 10
	maxIndex = 64 << 20
)

// field reads one that is none of the log.
func (w *Watch) field(name string, size int64) (Piece, error) {
	if size > maxField && name != "index" || size > maxIndex {
		return Piece{}, fmt.Errorf("the field %q has %d bytes", name, size)
	}
	value := make([]byte, size)
	if _, err := io.ReadFull(w.in, value); err != nil {
		return Piece{}, err
	}
	if err := w.newline(); err != nil {
		return Piece{}, err
	}
	text := strings.TrimSpace(string(value))
	number, err := strconv.ParseInt(text, 10, 64)
	known := err == nil && number >= 0
	switch name {
	case "index":
		return Piece{}, w.learn(value)
	case "run":
		w.run = text
	case "at":
		if known {
			w.at = number
		}
		return Piece{Begun: true}, nil
	case "spec":
		w.Spec = value
	case "exit":
		w.ended.Known, w.ended.Exit = known && number <= 255, int(number)
	case "signal":
		w.ended.Signal = text
	case "started":
		w.ended.Started = moment(number, known)
	case "ended":
		w.ended.Ended = moment(number, known)
	case "trouble":
		return Piece{Trouble: text, Told: true}, nil
	case "done":
		return Piece{End: &w.ended}, nil
	default:
		return Piece{}, w.begun(name, string(value))
	}
	return Piece{}, errGoesOn
}

// begun reads what only Begin is told.
func (w *Watch) begun(name, value string) error {
	if name == "name" {
		if !slices.Contains(w.names, value) {
			return fmt.Errorf("it was started as %.40q", value)
		}
		w.Name = value
	}
	w.Begun.set(name, value)
	return errGoesOn
}

// learn takes what the index has more.
func (w *Watch) learn(more []byte) error {
	w.index += int64(len(more))
	more = append(w.partly, more...)
	for {
		line, rest, ok := bytes.Cut(more, []byte("\n"))
		if !ok {
			w.partly = bytes.Clone(more)
			return errGoesOn
		}
		more = rest
		at, err := strconv.ParseInt(string(line), 10, 64)
		last := w.at
		if n := len(w.flips); n > 0 {
			last = w.flips[n-1]
		}
		if err != nil || at < last {
			return fmt.Errorf("its index has %.40q after %d", line, last)
		}
		w.flips = append(w.flips, at)
	}
}
