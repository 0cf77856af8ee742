package ui

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/term"
)

// Raw is the terminal while it belongs to a program elsewhere: every key is
// passed on and all that is written is obeyed. No question can be asked then.
type Raw struct {
	t       *tty
	resized chan struct{}
	done    chan struct{}
	ended   chan struct{}

	mu         sync.Mutex
	caught     os.Signal // that ended it
	rows, cols uint16
}

// OpenRaw takes the terminal over until Close. RestoreTerminal and signals
// that end the program give it back too.
func OpenRaw() (*Raw, error) {
	t, err := openTTY()
	if err != nil {
		return nil, &problem{"there is no terminal"}
	}
	r := &Raw{t: t, resized: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{})}
	r.rows, r.cols = TerminalSize()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, rawSignals...)
	if err := t.makeRaw(); err != nil {
		signal.Stop(signals)
		t.close()
		return nil, fmt.Errorf("take over the terminal: %w", err)
	}
	asked.Store(t)
	go func() {
		defer close(r.ended)
		defer signal.Stop(signals)
		r.heed(signals)
	}()
	return r, nil
}

// TerminalSize is that of the terminal at stdout; 24 by 80 when it has none.
func TerminalSize() (rows, cols uint16) {
	w, h, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || w <= 0 || h <= 0 || w > 1<<15 || h > 1<<15 {
		return 24, 80
	}
	return uint16(h), uint16(w)
}

// heed watches for signals, and for another size where none is sent.
func (r *Raw) heed(signals <-chan os.Signal) {
	var tick <-chan time.Time
	if pollSize > 0 {
		ticker := time.NewTicker(pollSize)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case s := <-signals:
			switch {
			case stops(s):
				r.t.restore(false)
				stopHere()
			case endsRaw(s):
				r.mu.Lock()
				r.caught = s
				r.mu.Unlock()
				r.t.restore(false)
				r.t.wake()
				return
			}
			r.t.makeRaw() // a shell that had stopped this program has set another mode
		case <-tick:
		case <-r.done:
			return
		}
		r.look()
	}
}

// look tells Resized of another size.
func (r *Raw) look() {
	rows, cols := TerminalSize()
	r.mu.Lock()
	same := rows == r.rows && cols == r.cols
	r.rows, r.cols = rows, cols
	r.mu.Unlock()
	if !same {
		select {
		case r.resized <- struct{}{}:
		default: // who has not yet looked will see this one
		}
	}
}

// Resized has a value after TerminalSize has changed.
func (r *Raw) Resized() <-chan struct{} { return r.resized }

// Read gives the keys. It ends with io.EOF when the terminal is gone, with
// os.ErrClosed after Stop, and with a *SignalError.
func (r *Raw) Read(b []byte) (int, error) {
	n, err := r.t.read(b)
	return n, r.why(err)
}

// Write shows b. It ends as Read does.
func (r *Raw) Write(b []byte) (int, error) {
	if err := r.t.writeRaw(b); err != nil {
		return 0, r.why(err)
	}
	return len(b), nil
}

func (r *Raw) why(err error) error {
	if !errors.Is(err, errStopped) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.caught != nil {
		return &SignalError{r.caught}
	}
	return os.ErrClosed
}

// Stop ends Read, and a Write that waits. It may be called at any time.
func (r *Raw) Stop() { r.t.wake() }

// Close gives the terminal back. Read must have ended.
func (r *Raw) Close() {
	close(r.done)
	<-r.ended
	asked.CompareAndSwap(r.t, nil)
	r.t.close()
}
