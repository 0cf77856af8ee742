// Package config reads the one configuration file and finds the directories
// of state and sockets. What is wrong with them is an error of class usage
// that names the file, the line and what to type instead. The meaning of
// hosts and paths is left to others.
package config

import (
	"os"
	"path/filepath"
)

// Config is what config.toml says. The zero value is an empty file.
type Config struct {
	DefaultHost string
	Hosts       map[string]Host
	Path        string // of the file, also when there is none; "" = no home directory either

	document *document // what Settings comes from; nil = no file
}

// Host is one [hosts.NAME]. Empty fields were not given.
type Host struct {
	SSH    string   // user@host:port of a machine that is not in ~/.ssh/config
	Via    []string // gateways instead of ssh_config's ProxyJump
	Dir    string   // directory of the session
	Env    string   // Python environment: a name or a path
	Setenv map[string]string
}

// Setting is one value of the file and where it stands, as file:line.
type Setting struct {
	Key, Value, From string
}

// Settings lists what the file sets, in the order of the keys.
func (c *Config) Settings() []Setting {
	if c.document == nil {
		return nil
	}
	return c.document.settings()
}

// Load reads $XDG_CONFIG_HOME/nbremote/config.toml, else
// ~/.config/nbremote/config.toml (on Windows %AppData%\nbremote\config.toml).
// No other file is ever read. Without one it gives the zero value with Path
// set; an error is an *Error.
func Load() (*Config, error) {
	path := Path()
	c := &Config{Path: path}
	if path == "" {
		return c, nil
	}
	text, err := read(path)
	if err != nil || text == "" {
		return c, err
	}
	return parse(path, text)
}

// Path is where the configuration file is looked for; "" without a home
// directory.
func Path() string {
	dir := absolute(os.Getenv("XDG_CONFIG_HOME"))
	if dir == "" {
		dir = platformConfigHome()
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "nbremote", "config.toml")
}

// absolute drops a relative path, as the XDG specification wants it.
func absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return ""
}
