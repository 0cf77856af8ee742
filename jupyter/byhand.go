package jupyter

import (
	_ "embed"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed byhand.sh
var byHandText string

// foreign is a Jupyter that was started by hand: a process, and what its runtime
// file says, or, where that is not found, what it printed.
type foreign struct {
	pid    int
	stat   string
	server *Server
	dir    string
	said   string
}

func (p *probe) foreigner(name, value string) {
	if name == "foreign" {
		pid, _ := strconv.Atoi(value)
		p.foreign, p.group = append(p.foreign, &foreign{pid: pid}), name
	}
	if p.group != "foreign" {
		return
	}
	f := p.foreign[len(p.foreign)-1]
	switch name {
	case "stat":
		f.stat = value
	case "foreign-dir":
		f.dir = value
	case "said":
		f.said = value
	}
}

// fromOutput is the server that a process says it is, with the token if that
// was printed; nil: it does not say, or what cannot be.
func (f *foreign) fromOutput() *Server {
	text, token, ok := ParseOutput(f.said)
	if !ok || !plainText(f.dir, 4096) || !path.IsAbs(f.dir) {
		return nil
	}
	s := &Server{Dir: f.dir, PID: f.pid, Token: token, Hidden: token == "" && strings.Contains(f.said, "token=...")}
	sock, isSock := strings.CutPrefix(text, "http+unix://")
	if isSock { // no URL to Go: a host with a slash in it
		name, page, _ := strings.Cut(sock, "/")
		s.Sock, _ = url.PathUnescape(name)
		text = "http://localhost/" + page
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || isSock && s.Sock == "" {
		return nil
	}
	s.Port, _ = strconv.Atoi(u.Port())
	s.BaseURL = baseOf(u.EscapedPath())
	if s.Path = s.BaseURL; !validBase(s.BaseURL) || s.listens(u.Hostname()) != nil {
		return nil
	}
	return s
}

// baseOf is the base URL of the page that Jupyter prints.
func baseOf(page string) string {
	base := strings.TrimSuffix(page, "/")
	if dir, last := path.Split(base); slices.Contains([]string{"lab", "tree", "nbclassic"}, last) {
		base = strings.TrimSuffix(dir, "/")
	}
	return base + "/"
}

// same tells whether two are one server: that of a process and of what started it.
func (s *Server) same(other *Server) bool {
	return s.PID == other.PID || s.Sock == other.Sock && s.Port == other.Port
}
