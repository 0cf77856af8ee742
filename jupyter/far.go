package jupyter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Address is that of a Jupyter on a machine which the host reaches, as a person
// has it.
type Address struct {
	Secure bool
	Host   string // name or IP, without brackets
	Port   int
	Path   string // as it was written, begins with a slash; without what follows it
	Token  string // "" = none stood there
}

// IsAddress tells an http or https address from a name of ssh_config.
func IsAddress(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// ParseAddress reads what a browser shows or Jupyter prints. An error holds
// nothing of the token.
func ParseAddress(text string) (Address, error) {
	bad := func(why string) (Address, error) {
		return Address{}, &UsageError{What: "read the address: " + why, Try: "http://jupyter-box:8888/lab"}
	}
	u, err := url.Parse(text)
	if err != nil || !IsAddress(text) {
		return bad("it is none of http or https")
	}
	if u.User != nil {
		return bad("a user name in it is not understood")
	}
	a := Address{Secure: strings.EqualFold(u.Scheme, "https"), Host: strings.ToLower(u.Hostname()), Port: 80, Path: u.EscapedPath()}
	if a.Secure {
		a.Port = 443
	}
	if u.Port() != "" {
		if a.Port, err = strconv.Atoi(u.Port()); err != nil || a.Port < 1 || a.Port > 65535 {
			return bad("a port is 1 to 65535")
		}
	}
	if net.ParseIP(a.Host) == nil && !hostForm().MatchString(a.Host) {
		return bad("no host stands in it, or one that cannot be")
	}
	if a.Path == "" {
		a.Path = "/"
	}
	if len(a.Path) > 2048 || !strings.HasPrefix(a.Path, "/") || strings.HasPrefix(a.Path, "//") {
		return bad("its path cannot be one")
	}
	// What Jupyter hides it prints as three dots.
	if a.Token = u.Query().Get("token"); strings.Trim(a.Token, ".") == "" {
		a.Token = ""
	}
	if !validToken(a.Token) {
		return bad("its token cannot be one")
	}
	return a, nil
}

// Name is HOST:PORT.
func (a Address) Name() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// Origin is the address up to the path.
func (a Address) Origin() string {
	if a.Secure {
		return "https://" + a.Name()
	}
	return "http://" + a.Name()
}

// String is the address without the token.
func (a Address) String() string { return a.Origin() + a.Path }

// bases are the base URLs that the path can have below it, the longest first.
func (a Address) bases() []string {
	all := []string{"/"}
	for i := 1; i < len(a.Path) && len(all) < 8; i++ {
		if a.Path[i] == '/' || i == len(a.Path)-1 {
			all = append(all, strings.TrimSuffix(a.Path[:i+1], "/")+"/")
		}
	}
	all = slices.DeleteFunc(slices.Compact(all), func(base string) bool { return !validBase(base) })
	slices.Reverse(all)
	return all
}

// server is the Jupyter with that base URL.
func (a Address) server(base string) *Server {
	s := &Server{
		URL: a.Origin() + base, Host: a.Host, Port: a.Port, BaseURL: base, Path: base, Foreign: true,
		Session: a.Name() + strings.TrimSuffix(base, "/"),
	}
	s.Show(a)
	return s
}

// Show makes the page to show that of an address of the server.
func (s *Server) Show(a Address) {
	rest, ok := strings.CutPrefix(a.Path, s.BaseURL)
	if s.Path = s.BaseURL; ok && rest != "" && rest != "login" {
		s.Path = a.Path
	}
}

// See finds the Jupyter at an address: its base URL and version. Its token is
// not sent, nor looked at. What is no Jupyter is a *NotJupyterError, one that
// lets everybody in an *OpenServerError.
func See(ctx context.Context, dial func(context.Context) (net.Conn, error), a Address) (*Server, error) {
	no := &NotJupyterError{Address: a.String()}
	for _, base := range a.bases() {
		s := a.server(base)
		got, err := ask(ctx, dial, s, question{path: "api"})
		var notHTTP *answerError
		if errors.As(err, &notHTTP) && ctx.Err() == nil {
			no.Reason = "it gives no answer of HTTP; perhaps it speaks https"
			if a.Secure {
				no.Reason = "it gives no answer of HTTP"
			}
			return nil, no
		}
		if err != nil {
			return nil, err
		}
		no.Reason = fmt.Sprintf("GET %sapi is answered with status %d", base, got[0].status)
		no.hub = no.hub || got[0].hub
		if s.Version = versionIn(got[0]); s.Version != "" {
			return s, s.guarded(ctx, dial, no)
		}
	}
	if no.hub {
		no.Reason = "it is a JupyterHub, and no server of yours runs at that address"
	}
	return nil, no
}

// versionIn is what /api of a Jupyter answers, to everybody.
func versionIn(a answer) string {
	var api struct{ Version string }
	if a.status != http.StatusOK || json.Unmarshal(a.body, &api) != nil || !versionForm().MatchString(api.Version) {
		return ""
	}
	return api.Version
}

// guarded is nil for a server that wants a sign-in for what every Jupyter has:
// that of JupyterHub itself, for one, does not have it.
func (s *Server) guarded(ctx context.Context, dial func(context.Context) (net.Conn, error), no *NotJupyterError) error {
	got, err := ask(ctx, dial, s, question{path: "api/status"})
	if err != nil {
		return err
	}
	s.Hub = got[0].hub
	switch got[0].status {
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusFound:
		return nil
	case http.StatusOK:
		return &OpenServerError{Where: s.URL}
	}
	no.Reason = fmt.Sprintf("it has an API, but GET %sapi/status is answered with status %d", s.BaseURL, got[0].status)
	return no
}

// SignIn tries the token: a *TokenError when the server does not take it.
// Without one the server has to have a password, which it asks for in the page.
func (s *Server) SignIn(ctx context.Context, dial func(context.Context) (net.Conn, error)) error {
	s.Password = s.Token == ""
	err := Prove(ctx, dial, s)
	var other *StrangerError
	if errors.As(err, &other) {
		return &TokenError{URL: s.URL, Status: other.Status, hub: s.hubPage("token")}
	}
	return err
}

// hubPage is the address of a page of the hub, "" = it is behind none.
func (s *Server) hubPage(name string) string {
	before, _, ok := strings.Cut(s.URL, "/user/")
	if !s.Hub || !ok {
		return ""
	}
	return before + "/hub/" + name
}

// NotJupyterError is an address where something else is.
type NotJupyterError struct {
	Address, Reason string
	hub             bool // that is a JupyterHub
}

func (e *NotJupyterError) Error() string { return "open " + e.Address + ": that is no Jupyter" }

// Class is not-found.
func (e *NotJupyterError) Class() string { return "not-found" }

// Cause says how that was seen.
func (e *NotJupyterError) Cause() string { return e.Reason }

// Hint is what to try.
func (e *NotJupyterError) Hint() string {
	if e.hub {
		return "start it on the hub's page; the address is that of your own server, with /user/NAME/"
	}
	return "the address that Jupyter printed when it was started; behind JupyterHub that of your own server, with /user/NAME/"
}

// TokenError is a token that a server does not take.
type TokenError struct {
	URL    string
	Status int
	hub    string // the page where a JupyterHub makes tokens
}

func (e *TokenError) Error() string { return "sign in to " + e.URL + ": it does not take the token" }

// Class is sign-in.
func (e *TokenError) Class() string { return "sign-in" }

// Cause is the server's answer.
func (e *TokenError) Cause() string { return fmt.Sprintf("it answers with status %d", e.Status) }

// Hint is where the token stands.
func (e *TokenError) Hint() string {
	if e.hub != "" {
		return "make a token on the hub's page, " + e.hub
	}
	return "the token is in what Jupyter printed at its start; on its machine: jupyter server list"
}
