package session

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"

	"nbremote/internal/remote"
)

// Debug is a Python program for Script.Own: it runs another one, which is its
// arguments, under debugpy.
//
//go:embed debug.py
var Debug string

// debugTime is how many tenths of a second debugpy may take to listen.
const debugTime = 600

// DebugPort waits until the session, which runs Debug, listens for a client on
// 127.0.0.1 of the host. 0: it has ended before, or does not listen in a minute.
func DebugPort(ctx context.Context, r remote.Runner, name string) (int, error) {
	out, err := r.Run(ctx, looking(named(name)+fmt.Sprintf(`NBR_T=0
		while [ ! -f "$S_DIR/debug" ] && session_alive %s && [ "$NBR_T" -lt %d ]; do nap; done
		! nbr_read "$S_DIR/debug" || put port "$nbr_v"`, Encode(name), debugTime)))
	if err != nil {
		return 0, fmt.Errorf("wait for the debugger of %s: %w", name, err)
	}
	fields, err := remote.ParseFields(out)
	if err != nil {
		return 0, fmt.Errorf("wait for the debugger of %s: %w", name, err)
	}
	for _, f := range fields {
		if port, err := strconv.Atoi(string(f.Value)); f.Name == "port" && err == nil && port > 0 && port < 65536 {
			return port, nil
		}
	}
	return 0, nil
}
