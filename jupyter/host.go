package jupyter

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Host is what was found on a host.
type Host struct {
	Home  string
	Shell string // login shell
	UID   int
	Dir   string // absolute directory for the session
	File  string // the notebook asked for, relative to Dir, or ""

	Installs []Install   // the one to take first
	Project  *ProjectEnv // nil = it has Jupyter itself, or there is none
	Foreign  []*Server   // started by hand
	Sessions []Session   // everything of nbremote's on this machine
	Others   []Elsewhere // Jupyters that may run on other machines with this home

	Tmux, Python, UV string // paths, "" = not there
	Linger           bool   // what runs outlives a logout
	KillsAtLogout    bool   // nothing does

	Machine

	bare      []Install // asked for by --env, but without Jupyter
	ensurePip bool      // python3 can make environments
	servers   map[string]*Server
}

// ProjectEnv is the environment of the project in Dir when it has no Jupyter
// itself: a kernel for another's. There is none in the home.
type ProjectEnv struct {
	Name      string // last part of the project's directory
	Kind      string // uv, poetry, pixi, venv: what keeps it
	Prefix    string
	Python    string // path of its interpreter, not resolved
	IPykernel string // version, "" = not there
}

// Session is one named thing of nbremote's on the host.
type Session struct {
	Name    string
	Dir     string // that it works in, where known
	Running bool
	Jupyter bool
	Command string    // of a script, for people
	Started time.Time // zero = not known
	Ended   time.Time
	Exit    int // -1 = not known
}

// Machine is what a host has left.
type Machine struct {
	Memory Memory `json:"memory"`
	Disk   Disk   `json:"home"`
	GPUs   []GPU  `json:"gpus,omitempty"`
}

// Memory of the machine, in bytes; zero when not known.
type Memory struct {
	Total     int64 `json:"total"`
	Available int64 `json:"available"`
}

// Disk is the file system of the home, in bytes; zero when not known.
type Disk struct {
	Total     int64 `json:"total"`
	Available int64 `json:"available"`
}

// Full is how much of it is taken, in per cent.
func (d Disk) Full() int {
	if d.Total <= 0 {
		return 0
	}
	return int((d.Total - d.Available) * 100 / d.Total)
}

// GPU is one card; memory in MiB.
type GPU struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Percent int    `json:"percent"` // busy; -1 = not known
	Used    int    `json:"used_mib"`
	Total   int    `json:"total_mib"`
	Mine    bool   `json:"mine"`    // processes of this account
	Foreign bool   `json:"foreign"` // of others
}

// Short writes the home as ~.
func (h *Host) Short(dir string) string {
	if dir == h.Home {
		return "~"
	}
	if rest, ok := strings.CutPrefix(dir, strings.TrimSuffix(h.Home, "/")+"/"); ok && h.Home != "/" {
		return "~/" + rest
	}
	return dir
}

const homeSession = "main"

// Choose names the session: the name that was asked for; else the last part
// of the directory, or main in the home. Where another directory's session
// has that name, a number is added and why says so.
func (h *Host) Choose(look Look) (session, why string) {
	if look.Session != "" {
		if s := h.session(look.Session); s != nil && look.Path != "" && s.Dir != "" && s.Dir != h.Dir {
			why = fmt.Sprintf("%s works in %s, not in %s", look.Session, h.Short(s.Dir), h.Short(h.Dir))
		}
		return look.Session, why
	}
	first := baseName(h.Dir, h.Home)
	for n := 1; ; n++ {
		name := first
		if n > 1 {
			name = fmt.Sprintf("%s-%d", first, n)
		}
		s := h.session(name)
		if s == nil || s.Jupyter && s.Dir == h.Dir {
			return name, why
		}
		if why == "" {
			why = fmt.Sprintf("%s is taken by %s", name, h.whose(s))
		}
	}
}

func (h *Host) whose(s *Session) string {
	if s.Jupyter && s.Dir != "" {
		return h.Short(s.Dir)
	}
	return "another session"
}

// session is the running session of a name.
func (h *Host) session(name string) *Session {
	for i := range h.Sessions {
		if s := &h.Sessions[i]; s.Name == name && s.Running {
			return s
		}
	}
	return nil
}

// Script is the script of that name that runs, or nil.
func (h *Host) Script(name string) *Session {
	if s := h.session(name); s != nil && s.Command != "" {
		return s
	}
	return nil
}

// Newest is the Jupyter of this account that was started last, or nil; one
// started by hand only where there is no other.
func (h *Host) Newest() *Server {
	var best *Server
	for _, s := range h.servers {
		switch {
		case best == nil, best.Foreign && !s.Foreign, best.Foreign == s.Foreign && s.Started.After(best.Started):
			best = s
		}
	}
	return best
}

// baseName is the session's name for a directory.
func baseName(dir, home string) string {
	if dir == home || dir == "" {
		return homeSession
	}
	if base := path.Base(dir); base != "/" && base != "." {
		return base
	}
	return "root"
}

// Running is the Jupyter of that name that runs and listens, or nil. Its Path
// shows the notebook that was asked for.
func (h *Host) Running(session string) *Server {
	s := h.servers[session]
	if s == nil {
		return nil
	}
	out := *s
	if h.File != "" && s.Dir == h.Dir && !s.Foreign {
		out.Path = page(s.BaseURL, s.UI, h.File)
	}
	return &out
}
