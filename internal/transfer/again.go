package transfer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"time"

	"nbremote/internal/remote"
)

// maxFruitless is how often in a row a copy begins again though the last time
// brought nothing.
const maxFruitless = 10

// testOnlyPause is how long it waits before that.
var testOnlyPause = time.Second

// attempts are those of one copy, which begins again when its stream breaks.
type attempts struct {
	id     string          // ends the host's half of an earlier one, which need not know yet
	count  int             // that have ended
	made   map[string]bool // folders that were made, by their path in the list
	first  State           // after the list of the first
	last   State           // likewise, of the present one
	begun  bool            // there is a first
	listed bool            // the present one has its list
	kept   []Trouble       // of earlier ones, about what has arrived
}

// run copies until it is whole or does not go on.
func (a *attempts) run(ctx context.Context, wish Wish, copying func() (Result, error)) (Result, error) {
	var id [16]byte
	rand.Read(id[:])
	a.id, a.made = hex.EncodeToString(id[:]), map[string]bool{}
	var whole Result
	for fruitless, best := 0, int64(0); ; a.listed = false {
		r, err := copying()
		a.count++
		if a.listed || !a.begun {
			whole = a.sum(r)
		}
		if fruitless++; whole.Bytes+int64(whole.Files) > best {
			best, fruitless = whole.Bytes+int64(whole.Files), 0
		}
		switch {
		case !a.isLost(err) || ctx.Err() != nil || wish.Broke == nil || fruitless > maxFruitless:
			return whole, err
		case fruitless > 0 && !pause(ctx):
			return whole, context.Cause(ctx)
		case !wish.Broke(err):
			return whole, err
		}
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-time.After(testOnlyPause):
		return true
	case <-ctx.Done():
		return false
	}
}

// list notes what is still to come.
func (a *attempts) list(now State) {
	a.last, a.listed = now, true
	if !a.begun {
		a.first, a.begun = now, true
	}
}

// state is that of the copy as a whole, now being that of this attempt: what it
// did not want any more has arrived before.
func (a *attempts) state(now State) State {
	now.Files += a.first.AllFiles - a.last.AllFiles
	now.Bytes += a.first.AllBytes - a.last.AllBytes
	now.AllFiles, now.AllBytes = a.first.AllFiles, a.first.AllBytes
	return now
}

// sum is what has come of it so far, r being the result of this attempt.
func (a *attempts) sum(r Result) Result {
	r.State = a.state(r.State)
	r.Already = max(0, r.Already-(a.first.AllFiles-a.last.AllFiles))
	earlier := a.kept
	for _, t := range r.Troubles {
		if t.Class == Changed {
			a.kept = append(a.kept, t)
		}
	}
	for _, t := range earlier {
		r.add(t)
	}
	return r
}

// isLost says whether the copy ended because its stream did. A login shell that
// ends at once is a lost line only where it was none before.
func (a *attempts) isLost(err error) bool {
	if errors.As(err, new(*remote.NoAnswerError)) {
		return a.count > 1 && errors.Is(err, io.ErrUnexpectedEOF)
	}
	lost := (*BrokenError)(nil)
	if !errors.As(err, &lost) {
		return false
	}
	line, ok := lost.err.(interface{ Class() string })
	return errors.Is(lost.err, io.ErrUnexpectedEOF) || errors.As(lost.err, new(net.Error)) || ok && line.Class() == "line"
}
