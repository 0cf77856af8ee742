package cli

import (
	"errors"
	"fmt"

	"nbremote/internal/remote"
)

// shellCmd opens the user's login shell on the host.
type shellCmd struct {
	Host string `arg:"" optional:"" predictor:"host" help:"HOST or HOST:DIR; left out: the last one used here."`
}

// Help stands below the command's help.
func (c *shellCmd) Help() string {
	return "It survives cut lines: what you type meanwhile is kept, and nothing that is printed is lost. " +
		"The shell's exit code becomes that of nbremote, 255 is a failure of nbremote's own."
}

// Run is at the terminal until the shell ends; its exit code becomes ours.
func (c *shellCmd) Run(a *app) error {
	err := c.run(a)
	var far *farExit
	if err == nil || errors.As(err, &far) {
		return err
	}
	return &own{err}
}

func (c *shellCmd) run(a *app) error {
	if !haveTerminal() {
		return usage("open a shell: stdin and stdout must be a terminal", "ssh HOST COMMAND, for a command without one")
	}
	w, err := a.where(c.Host)
	if err != nil {
		return err
	}
	if w.Session != "" && c.Host != "" {
		return usage("open a shell in "+w.String()+": that is a session, not a directory", "nbremote attach "+w.String())
	}
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return err
	}
	defer line.leave()
	dir := ""
	if w.Path != "" {
		found, err := line.Run(a.ctx, remote.Prelude+"d="+remote.Quote(w.Path)+"\n"+findDir)
		if err != nil {
			return fmt.Errorf("open a shell on %s: %w", w.Host, err)
		}
		dir = string(found)
	}
	if err := a.atTerminal(line, w.Host, dir, loginShell); err != nil {
		return fmt.Errorf("shell on %s: %w", w.Host, err)
	}
	return nil
}

// findDir prints the directory that d names; that of a file is its own.
const findDir = `case $d in
'~') d=$HOME ;;
'~/'*) d=$HOME/${d#'~/'} ;;
/*) ;;
*) d=$HOME/$d ;;
esac
[ ! -f "$d" ] || d=${d%/*}
[ -d "$d" ] || fail not-found "find the directory $d: there is none"
(cd "$d") 2>/dev/null || fail not-found "enter the directory $d: not allowed"
printf %s "$d"
`

const loginShell = `[ -x "${SHELL-}" ] || SHELL=/bin/sh
exec "$SHELL" -l
`
