package session

import (
	"context"
	"fmt"

	"nbremote/internal/remote"
)

// Leave removes what is empty of ours on a machine, once the relay there has
// ended or five seconds are over.
func Leave(ctx context.Context, r remote.Runner) error {
	_, err := r.Run(ctx, script(`NBR_T=0
		set -- "$NBR_RUN"/link/*.sock
		while [ -S "$1" ] && [ "$NBR_T" -lt 50 ]; do nap; done
		nbr_leave
		:`))
	return err
}

// Forget ends a session and removes what was kept of it; with the last one of
// a machine goes everything of ours there but what was installed.
func Forget(ctx context.Context, r remote.Runner, name string) error {
	body := fmt.Sprintf(`session_stop %[1]s %[2]d
		session_lock %[1]s 5 && session_forget %[1]s && rm -f "$nbr_lock"
		session_unlock
		nbr_leave
		:`, Encode(name), stopTime)
	if _, err := r.Run(ctx, script(body)); err != nil {
		return fmt.Errorf("forget session %s: %w", name, err)
	}
	return nil
}
