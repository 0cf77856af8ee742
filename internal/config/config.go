// Package config reads the one configuration file and finds the directories
// of state and sockets. What is wrong with them is an error of class usage
// that names the file, the line and what to type instead. The meaning of
// hosts and paths is left to others.
package config

import (
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"
)

// Config is what config.toml says. The zero value is an empty file. What has
// the tag key is a key of the file; the other tags are for docs/config.md.
type Config struct {
	DefaultHost string           `key:"default_host" type:"text" default:"none" range:"HOST, HOST/NAME or HOST:DIR, as commands take it" example:"default_host = \"gpu1\"" doc:"the host meant where none is named, none was used in this directory and not just one is open"`
	NoNotices   bool             `key:"notify" type:"true or false" default:"true" range:"" example:"notify = false" doc:"desktop notices: the line has been down for 30 s with a page waiting, is back, needs a sign-in. From the next time a line is opened"`
	Hosts       map[string]Host  // [hosts.NAME]
	Proxies     map[string]Proxy // [proxies.NAME]
	Path        string           // of the file, also when there is none; "" = no home directory either

	document *document // what Settings comes from; nil = no file
}

// Host is one [hosts.NAME]. Empty fields were not given.
type Host struct {
	SSH      string            `key:"ssh" type:"text" default:"NAME itself" range:"user@host:port, each part but host optional" example:"ssh = \"me@10.0.3.7:2222\"" doc:"a machine that is not in ~/.ssh/config"`
	Via      []string          `key:"via" type:"list of texts" default:"ssh_config's ProxyJump" range:"HOST each, the first one reached first" example:"via = [\"bastion\"]" doc:"gateways, instead of ssh_config's"`
	Dir      string            `key:"dir" type:"text" default:"the home" range:"a directory there, absolute or from the home" example:"dir = \"~/projects\"" doc:"the directory of the session where the command names neither directory nor session"`
	Env      string            `key:"env" type:"text" default:"the first Jupyter found" range:"the name of a conda or virtual environment, or its path" example:"env = \"ds\"" doc:"the Python environment that has Jupyter, and whose Python scripts find; --env of a command wins"`
	Setenv   map[string]string `key:"setenv" type:"table of texts" default:"none" range:"names as a shell takes them" example:"setenv = { OMP_NUM_THREADS = \"8\" }" doc:"environment variables of a Jupyter or a script that is started; --setenv of a command adds to them"`
	Engine   string            `key:"engine" type:"text" default:"auto" range:"auto, native or openssh" example:"engine = \"openssh\"" doc:"who signs in, to this host or gateway: see signing-in.md"`
	Forward  []string          `key:"forward" type:"list of texts" default:"none" range:"as the command forward takes them" example:"forward = [\"6006\", \"8889:my-host:80\"]" doc:"ports here that lead to ports there: opened with the host, see network.md"`
	NoFollow bool              `key:"follow_ports" type:"true or false" default:"true" range:"" example:"follow_ports = false" doc:"ports on which programs listen that your Jupyter or run began there (Dask, TensorBoard, Gradio) are ports here while the host is open, see network.md. From the next open on"`
	Hardened bool              `key:"hardened" type:"true or false" default:"false" range:"" example:"hardened = true" doc:"kernels on sockets, not on ports that others of the host can connect to; some kernels know ports alone: see security.md"`
}

// Proxy is one [proxies.NAME]. Empty fields were not given.
type Proxy struct {
	Via     []string `key:"via" type:"list of texts" default:"must be given" range:"HOST each, the first one reached first" example:"via = [\"bastion\"]" doc:"the host in whose network the proxy is, the last one, and gateways to it"`
	Port    int      `key:"port" type:"number" default:"8157, or the next that is free" range:"1 to 65535" example:"port = 8157" doc:"the local port"`
	Domains []string `key:"domains" type:"list of texts" default:"none: no PAC address" range:"a name, *.name, an address or a range of them" example:"domains = [\"*.internal\", \"10.0.0.0/8\"]" doc:"what a browser is to send to the proxy"`
	Allow   []string `key:"allow" type:"list of texts" default:"none" range:"as domains, each with or without :PORT" example:"allow = [\"localhost:5432\"]" doc:"what may be reached though it is the host's own: loopback and link-local addresses"`
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

// KeyName is a key as Settings writes it: hosts.gpu1.forward.
func KeyName(parts ...string) string { return toml.Key(parts).String() }

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
