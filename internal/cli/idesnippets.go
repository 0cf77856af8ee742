package cli

import (
	"fmt"
	"strings"

	"nbremote/internal/ide"
)

// snippets prints what an editor needs that has no files for nbremote to write.
func (c *ideCmd) snippets(a *app, host string, all []ide.Snippet, err error) error {
	if err != nil {
		return unwritable(err)
	}
	word := "nbremote ide " + c.Editor + " " + shellWord(host)
	if c.Write || c.Dir != "" {
		return usage("write for "+c.Editor+": where it goes is yours to say, so it is printed only", word+" --print")
	}
	for _, s := range all {
		a.ui.Note("for " + s.Place)
	}
	a.ui.Note("first: nbremote open " + shellWord(host))
	if c.Editor == "jlab" {
		a.ui.Note("JupyterLab Desktop takes the address itself: nbremote url " + shellWord(host) + " --copy, then Connect to an existing server")
	}
	if a.JSON {
		return a.printJSON(all)
	}
	for i, s := range all {
		text := s.Content
		if len(all) > 1 {
			text = strings.Repeat("\n", min(i, 1)) + "==> " + s.Place + " <==\n" + text
		}
		if _, err := fmt.Fprint(stdout, text); err != nil {
			return err
		}
	}
	return nil
}
