package cli

import (
	"slices"
	"strings"
)

// withoutJSON are the commands whose result is what something else printed: it
// stays as it is. That of run is too, but --json is also for its own errors.
var withoutJSON = []string{"logs", "shell", "attach", "stdio", "completion", "demo"}

// refuseJSON is the error of --json for a command that has none.
func refuseJSON(command string) error {
	name, _, _ := strings.Cut(command, " ")
	if !slices.Contains(withoutJSON, name) {
		return nil
	}
	return usage("read --json: "+name+" has no JSON to print", "leave --json out")
}

// printEnded prints, with --json, what close or stop has ended, under that word.
func (a *app) printEnded(word string, err error) error {
	if !a.JSON || err != nil && len(a.ended) == 0 {
		return err
	}
	out := map[string]any{word: a.ended}
	if a.ended == nil {
		out[word] = []string{}
	}
	if perr := a.printJSON(out); err == nil {
		err = perr
	}
	return err
}
