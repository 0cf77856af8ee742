package cli

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"nbremote/internal/ui"
)

// interrupts is given each Ctrl-C while it is not nil: a command that asks what
// is meant by it. Signals are the process's own, so this is too.
var interrupts atomic.Pointer[chan struct{}]

// sameSignal is how close two signals are that were meant as one: timeout(1),
// for one, sends its signal to the command and then to its whole group.
const sameSignal = 250 * time.Millisecond

// tidying is set while a command takes away, within a limit of its own, what
// would otherwise stay for good.
var tidying atomic.Bool

// signals gives a context that ends with the first signal; the second one ends
// the program at once, unless it is tidying.
func signals() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		var err error
		var first time.Time
		for s := range c {
			switch asked := interrupts.Load(); {
			case err == nil && s == os.Interrupt && asked != nil:
				select {
				case *asked <- struct{}{}:
				default: // it is being asked
				}
			case err == nil:
				err, first = &ui.SignalError{Signal: s}, time.Now()
				cancel(err)
			case time.Since(first) > sameSignal && !tidying.Load():
				ui.RestoreTerminal()
				os.Exit(ui.ExitCode(err))
			}
		}
	}()
	return ctx, func() { signal.Stop(c); close(c); cancel(nil) }
}

// onInterrupt has Ctrl-C given to the channel until end is called.
func onInterrupt() (asked <-chan struct{}, end func()) {
	c := make(chan struct{}, 1)
	interrupts.Store(&c)
	return c, func() { interrupts.Store(nil) }
}
