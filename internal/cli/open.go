package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/jupyter"
)

// openCmd finds or starts Jupyter on a host and opens it here.
type openCmd struct {
	Host string `arg:"" optional:"" predictor:"host" help:"HOST, HOST/NAME, HOST:DIR or HOST:FILE.ipynb; left out: the last one used here. Or http://BOX:8888/lab, of a Jupyter that runs where no ssh leads, with --via; -: that is read from stdin."`

	Name           string        `help:"Name of the session." placeholder:"NAME"`
	Via            []string      `help:"Gateway to go through, instead of ssh_config's ProxyJump; again for the next." placeholder:"HOST" sep:"none"`
	Port           int           `help:"Local port." placeholder:"PORT"`
	UI             string        `name:"ui" enum:"lab,notebook,server" default:"lab" help:"lab, notebook or server."`
	Env            string        `help:"Python environment that has Jupyter: a name or a path." placeholder:"ENV"`
	Setenv         []string      `help:"Environment variable for Jupyter and its kernels." placeholder:"KEY=VALUE" sep:"none"`
	NoBrowser      bool          `help:"Open no browser; print the address with its token."`
	NewTab         bool          `help:"Open a tab even when one is connected."`
	Foreground     bool          `help:"Stay, and say what the line does; Ctrl-C closes it."`
	IdleTimeout    time.Duration `help:"End kernels that have done nothing for so long, also with a tab open, and then Jupyter once nobody looks at it; what is busy runs on." placeholder:"8h"`
	Wait           bool          `help:"Where the host cannot be reached, try until it can."`
	ConnectTimeout time.Duration `default:"15s" help:"How long a sign-in may take, without the time a person needs."`
	StartTimeout   time.Duration `default:"60s" help:"How long Jupyter may take to start."`

	args     []string // what stood after --
	envGiven bool     // by --env, not by the settings
	demo     bool     // the host is this computer, and all ends with the command
}

// Help stands below the command's help.
func (c *openCmd) Help() string {
	return "What stands after -- is given to Jupyter: nbremote open gpu1 -- --ServerApp.max_body_size=1000000000"
}

// opened is what open found out, and its --json.
type opened struct {
	Host      string     `json:"host"`
	Session   string     `json:"session"`
	URL       string     `json:"url"`
	Token     string     `json:"token"`
	Port      int        `json:"port"`
	HolderPID int        `json:"holder_pid"`
	Reused    bool       `json:"reused"`
	Version   string     `json:"jupyter_version"`
	Directory string     `json:"directory"`
	Steps     []stepTime `json:"steps"`
	// Link is how bytes go: by the relay on the host, or why not.
	Link *holder.Link `json:"link,omitempty"`
}

// info is what open keeps with the page for the commands that come later.
type info struct {
	Asked   []string        `json:"asked"` // how the session was named, see namedAs
	Server  *jupyter.Server `json:"server"`
	Started time.Time       `json:"started"`
}

// Run is the story of open.
func (c *openCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	w, token, ok, err := c.far(a)
	if err == nil && !ok {
		w, err = c.where(a)
	}
	switch {
	case err != nil:
		return err
	case w.URL != "":
		return c.runFar(a, w, token)
	}
	return c.run(a, w)
}

func (c *openCmd) run(a *app, w where) error {
	a.connectTimeout = c.ConnectTimeout
	a.ui.Begin(w.String())
	if done, err := c.openAgain(a, w); done || err != nil {
		return err
	}
	line, err := c.connect(a, w)
	if err != nil {
		return err
	}
	defer func() { line.leave() }()
	server, host, err := c.findOrStart(a, line, w)
	if there, merr := a.moved(line, w, err); merr != nil {
		return merr
	} else if there != nil {
		line.leave()
		line = there
		server, host, err = c.findOrStart(a, line, w)
	}
	if err != nil {
		return err
	}
	c.sayKept(a, server)
	if err := c.prove(a, line, w, server); err != nil {
		return err
	}
	if warning := server.Warning(); warning != "" {
		a.ui.Note(warning)
	}
	page, err := c.forward(a, line, w, server)
	if err != nil {
		return err
	}
	a.keepForwards(line.Client, w)
	if err := c.offerProject(a, line, w, host, server); err != nil {
		return err
	}
	return c.show(a, line, w, page, server, host)
}

func (c *openCmd) check() error {
	if c.ConnectTimeout <= 0 || c.StartTimeout <= 0 {
		return usage("read the time limits: they must be above 0", "--connect-timeout 15s")
	}
	if c.IdleTimeout != 0 && c.IdleTimeout < time.Second {
		return usage("read --idle-timeout: at least a second", "--idle-timeout 8h")
	}
	if c.Port < 0 || c.Port > 65535 {
		return usage(fmt.Sprintf("read --port %d: not a port", c.Port), "--port 8890, or leave it out")
	}
	c.envGiven = c.Env != ""
	return checkSetenv(c.Setenv)
}

func (c *openCmd) where(a *app) (where, error) {
	w, err := a.where(c.Host)
	if len(c.Via) > 0 {
		w.Via = c.Via
	}
	if c.Name != "" {
		w.Session = c.Name
	}
	w = a.farSession(w)
	if err == nil && w.URL == "" {
		err = checkName(w.Session)
	}
	if err == nil && c.Env == "" && w.URL == "" {
		c.Env = a.config.Hosts[w.Host].Env
	}
	return w, err
}

// openAgain serves an open of what is open already from the holder's last
// report: nothing is resolved and nothing proved again.
func (c *openCmd) openAgain(a *app, w where) (bool, error) {
	status, err := a.held(w)
	if silent, ok := asError[*holder.SilentError](err); ok {
		return false, fmt.Errorf("open %s: %w", w, silent)
	}
	if err != nil || status.State != holder.Up {
		return false, nil
	}
	page, kept, ok := findPage(status, w)
	if !ok || c.Foreground || page.Gone || (c.Port != 0 && (c.Port != page.Port || page.Moved != 0)) {
		return false, nil
	}
	server := *kept.Server
	server.Reused = true
	if address, err := jupyter.ParseAddress(w.URL); err == nil {
		server.Show(address)
	}
	a.ui.Line(w.Host+"/"+page.Session, runningSince(&server))
	c.sayKept(a, &server)
	a.sayPort(page)
	a.sayAway(page)
	l := &line{Client: holder.ByKey(a.place, status.Key)}
	if w.URL == "" {
		a.keepForwards(l.Client, w)
	}
	return true, c.show(a, l, w, page, &server, nil)
}

// held is the holder that was registered with the name as it was typed. That of
// an address may have come by another.
func (a *app) held(w where) (holder.Status, error) {
	if w.URL != "" {
		return a.openHolder(w, "find")
	}
	client, err := holder.Find(a.place, w.alias())
	if err != nil {
		return holder.Status{}, err
	}
	return client.Status(a.ctx)
}

func runningSince(s *jupyter.Server) string {
	if s.Started.IsZero() {
		return "open here already"
	}
	return "running since " + ui.Since(s.Started)
}

// findPage is the open page that w means. A host alone means what was opened so,
// and its session "main".
func findPage(status holder.Status, w where) (holder.Page, info, bool) {
	if w.URL != "" {
		return findFar(status, w.URL)
	}
	var best holder.Page
	var of info
	found := false
	for _, page := range status.Pages {
		var kept info
		if json.Unmarshal(page.Info, &kept) != nil || kept.Server == nil || !means(w, page, kept) {
			continue
		}
		if !found || page.Session == mainSession {
			best, of, found = page, kept, true
		}
	}
	return best, of, found
}

// mainSession is the session in the home directory.
const mainSession = "main"

func means(w where, page holder.Page, kept info) bool {
	switch {
	case w.Session != "" && w.Path == "":
		return page.Session == w.Session
	case w.Session != "":
		return page.Session == w.Session && slices.Contains(kept.Asked, namedAs(w))
	case kept.Server.URL != "":
		return false
	case w.Path == "" && page.Session == mainSession && slices.Contains(kept.Asked, namedAs(where{Session: mainSession})):
		return true
	}
	return slices.Contains(kept.Asked, namedAs(w))
}

// namedAs is how a place was named, without its host. One with a session's name
// is another one than the directory alone.
func namedAs(w where) string {
	if w.Session == "" {
		return w.Path
	}
	return w.Session + "\x00" + w.Path
}

// prove asks the server once without the token, which must be refused, and
// once with it.
func (c *openCmd) prove(a *app, line *line, w where, s *jupyter.Server) error {
	began := time.Now()
	network, addr := s.Far()
	err := jupyter.Prove(a.ctx, func(ctx context.Context) (net.Conn, error) { return line.Dial(ctx, network, addr) }, s)
	a.took("prove", time.Since(began).Milliseconds())
	if err == nil {
		return nil
	}
	if refusedThere(a.ctx, line, s) {
		err = &holder.Error{
			Text: "its SSH server forwards nothing, and Jupyter is behind that", ClassName: "missing", CauseText: err.Error(),
			HintText: "AllowTcpForwarding yes and AllowStreamLocalForwarding yes in the sshd_config of " + w.Host,
		}
	}
	if !s.Reused && a.ctx.Err() == nil {
		// What cannot be reached is of no use to anybody.
		if stopErr := jupyter.Stop(a.ctx, line, s.Session); stopErr == nil {
			a.startedHere = ""
		}
	}
	return fmt.Errorf("reach Jupyter on %s: %w", w.Host, err)
}

// refusedThere says that the server's address is there on the host and cannot
// be reached all the same: the SSH server refuses to forward. OpenSSH words a
// refused unix socket exactly as a missing one, so the host is asked.
func refusedThere(ctx context.Context, line *line, s *jupyter.Server) bool {
	network, addr := s.Far()
	conn, err := line.Dial(ctx, network, addr)
	if err == nil {
		conn.Close()
		return false
	}
	there, err := jupyter.SockThere(ctx, line, s)
	return err == nil && there
}

// untracked: being looked at is no activity, which would keep a Jupyter with an
// idle timeout for ever.
const untracked = "?no_track_activity=1"

// forward opens the local port in front of the server.
func (c *openCmd) forward(a *app, line *line, w where, s *jupyter.Server) (holder.Page, error) {
	kept := info{Asked: []string{namedAs(w)}, Server: s, Started: s.Started}
	if status, err := line.Status(a.ctx); err == nil {
		for _, p := range status.Pages {
			var old info
			if p.Session == s.Session && json.Unmarshal(p.Info, &old) == nil {
				kept.Asked = append(kept.Asked, old.Asked...)
				slices.Sort(kept.Asked)
				kept.Asked = slices.Compact(kept.Asked)
			}
		}
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		return holder.Page{}, err
	}
	page, err := line.AddPage(a.ctx, pageOf(w, s, c.Port, raw, !a.config.Hosts[w.Host].NoFollow))
	if err == nil {
		a.sayPort(page)
		a.sayAway(page)
	}
	return page, err
}

// pageOf asks for a port in front of a server.
func pageOf(w where, s *jupyter.Server, port int, info json.RawMessage, follow bool) holder.PageSpec {
	network, addr := s.Far()
	spec := holder.PageSpec{
		Session: s.Session, Network: network, Addr: addr, Token: s.Token, Path: s.Path, Port: port,
		Watch: []string{s.BaseURL + "api/kernels" + untracked, s.BaseURL + "api/sessions" + untracked}, Info: info, Follow: follow,
	}
	if s.URL != "" {
		spec.Follow = false
		spec.TLS = provesItself(s)
		spec.Origin, spec.Again = strings.TrimSuffix(s.URL, s.BaseURL), w.again()
		if s.Token == "" {
			spec.Watch = nil
		}
	}
	return spec
}
