package jupyter

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Server is a Jupyter that runs on a host.
type Server struct {
	Session    string    `json:"session"`
	Dir        string    `json:"dir"`
	Log        string    `json:"log,omitempty"` // path on the host
	PID        int       `json:"pid"`
	Sock       string    `json:"sock,omitempty"` // unix socket; else Host and Port
	Host       string    `json:"listens_on,omitempty"`
	Port       int       `json:"port,omitempty"`
	BaseURL    string    `json:"base_url"` // begins and ends with a slash
	Token      string    `json:"token"`
	Password   bool      `json:"password,omitempty"` // signs in by password: a foreign one
	Version    string    `json:"version"`
	Path       string    `json:"path"` // of the page to show
	UI         string    `json:"ui,omitempty"`
	Reused     bool      `json:"reused"`
	Tmux       bool      `json:"tmux"`
	Started    time.Time `json:"started"`
	Foreign    bool      `json:"foreign,omitempty"`     // started by hand
	Hidden     bool      `json:"-"`                     // it has a token, which is not known
	ConfigFile string    `json:"config_file,omitempty"` // where its sign-in seems to be set
	Owner      string    `json:"owner,omitempty"`
	URL        string    `json:"url,omitempty"` // its own, of one on a machine which the host only reaches
	Hub        bool      `json:"hub,omitempty"` // behind a JupyterHub
	Pin        string    `json:"pin,omitempty"` // the certificate that a person trusts for it, "" = none had to be
}

// Far is the address to dial on the host. Network "far" is TCP to another
// machine.
func (s *Server) Far() (network, addr string) {
	if s.Sock != "" {
		return "unix", s.Sock
	}
	if s.URL != "" {
		return "far", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	}
	host := s.Host
	if host == "" {
		host = "127.0.0.1"
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(s.Port))
}

// Where is the address as a person would say it behind "gpu1:".
func (s *Server) Where() string {
	switch {
	case s.Sock != "":
		return s.Sock
	case s.URL != "":
		return s.URL
	}
	return strconv.Itoa(s.Port)
}

// page is the path of the page that a user interface shows for a file.
func page(base, ui, file string) string {
	home, open := "lab", "lab/tree/"
	switch {
	case ui == "server":
		return base
	case ui == "notebook" && strings.HasSuffix(file, ".ipynb"):
		open = "notebooks/"
	case ui == "notebook":
		home, open = "tree", "edit/"
	}
	if file == "" {
		return base + home
	}
	parts := strings.Split(file, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return base + open + strings.Join(parts, "/")
}

// runtimeFile is jpserver-PID.json, and nbserver-PID.json of notebook 6.
type runtimeFile struct {
	BaseURL     string `json:"base_url"`
	Hostname    string `json:"hostname"`
	Password    bool   `json:"password"`
	PID         int    `json:"pid"`
	Port        int    `json:"port"`
	RootDir     string `json:"root_dir"`
	NotebookDir string `json:"notebook_dir"`
	Secure      bool   `json:"secure"`
	Sock        string `json:"sock"`
	Token       string `json:"token"`
	Version     string `json:"version"`
}

var (
	versionForm = expression(`^[0-9][0-9A-Za-z.+-]{0,31}$`)
	hostForm    = expression(`^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?$`)
)

// parseRuntime reads a runtime file. What it says is the host's word: whatever
// could reach beyond the one server that it names is an error.
func parseRuntime(b []byte) (*Server, error) {
	var f runtimeFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read the runtime file: %v", err)
	}
	s := &Server{
		Dir: f.RootDir, PID: f.PID, Sock: f.Sock, Port: f.Port, BaseURL: f.BaseURL,
		Token: f.Token, Password: f.Password, Version: f.Version,
	}
	if s.Dir == "" {
		s.Dir = f.NotebookDir
	}
	if s.BaseURL == "" {
		s.BaseURL = "/"
	}
	if !versionForm().MatchString(s.Version) {
		s.Version = ""
	}
	switch {
	case f.Secure:
		return nil, fmt.Errorf("read the runtime file: it speaks https")
	case s.PID < 2:
		return nil, fmt.Errorf("read the runtime file: pid %d", s.PID)
	case !plainText(s.Dir, 4096):
		return nil, fmt.Errorf("read the runtime file: its directory is no path")
	case !validToken(s.Token):
		return nil, fmt.Errorf("read the runtime file: its token is none")
	case !validBase(s.BaseURL):
		return nil, fmt.Errorf("read the runtime file: base_url %.40q", s.BaseURL)
	}
	s.Path = s.BaseURL
	return s, s.listens(f.Hostname)
}

// listens checks the address of the server.
func (s *Server) listens(hostname string) error {
	if s.Sock != "" {
		if !path.IsAbs(s.Sock) || len(s.Sock) > 107 || !plainText(s.Sock, 107) {
			return fmt.Errorf("read the runtime file: socket %.40q", s.Sock)
		}
		s.Port = 0
		return nil
	}
	if s.Port < 1 || s.Port > 65535 {
		return fmt.Errorf("read the runtime file: port %d", s.Port)
	}
	switch hostname {
	case "", "*", "localhost", "0.0.0.0", "127.0.0.1":
		return nil
	case "::", "::1":
		s.Host = "::1"
		return nil
	}
	if net.ParseIP(hostname) == nil && !hostForm().MatchString(hostname) {
		return fmt.Errorf("read the runtime file: host name %.40q", hostname)
	}
	s.Host = hostname
	return nil
}

// validToken holds for what can stand in a header and, escaped, in a URL.
func validToken(token string) bool {
	if len(token) > 256 {
		return false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return true
}

// validBase holds for /, /a/, /a/b/.
func validBase(base string) bool {
	if len(base) > 256 || !strings.HasPrefix(base, "/") || !strings.HasSuffix(base, "/") || strings.Contains(base, "//") {
		return false
	}
	for i := range len(base) {
		if c := base[i]; c <= ' ' || c > '~' || strings.IndexByte(`\?#@:<>"'`, c) >= 0 {
			return false
		}
	}
	return path.Clean(base) == strings.TrimSuffix(base, "/") || base == "/"
}

// plainText holds for UTF-8 of at most limit bytes without NUL.
func plainText(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
