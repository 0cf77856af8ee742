package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"nbremote/internal/holder"
)

// holderCmd is the background process itself; no person types it. It reads its
// spec on stdin, says "ready" on stdout and closes both.
type holderCmd struct{}

// Run is the life of a holder.
func (c *holderCmd) Run(a *app) error {
	var spec holder.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the spec on stdin: %w", err)
	}
	os.Stdin.Close()
	if spec.Target == nil {
		return errors.New("read the spec on stdin: no target")
	}
	if err := askpassHere(holder.ByKey(spec.Place, spec.Target.Key()).Sock); err != nil {
		return err
	}
	debug.SetMemoryLimit(36 << 20) // collect rather than grow past this; not a ceiling
	if os.Getenv("GOMAXPROCS") == "" {
		// Bytes that go through four goroutines cost a quarter less when these
		// take turns on one processor; two earn nothing, for each packet waits
		// for the one before.
		runtime.GOMAXPROCS(1)
	}
	err := holder.Serve(a.ctx, spec, Version, os.Stderr, func() {
		fmt.Println("ready")
		os.Stdout.Close()
	})
	switch {
	case errors.Is(err, holder.ErrTaken):
		fmt.Println("taken")
		return nil
	case err != nil:
		fmt.Println(err)
	}
	return err
}
