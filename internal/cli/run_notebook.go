package cli

import (
	"encoding/json"
	"os"
	"path"
	"strings"

	"nbremote/internal/session"
	"nbremote/kernel"
)

const notebookEnd = ".ipynb"

func isNotebook(name string) bool {
	return strings.HasSuffix(name, notebookEnd) && path.Base(name) != notebookEnd
}

// readNotebook finds out whether a notebook is to run, and not a command:
// HOST:DIR NOTEBOOK, HOST:NOTEBOOK, NOTEBOOK alone, or -- NOTEBOOK.
func (c *runCmd) readNotebook() error {
	if c.Notebook == "" && isNotebook(c.Host) && !strings.Contains(c.Host, ":") {
		c.Host, c.Notebook = "", c.Host
	}
	if c.Notebook == "" && len(c.argv) == 1 && isNotebook(c.argv[0]) {
		c.Notebook, c.argv = c.argv[0], nil
	}
	const try = "nbremote run HOST notebook.ipynb -p NAME=VALUE"
	switch {
	case c.Notebook != "" && !isNotebook(c.Notebook):
		return usage("read the command line: "+quoted(c.Notebook)+" is no notebook; a command stands after --", "nbremote run HOST -- "+shellWord(c.Notebook))
	case c.Notebook != "" && len(c.argv) > 0:
		return usage("read the command line: a notebook, and a command after --", try)
	case c.Notebook == "" && len(c.argv) > 0 && isNotebook(c.argv[0]):
		return usage("read the command line: a notebook takes no arguments", try)
	}
	return nil
}

// ofPath takes the notebook from HOST:NOTEBOOK.
func (c *runCmd) ofPath(w *where) {
	if c.Notebook != "" || len(c.argv) > 0 || !isNotebook(w.Path) {
		return
	}
	c.Notebook = path.Base(w.Path)
	if w.Path = path.Dir(w.Path); w.Path == "." {
		w.Path = ""
	}
}

func checkParameters(all []string) error {
	for _, kv := range all {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
			return usage("read -p "+quoted(kv)+": not NAME=VALUE", "-p lr=0.1")
		}
	}
	return nil
}

// runsNotebook makes the wish one for the notebook.
func (c *runCmd) runsNotebook(a *app, line *line, w where, wish *session.Script) error {
	told := kernel.NotebookWish{Path: c.Notebook, Parameters: map[string]string{}}
	if len(wish.Names) > 1 {
		told.Auto = wish.Names[0]
	}
	for _, kv := range c.Param {
		name, value, _ := strings.Cut(kv, "=")
		told.Parameters[name] = value
	}
	if err := c.needs(a, line, w, wish, kernel.NotebookNeeds...); err != nil {
		return err
	}
	told.Own = wish.Env != nil
	raw, err := json.Marshal(told)
	if err != nil {
		return err
	}
	wish.Argv, wish.Own = []string{"python3", session.OwnProgram, string(raw)}, kernel.Notebook
	return nil
}

// notebookLine is what ls shows.
func (c *runCmd) notebookLine() string {
	words := []string{c.Notebook}
	for _, kv := range c.Param {
		words = append(words, "-p", kv)
	}
	return commandLine(words)
}

// notebookHere: it has to be there, and may be here alone.
func (c *runCmd) notebookHere() session.Here {
	s, err := os.Stat(c.Notebook)
	here := err == nil && s.Mode().IsRegular()
	return session.Here{Path: c.Notebook, Must: here, Need: !here}
}
