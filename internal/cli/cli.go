// Package cli is the command line: one file a command. It alone prints, asks
// and ends the program.
package cli

import (
	"context"
	"os"
	"slices"
	"strings"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
)

// commands is the table of contents.
type commands struct {
	flags

	Open    openCmd    `cmd:"" help:"Find or start Jupyter on a host and open it here."`
	URL     urlCmd     `cmd:"" name:"url" help:"Print the address with its token."`
	Close   closeCmd   `cmd:"" help:"End the line and the ports here; what is on the host runs on."`
	Stop    stopCmd    `cmd:"" help:"End Jupyter, or a script, on the host."`
	Restart restartCmd `cmd:"" help:"Start Jupyter anew in the same session, with the same port and token."`
	Ls      lsCmd      `cmd:"" help:"List all that is open."`
	Status  statusCmd  `cmd:"" help:"Say how the line is, what waits, and what the host has left."`
	Logs    logsCmd    `cmd:"" help:"Print what Jupyter or a script printed."`
	Doctor  doctorCmd  `cmd:"" help:"Check each step on the way to a host, and the host; change nothing."`
	Clean   cleanCmd   `cmd:"" help:"Remove from a host what nbremote left there and nothing uses."`

	Run  runCmd  `cmd:"" help:"Run a script on the host, in tmux; its output and exit code here."`
	Wait waitCmd `cmd:"" help:"Wait for the end of a script; its exit code becomes that of nbremote."`

	Shell  shellCmd  `cmd:"" help:"A login shell on the host that survives cut lines."`
	Attach attachCmd `cmd:"" help:"Show the terminal of Jupyter or a script."`

	Cp cpCmd `cmd:"" help:"Copy files and folders; goes on after a cut."`

	Proxy   proxyCmd   `cmd:"" help:"SOCKS into a host's network; a browser window that uses it."`
	Forward forwardCmd `cmd:"" help:"Ports here that lead to ports there."`

	Stdio stdioCmd `cmd:"" help:"Be the ProxyCommand of ssh: through our gateways, with no sign-in of its own there."`

	Ide    ideCmd    `cmd:"" help:"Write launch configurations for an editor."`
	Kernel kernelCmd `cmd:"" help:"Make environments kernels; see and end those that run."`

	Config     configCmd     `cmd:"" help:"Print the settings in force and where each comes from."`
	Demo       demoCmd       `cmd:"" help:"Try it on this computer alone."`
	Completion completionCmd `cmd:"" help:"Print the completion script of a shell."`
	Version    versionCmd    `cmd:"" help:"Print the version."`

	Holder holderCmd `cmd:"" hidden:""`
	Notice noticeCmd `cmd:"" hidden:""`
}

// flags are for every command.
type flags struct {
	JSON      bool   `help:"Print JSON; an error is an object."`
	Quiet     bool   `short:"q" help:"Print errors only."`
	Verbose   int    `short:"v" type:"counter" help:"Say more; twice: everything."`
	NoInput   bool   `help:"Never ask; a question is an error."`
	Yes       bool   `short:"y" help:"Yes to installs and stops, never to a host key."`
	Progress  string `enum:"auto,plain,json,none" default:"auto" help:"How steps are shown: auto, plain, json or none."`
	SSHConfig string `name:"ssh-config" env:"NBREMOTE_SSH_CONFIG" placeholder:"FILE" help:"Read this instead of ~/.ssh/config."`
}

// Version of the program.
var Version = "0.1.0"

// Main runs the program and gives its exit code.
func Main() int {
	ctx, stop := signals()
	defer stop()
	defer ui.RestoreTerminal()
	if sock := os.Getenv(askpassEnv); sock != "" && len(os.Args) == 2 && os.Args[1] != holder.Command && os.Args[1] != holder.NoticeCommand {
		return askpass(ctx, sock, os.Args[1])
	}
	return run(ctx, os.Args[1:])
}

// alone are the commands that need neither settings nor directories.
var alone = []string{"version", "completion", "holder"}

func run(ctx context.Context, args []string) int {
	var cmds commands
	parser, err := newParser(&cmds)
	if err != nil {
		panic(err) // the command tree itself is wrong: no input leads here
	}
	kctx, err := parse(parser, &cmds, args)
	if err == nil && cmds.JSON {
		err = refuseJSON(kctx.Command())
	}
	a := newApp(ctx, cmds.flags)
	if err != nil {
		return a.end(misreadScript(args, err))
	}
	if name, _, _ := strings.Cut(kctx.Command(), " "); !slices.Contains(alone, name) {
		if err := a.load(); err != nil {
			return a.end(misreadScript(args, err))
		}
	}
	if err = kctx.Run(a); err == nil {
		err = stdout.lost()
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return a.end(err)
}
