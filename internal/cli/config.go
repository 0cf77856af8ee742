package cli

import (
	"fmt"

	"nbremote/internal/ui"
)

// configCmd prints the settings in force.
type configCmd struct{}

// Run prints each setting with where it comes from.
func (c *configCmd) Run(a *app) error {
	type setting struct {
		Key   string `json:"key"`
		Value string `json:"value"`
		From  string `json:"from"`
	}
	all := []setting{
		{"config file", a.config.Path, ""},
		{"state", a.place.State, ""},
		{"sockets", a.place.Run, ""},
	}
	if a.SSHConfig != "" {
		all = append(all, setting{"ssh_config", a.SSHConfig, "--ssh-config or NBREMOTE_SSH_CONFIG"})
	}
	for _, s := range a.config.Settings() {
		all = append(all, setting{s.Key, s.Value, s.From})
	}
	if a.JSON {
		return a.printJSON(all)
	}
	rows := [][]string{}
	for _, s := range all {
		from := s.From
		if from != "" {
			from = "(" + from + ")"
		}
		rows = append(rows, []string{s.Key, s.Value, from})
	}
	if err := ui.Table(stdout, rows); err != nil {
		return fmt.Errorf("print the settings: %w", err)
	}
	return nil
}
