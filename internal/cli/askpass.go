package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// askpassEnv names the control socket of the holder that a child of it asks
// through. It is set in the holder's own environment alone.
const askpassEnv = "NBREMOTE_ASKPASS"

// askpassHere has the children of this process, such as the ssh of a
// ProxyCommand, ask through us instead of at a terminal (ssh(1), SSH_ASKPASS):
// a holder has none.
func askpassHere(sock string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	settings := map[string]string{"SSH_ASKPASS": self, "SSH_ASKPASS_REQUIRE": "force", askpassEnv: sock}
	if os.Getenv("DISPLAY") == "" {
		settings["DISPLAY"] = "none" // ssh before 8.4 asks nobody without one
	}
	for k, v := range settings {
		err = errors.Join(err, os.Setenv(k, v))
	}
	return err
}

// touchTime is how long a security key is waited for. ssh ends us before.
const touchTime = 2 * time.Minute

// askpass answers ssh's question, given as the one argument, by asking the
// command that is connected to the holder. Not answered: exit code 1, as
// ssh-askpass does. What ssh only tells while it waits for a touch
// (SSH_ASKPASS_PROMPT is none, and it ends us when that has come) is told there.
func askpass(ctx context.Context, sock, text string) int {
	prompt := os.Getenv("SSH_ASKPASS_PROMPT")
	q := holder.Question{Kind: "keyboard", Text: text, Echo: prompt == "confirm" || strings.Contains(text, "yes/no")}
	if prompt == "none" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, touchTime)
		defer cancel()
		q = holder.Question{Kind: "touch", Text: strings.TrimPrefix(text, "Confirm user presence for key ")}
	}
	answer, err := (&holder.Client{Sock: sock}).Ask(ctx, q)
	if err != nil {
		ui.New(ui.Options{}).Error(err, "")
		return 1
	}
	fmt.Println(answer)
	return 0
}
