package cli

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"nbremote/internal/remote"
)

// newParser makes the parser of the command tree.
func newParser(cmds *commands) (*kong.Kong, error) {
	return kong.New(cmds,
		kong.Name("nbremote"),
		kong.Description("Jupyter on another machine, in your browser."),
		kong.Help(printHelp),
		kong.Writers(stdout, os.Stderr),
		kong.ConfigureHelp(kong.HelpOptions{NoExpandSubcommands: true, WrapUpperBound: 90}),
	)
}

// parse reads the command line. What stands after -- is for Jupyter, or the
// command of run, and not looked at. A nil context: help was printed.
func parse(parser *kong.Kong, cmds *commands, args []string) (*kong.Context, error) {
	if os.Getenv("COMP_LINE") != "" {
		kongcompletion.Register(parser, predictors()...)
	}
	args, after, dashes := split(args)
	kctx, err := parser.Parse(args)
	if lost := stdout.lost(); lost != nil { // of the help
		return nil, lost
	}
	if err != nil {
		return nil, usage(misread(err), tryHelp(err))
	}
	if name := emptyOne(kctx); name != "" {
		return nil, usage("read the command line: "+name+" is empty", "leave it out, or say which; in a script, is its variable set?")
	}
	if !dashes {
		return kctx, nil
	}
	name := ""
	if kctx.Selected() != nil {
		name = kctx.Selected().Name
	}
	switch name {
	case "open":
		cmds.Open.args = after
	case "run":
		cmds.Run.argv = after
	default:
		return nil, usage("read the command line: only open and run take something after --", "nbremote open HOST -- --ServerApp.max_body_size=…")
	}
	return kctx, nil
}

// emptyOne is the argument or flag that was given as an empty text: a variable
// of a script that is not set, which must not mean the host used last.
func emptyOne(kctx *kong.Context) string {
	for _, e := range kctx.Path {
		switch {
		case e.Positional != nil && isEmpty(e.Positional.Target):
			return e.Positional.Summary()
		case e.Flag != nil && isEmpty(e.Flag.Target):
			return "--" + e.Flag.Name
		}
	}
	return ""
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Len() == 0
	case reflect.Slice:
		for i := range v.Len() {
			if isEmpty(v.Index(i)) {
				return true
			}
		}
	}
	return false
}

// split gives what stands before and after --, with the forms of asking for
// help and the version that people type brought to one.
func split(args []string) (before, after []string, dashes bool) {
	before = args
	if i := slices.Index(args, "--"); i >= 0 {
		before, after, dashes = args[:i], args[i+1:], true
	}
	switch {
	case len(before) == 0:
		before = []string{"--help"}
	case before[0] == "help":
		before = append(slices.Clone(before[1:]), "--help")
	case before[0] == "--version":
		before = []string{"version"}
	}
	return before, after, dashes
}

// noDuration is what the parser says of a length of time that is none.
var noDuration = regexp.MustCompile(`^(--[a-z-]+): expected duration but got "(.*)": `)

func misread(err error) string {
	if m := noDuration.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf("read %s: %q is no length of time", m[1], m[2])
	}
	return "read the command line: " + err.Error()
}

// tryHelp names the help of the command that was typed, as far as it is one.
func tryHelp(err error) string {
	if m := noDuration.FindStringSubmatch(err.Error()); m != nil {
		return m[1] + " 90s, 30m or 8h"
	}
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
		return "nbremote " + wrong.Context.Selected().Path() + " --help"
	}
	return "nbremote --help"
}

// overview is what nbremote --help prints; the flags below it are those of
// every command.
const overview = `Jupyter on another machine, in your browser. A lost line loses no output.
  nbremote open gpu1            find or start Jupyter on gpu1, open it here
  nbremote open gpu1:~/proj     in a project's directory
  nbremote demo                 try it on this computer alone
HOST: a name of ~/.ssh/config or user@host:port; left out: the last one used here

Notebooks
  open HOST[:DIR|:FILE]     open Jupyter; again: same server, same address
  open URL --via HOST       a Jupyter where no ssh leads, http://box:8888/lab
  url HOST                  the address with its token (--copy, --json)
  close [HOST|PORT]         end line and ports here; what is there runs on
  stop HOST[/NAME]          end Jupyter or a script (--idle 8h, --all)
  restart HOST[/NAME]       Jupyter anew: same session, port and token
See
  ls                        all that is open (--all: ask every host)
  status [HOST]             line, kernels, GPUs, memory, disk (--watch)
  logs HOST[/NAME]          what Jupyter or a script printed (-f)
  doctor HOST               check each step, offer repairs
Scripts
  run HOST[:DIR] -- CMD     in tmux; its output and exit code here
  run HOST:NOTEBOOK.ipynb   without a page, by papermill
  run --debug HOST -- CMD   a Python program waits for your debugger
  wait | attach HOST/NAME   wait for its end | its terminal
  shell HOST[:DIR]          a shell that survives the line
Kernels
  kernel add [ENV]          make an environment a kernel, proven; no ENV: choose
  kernel list               kernels, running ones, environments not yet added
  kernel add ENV --laptop   also for the editors here: it runs there
  kernel restart|interrupt|stop|remove NAME; connect HOST ID: for a console
Files and network
  cp SRC… DST               HOST:PATH on one side; goes on after a cut
  forward HOST PORT…        a port there, here (-R: a port here, there)
  proxy HOST                SOCKS into its network (--browser URL: a window)
Set-up
  ide EDITOR                configurations for VS Code, Cursor, PyCharm, Zed, …
  stdio HOST                for ssh_config: ssh, git, VS Code through our gateways
  config                    settings in force, and where each comes from
  clean HOST                what nbremote has put there; remove it
  demo, completion, version

-h --json -q -v --no-input; -y: yes to installs and stops, never to a host key
nbremote COMMAND --help says more of one
`

// printHelp prints the overview, or kong's own help of one command.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() == nil {
		_, err := fmt.Fprint(ctx.Stdout, overview)
		return err
	}
	return kong.DefaultHelpPrinter(options, ctx)
}

// checkSetenv refuses what is no KEY=VALUE.
func checkSetenv(all []string) error {
	for _, kv := range all {
		if k, _, ok := strings.Cut(kv, "="); !ok || !remote.EnvName(k) {
			return usage("read --setenv "+quoted(kv)+": not KEY=VALUE", "--setenv OMP_NUM_THREADS=8")
		}
	}
	return nil
}
