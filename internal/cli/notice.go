package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// noticeCmd shows one desktop notice for a holder; no person types it.
type noticeCmd struct{}

// Run reads the notice on stdin.
func (c *noticeCmd) Run(a *app) error {
	var n holder.Notice
	if err := json.NewDecoder(os.Stdin).Decode(&n); err != nil {
		return fmt.Errorf("read the notice on stdin: %w", err)
	}
	return ui.Notice(n.Title, n.Text)
}
