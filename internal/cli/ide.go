package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"nbremote/internal/ide"
	"nbremote/internal/remote"
)

// ideCmd writes launch configurations for an editor.
type ideCmd struct {
	Editor string `arg:"" enum:"vscode,cursor,pycharm,jlab,zed,neovim,emacs" help:"vscode (and what is made from it), cursor, pycharm (and other IDEs of JetBrains); jlab, zed, neovim or emacs: printed only."`
	Host   string `arg:"" optional:"" predictor:"host" help:"HOST, HOST/NAME or HOST:DIR; left out: the last one used here."`

	Print bool   `xor:"how" help:"Print what the files would be, and write nothing; this is what happens without --write."`
	Write bool   `xor:"how" help:"Write them into the project; a file that is there is added to, and kept as FILE.bak."`
	Debug bool   `help:"Also what debugs Python programs there: launch.json, and a task for run --debug."`
	Dir   string `placeholder:"DIR" type:"existingdir" help:"Folder of the project; left out: the nearest above this one that has .vscode, .idea or .git, else this one."`
}

// ideFile is one file of the project, and what becomes of it.
type ideFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Changed bool   `json:"changed"`
	Backup  string `json:"backup,omitempty"` // of what was there before
	kept    []string
	there   *projectFile
}

// Run works out every file before it writes the first one. It does not
// connect: the files call nbremote by name, and it is asked for the address
// when it is wanted.
func (c *ideCmd) Run(a *app) error {
	host, err := c.host(a)
	if err != nil {
		return err
	}
	if all, known, err := ide.Snippets(c.Editor, host); known {
		return c.snippets(a, host, all, err)
	}
	files, err := c.files(host)
	if err != nil {
		return err
	}
	dir, err := c.project()
	if err != nil {
		return err
	}
	planned := []*ideFile{}
	for _, f := range files {
		p, err := c.plan(a, f, host, filepath.Join(dir, filepath.FromSlash(f.Path)))
		if err != nil {
			return err
		}
		planned = append(planned, p)
	}
	if c.Write {
		err = c.write(a, planned)
	}
	if err == nil {
		err = c.show(a, planned)
	}
	if err == nil {
		c.next(a, host)
	}
	return err
}

// host is the host as it was typed.
func (c *ideCmd) host(a *app) (string, error) {
	w, err := a.where(c.Host)
	return cmp.Or(c.Host, w.String()), err
}

// files are those of the editor.
func (c *ideCmd) files(host string) (files []ide.File, err error) {
	if c.Editor == "pycharm" {
		files, err = ide.PyCharm(host, runtime.GOOS == "windows")
	} else {
		debugs := ""
		if c.Debug {
			debugs = host
			if w, err := parseWhere(host); err == nil && w.Session != "" { // that is a Jupyter's
				debugs = w.Host
			}
		}
		files, err = ide.VSCode(host, debugs)
	}
	return files, unwritable(err)
}

func unwritable(err error) error {
	if err == nil {
		return nil
	}
	return usage("write a launch configuration: "+err.Error(), "nbremote open HOST once here; ide without HOST then takes that")
}

// project is the folder in which the editor finds its files. The home
// directory is none, though it has a .vscode: the editor keeps its extensions
// there.
func (c *ideCmd) project() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	home, _ := os.UserHomeDir()
	for dir := here; dir != home; dir = filepath.Dir(dir) {
		for _, mark := range []string{".vscode", ".idea", ".git"} {
			if _, err := os.Stat(filepath.Join(dir, mark)); err == nil {
				return dir, nil
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return here, nil
}

// plan works out what becomes of a file. One that cannot be added to is an
// error when it is to be written; else it is left out of account, and said.
func (c *ideCmd) plan(a *app, f ide.File, host, path string) (*ideFile, error) {
	there, err := readProjectFile(path)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	merged, err := f.Merge(there.content)
	if err != nil {
		err = c.unmerged(err, host, path)
		if c.Write {
			return nil, err
		}
		a.ui.Note("warning: " + err.Error() + "; this is for a new file")
		if merged, err = f.Merge(nil); err != nil {
			return nil, err
		}
	}
	return &ideFile{Path: path, Content: string(merged.Content), Changed: merged.Changed, kept: merged.Kept, there: there}, nil
}

func (c *ideCmd) unmerged(err error, host, path string) error {
	place := path + ": "
	var syntax *ide.SyntaxError
	if errors.As(err, &syntax) {
		place = path + ":"
	}
	return &problem{
		what: "add to " + place + err.Error() + "; it is left as it is", class: "other",
		try: "nbremote ide " + c.Editor + " " + shellWord(host) + " --print, and add it by hand",
	}
}

// write writes what has changed.
func (c *ideCmd) write(a *app, files []*ideFile) error {
	for _, f := range files {
		if !f.Changed {
			continue
		}
		backup, err := f.there.replace([]byte(f.Content))
		if err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		f.Backup = backup
	}
	return nil
}

// show prints the files, or says what was done to them.
func (c *ideCmd) show(a *app, files []*ideFile) error {
	for _, f := range files {
		for _, name := range f.kept {
			a.ui.Note(fmt.Sprintf("%s: %q is there and has been changed: left as it is; delete it to get it anew", f.Path, name))
		}
		switch {
		case !c.Write:
			a.ui.Note("for " + f.Path + "; --write writes it")
		case f.Changed && f.Backup != "":
			a.ui.Done("written", f.Path+"; before: "+f.Backup)
		case f.Changed:
			a.ui.Done("written", f.Path)
		default:
			a.ui.Done("unchanged", f.Path)
		}
	}
	if a.JSON {
		return a.printJSON(files)
	}
	if c.Write {
		return nil
	}
	return printFiles(files)
}

// printFiles prints one file as it is, and several with their names, as head
// and tail do.
func printFiles(files []*ideFile) error {
	for i, f := range files {
		text := f.Content
		if len(files) > 1 {
			text = fmt.Sprintf("==> %s <==\n%s", f.Path, text)
		}
		if i > 0 {
			text = "\n" + text
		}
		if _, err := fmt.Fprint(stdout, text); err != nil {
			return err
		}
	}
	return nil
}

// next says how to go on. The tasks make no kernel: the editor has to be told
// the address once, by hand.
func (c *ideCmd) next(a *app, host string) {
	word := shellWord(host)
	switch c.Editor {
	case "pycharm":
		a.ui.Note("Start it: the list of run configurations, nbremote open " + host + "; then: nbremote url " + word + " --copy")
		a.ui.Note("and paste it: Tools > Add Jupyter Connection > + > External Server (in 2024: Connect to Jupyter server using URL)")
		if c.Debug {
			a.ui.Note("Debug: PyCharm's debug server listens here, and the program there connects to it: nbremote forward " + shellWord(hostOf(host)) + " -R 5678:localhost:5678; docs/ide.md has the rest")
		}
	default:
		if c.Debug {
			a.ui.Note("Debug: open a file, Run and Debug, " + `"nbremote: debug this file on ` + host + `"`)
		}
		a.ui.Note("Start it: Terminal > Run Task > " + ide.Label("open", host) + "; then: nbremote url " + word + " --copy")
		a.ui.Note("and paste it, in a notebook: Select Kernel > Existing Jupyter Server > Enter the URL of the running Jupyter Server")
	}
}

// hostOf is the host alone, of what was typed for it and something on it.
func hostOf(typed string) string {
	if w, err := parseWhere(typed); err == nil {
		return w.Host
	}
	return typed
}

// shellWord is s as it is typed at a shell's prompt.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("@%+=:,./~_-[]", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return s
	}
	return remote.Quote(s)
}
