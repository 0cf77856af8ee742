package cli

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"nbremote/internal/holder"
	"nbremote/internal/socks"
	"nbremote/internal/ui"
)

// proxyCmd opens a SOCKS port here whose connections go on from a host.
type proxyCmd struct {
	Host string `arg:"" optional:"" predictor:"proxy" help:"HOST, or a NAME of [proxies.NAME] in config.toml; left out: the last one used here."`
	Page string `arg:"" optional:"" name:"url" help:"With --browser: the page to open."`

	Browser        bool          `help:"Open a browser window of its own that uses the proxy: all of it, or with --domains these."`
	Domains        []string      `help:"What a browser is to send to the proxy: *.internal, my-host, 10.0.0.0/8. Gives a PAC address." placeholder:"NAME"`
	Allow          []string      `help:"Reach this though it is the host's own: localhost:5432, 169.254.169.254." placeholder:"HOST[:PORT]"`
	Port           int           `help:"Local port, 8157 if left out, or the next that is free; the same the next time." placeholder:"PORT"`
	Via            []string      `help:"Gateway to go through, instead of ssh_config's ProxyJump; again for the next." placeholder:"HOST" sep:"none"`
	ConnectTimeout time.Duration `default:"15s" help:"How long a sign-in may take, without the time a person needs."`
}

// Help stands below the command's help.
func (c *proxyCmd) Help() string {
	return "The proxy takes SOCKS5 and SOCKS4a; names are looked up on the host: curl -x socks5h://127.0.0.1:8157 http://my-host/\n\n" +
		"It stays until: nbremote close HOST, or close PORT"
}

// proxied is what proxy found out, and its --json.
type proxied struct {
	Host   string        `json:"host"`
	Name   string        `json:"name,omitempty"` // of [proxies.NAME]
	URL    string        `json:"url"`
	Port   int           `json:"port"`
	PAC    string        `json:"pac,omitempty"`
	Reused bool          `json:"reused"`
	Allow  []string      `json:"allow"`
	Link   *holder.Link  `json:"link,omitempty"`
	tunnel holder.Tunnel // as the holder has it
}

// Run is the story of proxy.
func (c *proxyCmd) Run(a *app) error {
	name, w, err := c.where(a)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return err
	}
	line, err := a.connectIn(w, c.ConnectTimeout)
	if err != nil {
		return err
	}
	defer line.leave()
	t, err := line.AddTunnel(a.ctx, holder.TunnelSpec{
		Kind: holder.Proxy, Name: name, Port: c.Port, Domains: c.Domains, Allow: c.Allow, Again: c.again(name, w),
	})
	if err != nil {
		return err
	}
	p := proxied{
		Host: w.Host, Name: name, URL: "socks5h://" + t.Local(), Port: t.Port, PAC: t.PAC, Reused: t.Reused, Allow: append([]string{}, t.Allow...), tunnel: t,
	}
	if status, err := line.Status(a.ctx); err == nil {
		p.Link = status.Link
	}
	a.sayProxy(w, p)
	if c.Browser {
		if err := c.browse(a, line, w, p); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.printJSON(p)
	}
	_, err = fmt.Fprintln(stdout, p.URL)
	return err
}

// where is the host, and the name in the settings if that was given.
func (c *proxyCmd) where(a *app) (name string, w where, err error) {
	if strings.Contains(c.Host, "://") && c.Page == "" { // proxy --browser URL
		c.Host, c.Page = "", c.Host
	}
	s, ok := a.config.Proxies[c.Host]
	if !ok {
		w, err = a.whereHost(c.Host, c.Via)
		return "", w, err
	}
	if len(c.Via) > 0 {
		return "", w, usage("read --via: "+c.Host+" has its own in config.toml", "leave it out")
	}
	name, last := c.Host, len(s.Via)-1
	c.Port = cmp.Or(c.Port, s.Port)
	if c.Domains == nil {
		c.Domains = s.Domains
	}
	if c.Allow == nil {
		c.Allow = s.Allow
	}
	w, err = a.complete(where{Host: s.Via[last], Via: s.Via[:last]})
	w.Path = ""
	return name, w, err
}

func (c *proxyCmd) check() error {
	if c.Port < 0 || c.Port > 65535 {
		return usage(fmt.Sprintf("read --port %d: not a port", c.Port), "--port 8157, or leave it out")
	}
	for _, text := range c.Domains {
		if _, err := socks.ParsePattern(text); err != nil {
			return usage("read the domains: "+err.Error(), "--domains '*.internal,10.0.0.0/8'")
		}
	}
	if _, err := socks.ParseRule(c.Allow); err != nil {
		return usage("read --allow: "+err.Error(), "--allow localhost:5432")
	}
	if c.Page != "" && !c.Browser {
		return usage("read the command line: a page is for --browser", "nbremote proxy HOST --browser URL")
	}
	if c.Page != "" && ui.CheckPage(c.Page) != nil {
		return usage("read "+quoted(c.Page)+": not the address of a page", "--browser http://my-host:3000/")
	}
	return nil
}

// again is the command that opens the proxy anew.
func (c *proxyCmd) again(name string, w where) string {
	text := "nbremote proxy " + shellWord(cmp.Or(name, w.Host))
	for _, gateway := range c.Via {
		text += " --via " + shellWord(gateway)
	}
	if name == "" && len(c.Domains) > 0 {
		text += " --domains " + shellWord(strings.Join(c.Domains, ","))
	}
	if name == "" && len(c.Allow) > 0 {
		text += " --allow " + shellWord(strings.Join(c.Allow, ","))
	}
	return text
}

// sayProxy says what there is now, and what is not as usual with it.
func (a *app) sayProxy(w where, p proxied) {
	t := p.tunnel
	what := "SOCKS on " + t.Local()
	if p.Reused {
		what += ", open already"
	}
	a.ui.Done(w.Host, what)
	if t.Moved != 0 {
		by := ""
		if t.TakenBy != "" {
			by = " by " + t.TakenBy
		}
		a.ui.Note(fmt.Sprintf("port %d is taken%s; %d is used instead", t.Moved, by, t.Port))
	}
	if t.PAC != "" {
		a.ui.Note("for " + strings.Join(t.Domains, ", ") + " only, in the settings of a browser or of the system (automatic proxy, PAC): " + t.PAC)
	}
	if len(t.Allow) > 0 {
		a.ui.Note("of the host's own is allowed: " + strings.Join(t.Allow, ", "))
	}
	if t.Unchecked != "" {
		a.ui.Note("names are refused: what they lead to on " + w.Host + " cannot be seen (" + t.Unchecked + "); what --allow names is passed on as it is: --allow '*.internal'")
	} else if p.Link != nil && !p.Link.On && !p.Reused {
		a.ui.Note("no relay runs on " + w.Host + " (" + p.Link.Why + "): a cut ends what is under way")
	}
	if !p.Reused {
		a.ui.Note(fmt.Sprintf("a window that uses it: %s --browser URL   End: nbremote close %d", t.Again, t.Port))
	}
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// browse opens the window. Its profile is that of this proxy alone.
func (c *proxyCmd) browse(a *app, l *line, w where, p proxied) error {
	profile := filepath.Join(a.place.State, "browser", l.Key(), notInNames.ReplaceAllString(cmp.Or(p.Name, "proxy"), "_"))
	window := ui.Window{Profile: profile, SOCKS: p.tunnel.Local(), PAC: p.PAC, Page: c.Page}
	if p.PAC != "" {
		window.Domains = slices.DeleteFunc(slices.Clone(p.tunnel.Domains), func(d string) bool { return strings.Contains(d, "/") })
	}
	which, err := ui.OpenWindow(a.ctx, window)
	if err != nil {
		return &problem{"open a browser window: " + err.Error(), "other",
			"install Chromium or Firefox; or in your browser's own settings: SOCKS5 " + p.tunnel.Local() + ", names looked up by the proxy"}
	}
	a.ui.Done("browser", which+", a window of its own: "+browserScope(p))
	return nil
}

func browserScope(p proxied) string {
	if p.PAC != "" {
		return strings.Join(p.tunnel.Domains, ", ") + " by the proxy, the rest directly"
	}
	return "all of it by the proxy"
}
