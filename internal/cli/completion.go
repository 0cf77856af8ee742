package cli

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"nbremote/internal/config"
	"nbremote/internal/holder"
)

// completionCmd prints what a shell needs to complete our commands.
type completionCmd struct {
	Shell string `arg:"" optional:"" enum:"bash,zsh,fish," default:"" help:"bash, zsh or fish; left out: your login shell."`
}

// Help stands below the command's help.
func (c *completionCmd) Help() string {
	return "Put this into your shell's start-up file:\n\n" +
		"  bash, zsh: eval \"$(nbremote completion bash)\"\n  fish: nbremote completion fish | source"
}

// Run prints the script.
func (c *completionCmd) Run(kctx *kong.Context) error {
	return (&kongcompletion.Completion{Shell: c.Shell, Code: true}).Run(kctx)
}

// predictors complete HOST from the open sessions and the ssh_config file;
// nothing is resolved and no host is asked.
func predictors() []kongcompletion.Option {
	return []kongcompletion.Option{
		kongcompletion.WithPredictor("host", complete.PredictFunc(func(complete.Args) []string { return knownHosts() })),
		kongcompletion.WithPredictor("copy", complete.PredictOr(complete.PredictFunc(func(complete.Args) []string { return copyHosts() }), complete.PredictFiles("*"))),
		kongcompletion.WithPredictor("proxy", complete.PredictFunc(func(complete.Args) []string { return append(knownProxies(), knownHosts()...) })),
	}
}

func knownHosts() []string {
	names := hostsIn(sshConfigPath())
	if c, err := config.Load(); err == nil {
		for name := range c.Hosts {
			names = append(names, name)
		}
	}
	if run, err := config.RunDir(); err == nil {
		for _, s := range holder.List(context.Background(), holder.Place{Run: run}) {
			for _, p := range s.Pages {
				names = append(names, s.Name+"/"+p.Session)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// copyHosts are the beginnings of HOST:PATH.
func copyHosts() (sides []string) {
	for _, name := range knownHosts() {
		if !strings.Contains(name, "/") {
			sides = append(sides, name+":")
		}
	}
	return sides
}

func knownProxies() (names []string) {
	if c, err := config.Load(); err == nil {
		for name := range c.Proxies {
			names = append(names, name)
		}
	}
	return names
}

func sshConfigPath() string {
	if path := os.Getenv("NBREMOTE_SSH_CONFIG"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".ssh", "config")
}

// hostsIn gives the names of Host lines that are no patterns.
func hostsIn(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	names := []string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || !strings.EqualFold(words[0], "host") {
			continue
		}
		for _, w := range words[1:] {
			if !strings.ContainsAny(w, "*?!") {
				names = append(names, w)
			}
		}
	}
	return names
}
