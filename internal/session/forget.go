package session

import (
	"context"
	"fmt"

	"nbremote/internal/remote"
)

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
