// Package jupyter finds, starts and ends Jupyter on a host, and reads what it
// prints and writes there. How a script reaches the host is remote.Runner's
// business; how a thing is kept running there is package session's.
package jupyter

import "time"

// Look is what was asked for: HOST:PATH, HOST/NAME or --name, --env.
type Look struct {
	Path    string // a directory or a notebook; relative to the home; "" = the home
	Session string // "" = named after the directory
	Env     string // name or path of a Python environment; "" = whichever is best
	Reached string // address by which the host is reached; "" = Elsewhere is not asked for
}

// Wish is a Jupyter to start.
type Wish struct {
	Session string
	Dir     string // absolute
	File    string // relative to Dir, or ""
	UI      string // lab, notebook, server; "" = lab
	Install Install
	Setenv  []string // KEY=VALUE
	Args    []string // for Jupyter, given last
	Token   string   // [0-9A-Za-z_-], at least 16; for a session that has none of its own yet
	Renew   bool     // Token even for a session that has one
	Owner   string   // login name on this computer
	Reached string   // address by which the host is reached; "" = not known
	TCP     bool     // listen on 127.0.0.1 even where a unix socket would do
	Relay   bool     // its sockets are kept by a relay on the host: it need not ping them

	StartTimeout time.Duration // 0 = 60 s
}
