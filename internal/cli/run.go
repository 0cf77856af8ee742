package cli

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/session"
	"nbremote/internal/ui"
	"nbremote/kernel"
)

// runCmd runs a script on the host.
type runCmd struct {
	Host     string   `arg:"" optional:"" predictor:"host" help:"HOST, HOST:DIR or HOST:NOTEBOOK.ipynb; left out: the last one used here."`
	Notebook string   `arg:"" optional:"" help:"NOTEBOOK.ipynb in DIR, to be run without a page, in place of a command."`
	Param    []string `short:"p" help:"Parameter of the notebook, in the cell tagged parameters; again for the next." placeholder:"NAME=VALUE" sep:"none"`
	Name     string   `help:"Name of the session; left out: that of the script." placeholder:"NAME"`
	Env      string   `help:"Python environment whose python is first on PATH: a name or a path; left out: that of the project in DIR." placeholder:"ENV"`
	Setenv   []string `help:"Environment variable for it." placeholder:"KEY=VALUE" sep:"none"`
	Notify   bool     `help:"Tell the desktop when it has ended, within a minute."`
	TTY      bool     `name:"tty" help:"At a terminal of its own, which is this one until Ctrl-\\ leaves it running."`
	Debug    bool     `help:"Under debugpy: a Python program waits for a debugger, at a port here that leads to it."`
	Detach   bool     `short:"d" help:"Start it and print its name; do not watch."`

	argv     []string        // what stood after --
	debugger func(over bool) // ends what waits for debugpy
}

// Help stands below the command's help.
func (c *runCmd) Help() string {
	return "What stands after -- is the command, with its arguments as they are: nbremote run gpu1:~/proj -- python train.py. " +
		"A notebook is run by papermill: nbremote run gpu1:~/proj train.ipynb; what ran is in train.out.ipynb beside it. " +
		"DIR and files are the host's. It runs on when the line or this command ends; nbremote logs -f HOST/NAME shows the output again. " +
		"Its exit code becomes that of nbremote, 128+n for signal n; 255 is a failure of nbremote's own."
}

// Run starts the script and shows its output to the end.
func (c *runCmd) Run(a *app) error { return ofScript(c.run(a)) }

func (c *runCmd) run(a *app) error {
	w, wish, err := c.wish(a)
	if err != nil {
		return err
	}
	line, err := a.connect(a.ctx, w)
	if err != nil {
		return err
	}
	defer line.leave()
	if wish.Env, err = c.environment(a, line, w); err != nil {
		return err
	}
	switch {
	case c.Notebook != "":
		err = c.runsNotebook(a, line, w, &wish)
	case c.Debug:
		err = c.runsDebugged(a, line, w, &wish)
	}
	if err != nil {
		return err
	}
	typed := c.TTY && !c.Detach && haveTerminal()
	wish.Detach = wish.Detach || typed
	watch, err := session.Begin(a.ctx, line, wish)
	if err != nil {
		return fmt.Errorf("run on %s: %w", w.Host, err)
	}
	f := &following{a: a, line: line, w: w, watch: watch, menu: true, apart: true, begun: func(b session.Begun) { c.tell(a, line, w, wish, b) }}
	end, err := f.run()
	if c.debugger != nil {
		c.debugger(err == nil && !wish.Detach)
	}
	if err != nil {
		return c.explain(err, w)
	}
	var port *holder.Tunnel
	if c.Debug && wish.Detach {
		if port, err = c.attachable(a.ctx, a, line, w, watch.Begun.Name); err != nil {
			return err
		}
	}
	if typed {
		return c.atTerminal(a, line, w, watch.Begun)
	}
	a.startedHere = ""
	if c.Detach {
		return c.detached(a, w, watch.Begun, port)
	}
	return f.exit(end)
}

// wish is what is to be run, as far as it is known here.
func (c *runCmd) wish(a *app) (where, session.Script, error) {
	var wish session.Script
	err := c.readNotebook()
	if err == nil {
		err = checkSetenv(c.Setenv)
	}
	if err == nil {
		err = checkParameters(c.Param)
	}
	if err != nil {
		return where{}, wish, err
	}
	w, err := a.where(c.Host)
	if err == nil {
		err = a.onlyWithSSH(w, "run a script on")
	}
	c.ofPath(&w)
	switch {
	case err != nil:
	case c.Notebook == "" && (len(c.argv) == 0 || c.argv[0] == ""):
		err = usage("run: no command after --, and no notebook", "nbremote run HOST -- python train.py")
	case c.Notebook != "" && c.Debug:
		err = usage("run: --debug is for a Python program, not for a notebook", "nbremote run --debug HOST -- python train.py")
	case c.Debug:
		_, err = debugged(c.argv)
	case c.Notebook == "" && len(c.Param) > 0:
		err = usage("run: -p is for a notebook", "nbremote run HOST notebook.ipynb -p NAME=VALUE")
	}
	if err != nil {
		return w, wish, err
	}
	name := c.Name
	if name == "" {
		name = w.Session
	}
	if err := checkName(name); err != nil {
		return w, wish, err
	}
	wish = session.Script{Dir: w.Path, TTY: c.TTY, Detach: c.Detach, Owner: owner(), Setenv: a.setenv(w, c.Setenv)}
	if c.Notebook != "" {
		wish.Names = names(name, []string{strings.TrimSuffix(c.Notebook, notebookEnd)})
		wish.Argv, wish.Command, wish.Here = []string{"python3"}, c.notebookLine(), []session.Here{c.notebookHere()}
	} else {
		wish.Names, wish.Argv, wish.Command, wish.Here = names(name, c.argv), c.argv, commandLine(c.argv), here(c.argv)
	}
	return w, wish, nil
}

// environment is the one that was asked for; nil: that of the project.
func (c *runCmd) environment(a *app, line *line, w where) (*session.Env, error) {
	name := c.Env
	if name == "" {
		name = a.config.Hosts[w.Host].Env
	}
	if name == "" {
		return nil, nil
	}
	found, err := kernel.Environments(a.ctx, line, name, w.Path)
	if err != nil {
		return nil, fmt.Errorf("look for environments on %s: %w", w.Host, err)
	}
	list := "nbremote kernel list --host " + shellWord(w.Host)
	switch len(found.Asked) {
	case 0:
		return nil, notFound(fmt.Sprintf("find the environment %s on %s: %s", name, w.Host, found.NotThere), list)
	case 1:
	default:
		return nil, usage(fmt.Sprintf("find the environment %s on %s: it can be %d of those there", name, w.Host, len(found.Asked)), "--env PATH; "+list)
	}
	env := found.Asked[0]
	if env.Broken != "" {
		return nil, &problem{fmt.Sprintf("use %s: %s", found.Short(env.Prefix), env.Broken), "missing", recreate(env)}
	}
	return &session.Env{Kind: env.Kind, Name: env.Name, Prefix: env.Prefix}, nil
}

// tell says what was begun: to a person all of it, else what may be wrong.
func (c *runCmd) tell(a *app, line *line, w where, wish session.Script, b session.Begun) {
	a.startedHere = w.Host + "/" + b.Name
	if c.Debug && !wish.Detach {
		c.debugger = c.whileWatched(a, line, w, b.Name)
	}
	a.keepScript(line, holder.Script{Name: b.Name, Command: wish.Command, Running: true, Exit: -1, Started: time.Now(), Notify: c.Notify})
	a.remember(where{Host: w.Host, Path: w.Path, Via: w.Via, SSHConfig: w.SSHConfig})
	if ui.IsTerminal(os.Stderr) {
		a.ui.Line(a.startedHere, wish.Command+" in "+b.Place)
	}
	if b.Name != wish.Names[0] {
		a.ui.Verbose("the name " + wish.Names[0] + " is taken, so it is " + b.Name)
	}
	if e := b.Before; e != nil {
		a.ui.Verbose(fmt.Sprintf("%s ran before (%s); the log of that is kept in %s/log.1", b.Name, endText(scriptOf(b.Name, "", *e), time.Now()), b.Dir))
	}
	if b.Kills {
		a.ui.Note(endsAtLogout(w.Host, "it"))
	}
	if b.One {
		a.ui.Note("without Python on " + w.Host + " its stdout and stderr are one")
	}
	for _, file := range b.Absent {
		a.ui.Note("no " + file + " on " + w.Host + ", but one here")
	}
}

// detached prints the name.
func (c *runCmd) detached(a *app, w where, b session.Begun, port *holder.Tunnel) error {
	full := w.Host + "/" + b.Name
	if a.JSON {
		told := map[string]any{"host": w.Host, "session": b.Name, "directory": b.Place, "log": b.Dir + "/log"}
		if port != nil {
			told["debug"] = port.Local()
		}
		return a.printJSON(told)
	}
	_, err := fmt.Fprintln(stdout, a.ui.Text(full))
	return err
}

// atTerminal is the script's terminal at this one.
func (c *runCmd) atTerminal(a *app, line *line, w where, b session.Begun) error {
	full := w.Host + "/" + b.Name
	a.ui.Note(`Ctrl-\ leaves it running`)
	err := a.atTerminal(line, w.Host, "", b.Terminal())
	var far *farExit
	if errors.As(err, &far) && far.code == session.Left {
		a.startedHere = ""
		a.ui.Note(full + " runs on; back: nbremote attach " + shellWord(full))
		return nil
	}
	if err != nil {
		return fmt.Errorf("show the terminal of %s: %w", full, err)
	}
	watch, err := session.Follow(a.ctx, line, b.Name, session.WatchWish{Quiet: true})
	if err != nil {
		return err
	}
	f := &following{a: a, line: line, w: w, watch: watch}
	end, err := f.run()
	if err != nil {
		return err
	}
	a.startedHere = ""
	return f.exit(end)
}

// scriptOf is a script that has ended.
func scriptOf(name, command string, end session.End) holder.Script {
	return holder.Script{Name: name, Command: command, Exit: exitOf(end), Signal: end.Signal, Started: end.Started, Ended: end.Ended}
}

// explain adds what to do.
func (c *runCmd) explain(err error, w where) error {
	var taken *session.TakenError
	var only *session.OnlyHereError
	switch {
	case errors.As(err, &taken):
		full := shellWord(w.Host + "/" + taken.Name)
		return &problem{"run on " + w.Host + ": " + taken.Error(), "other", "--name NAME; or nbremote logs -f " + full}
	case errors.As(err, &only):
		return notFound("run on "+w.Host+": "+only.Error(), "nbremote cp "+shellWord(c.first())+" "+shellWord(w.Host+":"+path.Dir(strings.TrimPrefix(only.Path, "~/"))+"/"))
	}
	return fmt.Errorf("run on %s: %w", w.Host, err)
}

// first is the file that has to be there.
func (c *runCmd) first() string {
	if c.Notebook != "" {
		return c.Notebook
	}
	for _, h := range here(c.argv) {
		if h.Must {
			return h.Path
		}
	}
	return c.argv[0]
}

// setenv is what the settings set for a host, and more.
func (a *app) setenv(w where, more []string) []string {
	out := []string{}
	for k, v := range a.config.Hosts[w.Host].Setenv {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return append(out, more...)
}
