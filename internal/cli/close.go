package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbremote/internal/holder"
)

// closeCmd ends the line and the ports here; what runs on the host runs on.
type closeCmd struct {
	Host string `arg:"" optional:"" predictor:"host" help:"HOST or local PORT; left out: the last one used here."`
	All  bool   `help:"Close everything."`
}

// Run closes, and says what runs on.
func (c *closeCmd) Run(a *app) error { return a.printEnded("closed", c.run(a)) }

func (c *closeCmd) run(a *app) error {
	if c.All {
		return a.closeAll()
	}
	if port, err := strconv.Atoi(c.Host); err == nil {
		return a.closePort(port)
	}
	if s, t, ok := a.tunnelOf(c.Host); ok {
		return a.closeTunnel(s, t)
	}
	w, err := a.where(c.Host)
	if err != nil {
		return err
	}
	s, err := a.openHolder(w, "close")
	if err != nil {
		return err
	}
	if page, _, ok := findPage(s, w); ok && isFar(page) {
		return a.closePort(page.Port)
	}
	if err := a.closeHolder(s); err != nil {
		return err
	}
	a.sayBehind(s)
	return nil
}

// closeAll ends every line, hosts before their gateways: what the relay on a host
// keeps for us it lets go when it is told so, which goes through the gateways.
// A line that does not end keeps no other from it.
func (a *app) closeAll() error {
	open := a.open()
	slices.SortStableFunc(open, func(x, y holder.Status) int { return len(y.Via) - len(x.Via) })
	var failed []error
	for _, s := range open {
		if err := a.closeHolder(s); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// sayBehind names the hosts whose lines went through the gateway that was closed:
// they have it opened again.
func (a *app) sayBehind(gateway holder.Status) {
	for _, s := range a.open() {
		if slices.Contains(s.Via, gateway.Name) {
			a.ui.Note(fmt.Sprintf("%s goes through %s, and opens it again: nbremote close %s ends that", s.Name, gateway.Name, s.Name))
		}
	}
}

// closePort closes one local port, and with the last one the line.
func (a *app) closePort(port int) error {
	open := a.open()
	for _, s := range open {
		for _, t := range s.Tunnels {
			if t.Port == port {
				return a.closeTunnel(s, t)
			}
		}
		for _, p := range s.Pages {
			if p.Port != port && !slices.Contains(p.Also, port) {
				continue
			}
			if asked(s) == 1 && s.Behind == 0 {
				return a.closeHolder(s)
			}
			if err := holder.ByKey(a.place, s.Key).RemovePage(a.ctx, p.Session); err != nil {
				return fmt.Errorf("close %d: %w", port, err)
			}
			a.ended = append(a.ended, fmt.Sprintf("127.0.0.1:%d", port))
			a.ui.Done(s.Name, fmt.Sprintf("port %d closed; %s runs on", port, p.Session))
			a.sayTabs([]holder.Page{p})
			return nil
		}
	}
	for _, s := range open { // whose ports nobody can tell
		if s.State == holder.Silent {
			return a.closeHolder(s)
		}
	}
	return notFound(fmt.Sprintf("close %d: no port of nbremote", port), "nbremote ls")
}

// tunnelOf is the open tunnel with that name in [proxies], or that socket.
func (a *app) tunnelOf(name string) (holder.Status, holder.Tunnel, bool) {
	for _, s := range a.open() {
		for _, t := range s.Tunnels {
			if called(t, name) {
				return s, t, true
			}
		}
	}
	return holder.Status{}, holder.Tunnel{}, false
}

// called says whether a tunnel is the one of that name, or of that socket here,
// which may be given as forward takes it: from this directory.
func called(t holder.Tunnel, name string) bool {
	if name == "" {
		return false
	}
	path, err := filepath.Abs(name)
	return t.Name == name || t.Sock != "" && (t.Sock == name || err == nil && t.Sock == path)
}

// asked counts the ports that somebody asked for.
func asked(s holder.Status) int {
	n := len(s.Pages)
	for _, t := range tunnelsOnce(s.Tunnels) {
		if !t.Followed {
			n++
		}
	}
	return n
}

// closeTunnel closes a proxy or a forward, and with the last port the line.
func (a *app) closeTunnel(s holder.Status, t holder.Tunnel) error {
	if asked(s) == 1 && s.Behind == 0 && !t.Followed {
		return a.closeHolder(s)
	}
	for _, one := range s.Tunnels {
		if one.ID() != t.ID() && (t.Kernel == "" || one.Kernel != t.Kernel) {
			continue
		}
		if err := holder.ByKey(a.place, s.Key).RemoveTunnel(a.ctx, one); err != nil {
			return fmt.Errorf("close %s: %w", one.Local(), err)
		}
		a.ended = append(a.ended, one.Local())
	}
	what := t.Kind + " " + t.Local()
	if t.Kernel != "" {
		what = "kernel " + t.Kernel
	}
	a.ui.Done(s.Name, what+" closed. Back: "+t.Again)
	return nil
}

// openHolder is the holder that w means, among those that run and answer.
func (a *app) openHolder(w where, verb string) (holder.Status, error) {
	answers := func(s holder.Status) (holder.Status, error) {
		if s.State == holder.Silent {
			return s, silentOn(verb+" "+w.Host, s)
		}
		return s, nil
	}
	if client, err := holder.Find(a.place, w.alias()); err == nil {
		if s, ok := client.Look(a.ctx, a.place); ok {
			return answers(s)
		}
	}
	for _, s := range a.open() {
		if s.Name == w.Host {
			return answers(s)
		}
	}
	try := "nbremote ls"
	if verb == "find" && w.URL == "" && !strings.Contains(w.Session, ":") { // else it takes --via too
		try = "nbremote open " + shellWord(w.String())
	}
	return holder.Status{}, notFound(fmt.Sprintf("%s %s: it is not open here", verb, w.Host), try)
}

// silentOn is the error of what needs a holder that answers nobody.
func silentOn(step string, s holder.Status) error {
	return fmt.Errorf("%s: %w", step, &holder.SilentError{PID: s.PID})
}

func (a *app) closeHolder(s holder.Status) error {
	if s.State == holder.Silent {
		return silentOn("close "+s.Name, s)
	}
	client := holder.ByKey(a.place, s.Key)
	if err := client.Close(a.ctx); err != nil {
		return fmt.Errorf("close %s: %w", s.Name, err)
	}
	if err := waitGone(a.ctx, client); err != nil {
		return fmt.Errorf("close %s: %w", s.Name, err)
	}
	busy := 0
	for _, p := range s.Pages {
		busy += kernelsOf(p).Busy
	}
	what := "line and ports closed"
	if len(s.Pages) > 0 {
		what += "; Jupyter runs on"
	}
	what += runningScripts(s.Scripts)
	if busy > 0 {
		what += fmt.Sprintf(" (%d busy %s)", busy, plural(busy, "kernel"))
	}
	back := "nbremote open " + s.Name
	if len(s.Pages) == 1 {
		back = againOf(s, s.Pages[0])
	} else if len(s.Pages) == 0 && len(s.Tunnels) > 0 {
		back = s.Tunnels[0].Again
	}
	a.ended = append(a.ended, s.Name)
	a.ui.Done(s.Name, what+". Back: "+back)
	a.sayTabs(s.Pages)
	return nil
}

// sayTabs names the tabs that are still open at ports which anybody may take
// from now on, with all that the tab goes on to send.
func (a *app) sayTabs(pages []holder.Page) {
	for _, p := range pages {
		if p.Tabs > 0 {
			a.ui.Note(fmt.Sprintf("close the tab at 127.0.0.1:%d: another program may get that port, and what the tab sends", p.Port))
		}
	}
}

// closeQuietly ends a holder when the command itself is ending.
func (a *app) closeQuietly(c *holder.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
	defer cancel()
	if c.Close(ctx) == nil {
		waitGone(ctx, c)
	}
}

// waitGone waits until the holder answers no more, so that the port is free
// when the command returns.
func waitGone(ctx context.Context, c *holder.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := c.Status(ctx); errors.Is(err, holder.ErrNone) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the background process does not end; see its log")
		}
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
