package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// A Jupyter on a machine without ssh, which a gateway reaches: it is opened by
// its address, nbremote open http://box:8888/lab --via gateway. It is a page of
// the gateway's holder. Nothing of it is ever started or ended.

const (
	longestAddress = 8 << 10
	tokenTries     = 3
)

// far reads the address of a Jupyter on another machine, from stdin for "-";
// false: HOST is no address.
func (c *openCmd) far(a *app) (w where, token string, ok bool, err error) {
	text := c.Host
	switch {
	case text == "-":
		if text, err = readAddress(a); err != nil {
			return w, "", true, err
		}
	case !jupyter.IsAddress(text):
		return w, "", false, nil
	}
	address, err := jupyter.ParseAddress(text)
	if err != nil {
		return w, "", true, err
	}
	if address.Token != "" && c.Host != "-" {
		a.ui.Note("the token stands in the command: others on this computer can see it (ps), and the shell keeps it; " +
			"left out, it is asked for, or: nbremote open - --via GATEWAY reads the address from stdin")
	}
	if len(c.Via) == 0 {
		w, err = a.openAddress(address.String())
	} else {
		last := len(c.Via) - 1
		w = where{Host: c.Via[last], Via: c.Via[:last]}
	}
	if err == nil {
		w.URL = address.String()
		w, err = a.complete(w)
	}
	return w, address.Token, true, err
}

// readAddress takes the address, with its token, from stdin.
func readAddress(a *app) (string, error) {
	if ui.IsTerminal(os.Stdin) {
		text, err := a.ui.Ask(a.ctx, "Address, with its token (not shown): ", false)
		return strings.TrimSpace(text), err
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, longestAddress)).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return "", usage("read the address from stdin: "+err.Error(), "nbremote open - --via GATEWAY <FILE")
	}
	return line, nil
}

// openAddress is the place of an address that is open here.
func (a *app) openAddress(url string) (where, error) {
	for _, s := range a.open() {
		if page, _, ok := findPage(s, where{URL: url}); ok {
			return where{Host: s.Name, Via: s.Via, Session: page.Session, URL: url}, nil
		}
	}
	return where{}, notFound("find "+url+": it is not open here", "nbremote open "+shellWord(url)+" --via GATEWAY, a host that reaches it")
}

// findFar is the open page of an address: of several, that of the longest base
// URL.
func findFar(status holder.Status, url string) (best holder.Page, kept info, ok bool) {
	for _, page := range status.Pages {
		var one info
		if json.Unmarshal(page.Info, &one) != nil || one.Server == nil || one.Server.URL == "" || !strings.HasPrefix(url+"/", one.Server.URL) {
			continue
		}
		if !ok || len(one.Server.URL) > len(kept.Server.URL) {
			best, kept, ok = page, one, true
		}
	}
	return best, kept, ok
}

// farSession has HOST/NAME mean the Jupyter on another machine that is open
// under that name.
func (a *app) farSession(w where) where {
	if w.URL != "" || !strings.Contains(w.Session, ":") { // which their names have
		return w
	}
	if s, err := a.openHolder(w, "find"); err == nil {
		if page, kept, ok := findPage(s, w); ok && isFar(page) {
			w.URL, w.Via = kept.Server.URL, s.Via
		}
	}
	return w
}

// only is the place that a holder stands for when nothing else is open.
func only(s holder.Status) where {
	w := where{Host: s.Name}
	if len(s.Pages) == 1 && isFar(s.Pages[0]) {
		w.Session = s.Pages[0].Session
	}
	return w
}

// again is the command that opens the place anew.
func (w where) again() string {
	if w.URL == "" {
		return "nbremote open " + shellWord(w.String())
	}
	text := "nbremote open " + shellWord(w.URL)
	for _, gateway := range append(append([]string{}, w.Via...), w.Host) {
		text += " --via " + shellWord(gateway)
	}
	return text
}

// againOf is the command that opens a page anew.
func againOf(s holder.Status, p holder.Page) string {
	if p.Again != "" {
		return p.Again
	}
	return "nbremote open " + shellWord(s.Name)
}

// isFar: its server is on a machine that no ssh leads to.
func isFar(p holder.Page) bool { return p.Network == holder.Elsewhere }

// pagesThere are the pages whose servers are on the host itself.
func pagesThere(pages []holder.Page) []holder.Page {
	out := []holder.Page{}
	for _, p := range pages {
		if !isFar(p) {
			out = append(out, p)
		}
	}
	return out
}

// connectWithSSH connects to the host that arg names, for what needs a shell
// where the session runs.
func (a *app) connectWithSSH(arg, verb string) (*line, where, error) {
	w, err := a.where(arg)
	if err == nil {
		err = a.onlyWithSSH(w, verb)
	}
	if err != nil {
		return nil, w, err
	}
	line, err := a.connect(a.ctx, w)
	return line, w, err
}

// onlyWithSSH refuses what needs a shell where the Jupyter runs.
func (a *app) onlyWithSSH(w where, verb string) error {
	name := w.URL
	if s, err := a.openHolder(w, verb); err == nil {
		if page, _, ok := findPage(s, w); ok && isFar(page) {
			name = s.Name + "/" + page.Session
		}
	}
	if name == "" {
		return nil
	}
	return usage(verb+" "+name+": nbremote did not start it, and no ssh leads to where it runs",
		"do it on that machine; nbremote close "+shellWord(name)+" ends its port here")
}

// runFar is the story of open for a Jupyter on another machine.
func (c *openCmd) runFar(a *app, w where, token string) error {
	if err := c.startsNothing(); err != nil {
		return err
	}
	a.connectTimeout = c.ConnectTimeout
	a.ui.Begin(w.URL)
	if token == "" {
		if done, err := c.openAgain(a, w); done || err != nil {
			return err
		}
	}
	line, err := c.connect(a, w)
	if err != nil {
		return err
	}
	defer line.leave()
	server, err := c.see(a, line, w)
	if err != nil {
		return err
	}
	if err := signInTo(a, line, w, server, token); err != nil {
		return err
	}
	if warning := server.Warning(); warning != "" {
		a.ui.Note(warning)
	}
	page, err := c.forward(a, line, w, server)
	if err != nil {
		return err
	}
	return c.show(a, line, w, page, server, nil)
}

// startsNothing refuses flags that are for a Jupyter which is started.
func (c *openCmd) startsNothing() error {
	for flag, given := range map[string]bool{
		"--name": c.Name != "", "--env": c.Env != "", "--setenv": len(c.Setenv) > 0, "--idle-timeout": c.IdleTimeout != 0,
		"--": len(c.args) > 0,
	} {
		if given {
			return usage("read "+flag+": an address is opened as it is, nothing is started there", "leave it out")
		}
	}
	return nil
}

// see finds out what answers at the address.
func (c *openCmd) see(a *app, line *line, w where) (*jupyter.Server, error) {
	address, err := jupyter.ParseAddress(w.URL)
	if err != nil {
		return nil, err
	}
	proves, err := a.proves(line, w, address)
	if err != nil {
		return nil, err
	}
	step := a.ui.Start("found", "looking at "+w.URL)
	began := time.Now()
	server, err := jupyter.See(a.ctx, farDialer(line, address.Name(), proves), address)
	if err != nil {
		step.Fail("")
		if no, ok := asError[*jupyter.NotJupyterError](err); ok {
			err = &notJupyter{NotJupyterError: no, try: w.browse()}
		} else if class := classOf(err); class == "" || class == "other" {
			err = &unreached{url: w.URL, host: w.Host, port: address.Name(), cause: err}
		}
		return nil, err
	}
	a.took("probe", time.Since(began).Milliseconds())
	server.Reused = true
	if proves != nil {
		server.Pin = proves.Pin
	}
	step.Done("Jupyter Server " + server.Version + " at " + server.URL)
	return server, nil
}

// notJupyter is a page that is none of Jupyter's; it can be looked at all the same.
type notJupyter struct {
	*jupyter.NotJupyterError
	try string
}

// Hint is what opens the page, and what was asked for.
func (e *notJupyter) Hint() string {
	return e.try + " opens the page; a Jupyter: " + e.NotJupyterError.Hint()
}

// browse is the command that opens the page of an address as it is.
func (w where) browse() string {
	text := "nbremote proxy " + shellWord(w.Host)
	for _, gateway := range w.Via {
		text += " --via " + shellWord(gateway)
	}
	return text + " --browser " + shellWord(w.URL)
}

// signInTo gives the server the token that was given, else the one that the
// person types, which is not shown.
func signInTo(a *app, line *line, w where, s *jupyter.Server, token string) error {
	_, addr := s.Far()
	dial := farDialer(line, addr, provesItself(s))
	for try := 1; ; try++ {
		s.Token = token
		if token == "" {
			var err error
			if s.Token, err = a.ui.Ask(a.ctx, "Token of "+s.URL+" (not shown; none where it has a password): ", false); err != nil {
				return noToken(err, w)
			}
			s.Token = strings.TrimSpace(s.Token)
		}
		err := s.SignIn(a.ctx, dial)
		var wrong *jupyter.TokenError
		if token != "" || try == tokenTries || !errors.As(err, &wrong) {
			return err
		}
		a.ui.Note("it does not take that one")
	}
}

func noToken(err error, w where) error {
	if classOf(err) != "usage" {
		return err
	}
	return &problem{"sign in to " + w.URL + ": it asks for a token and nobody can be asked", "sign-in",
		strings.Replace(w.again(), shellWord(w.URL), "-", 1) + ", with the address and its token on stdin"}
}

// unreached is a server that the gateway does not reach.
type unreached struct {
	url, host, port string
	cause           error
}

func (e *unreached) Error() string {
	return fmt.Sprintf("reach %s from %s: %v", e.url, e.host, e.cause)
}

func (e *unreached) Unwrap() error { return e.cause }

// Class is connect.
func (e *unreached) Class() string { return "connect" }

// Hint asks ssh for the same.
func (e *unreached) Hint() string {
	return "does it run, and listen on more than 127.0.0.1? ssh -W " + e.port + " " + shellWord(e.host)
}
