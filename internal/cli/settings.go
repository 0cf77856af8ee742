package cli

import (
	"maps"
	"slices"

	"nbremote/internal/config"
	"nbremote/internal/socks"
	"nbremote/sshx"
)

// checkSettings reads the values of the settings whose forms the commands know:
// a mistake there is told with its line by any command, and not by the one that
// comes to need it.
func checkSettings(c *config.Config) error {
	if c.DefaultHost != "" {
		if _, err := parseWhere(c.DefaultHost); err != nil {
			return misset(c, err, "default_host")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Hosts)) {
		host := c.Hosts[name]
		if host.SSH != "" {
			if _, _, err := sshx.SplitPath(host.SSH); err != nil {
				return misset(c, err, "hosts", name, "ssh")
			}
		}
		if err := checkVia(host.Via); err != nil {
			return misset(c, err, "hosts", name, "via")
		}
		if _, err := parseForwards(name, host.Forward); err != nil {
			return misset(c, err, "hosts", name, "forward")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Proxies)) {
		proxy := c.Proxies[name]
		if err := checkVia(proxy.Via); err != nil {
			return misset(c, err, "proxies", name, "via")
		}
		for _, domain := range proxy.Domains {
			if _, err := socks.ParsePattern(domain); err != nil {
				return misset(c, err, "proxies", name, "domains")
			}
		}
		if _, err := socks.ParseRule(proxy.Allow); err != nil {
			return misset(c, err, "proxies", name, "allow")
		}
	}
	return nil
}

func checkVia(via []string) error {
	for _, name := range via {
		if _, _, err := sshx.SplitPath(name); err != nil {
			return err
		}
	}
	return nil
}

// misset says of which setting err is, and where that stands.
func misset(c *config.Config, err error, key ...string) error {
	name, from := config.KeyName(key...), c.Path
	for _, s := range c.Settings() {
		if s.Key == name {
			from = s.From
		}
	}
	hint := ""
	if e, ok := asError[interface{ Hint() string }](err); ok {
		hint = e.Hint()
	}
	return usage(from+": "+name+": "+err.Error(), hint)
}
