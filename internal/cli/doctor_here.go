package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nbremote/internal/holder"
	"nbremote/internal/ui"
	"nbremote/internal/webproxy"
	"nbremote/sshx"
)

// manyKeys is from where on a server may hang up before the right key's turn
// (MaxAuthTries is 6).
const manyKeys = 6

// keys looks at what can be offered to the host: the agent, and the files.
func (d *doctor) keys() {
	d.held = sshx.Keys(d.ctx, d.target)
	d.say(d.agent())
	f := finding{Check: "keys", What: fmt.Sprintf("%d to offer: %s", len(d.held.Keys), keyNames(d.held.Keys))}
	switch {
	case len(d.held.Keys) == 0:
		f.State, f.What, f.Why = warned, "none to offer", "a password or a code is asked for each time; "+strings.Join(d.held.Unused, ", ")
		f.Why = strings.TrimSuffix(f.Why, "; ")
		f.Try = "ssh-keygen -t ed25519 && ssh-copy-id " + shellWord(d.target.Name)
	case len(d.held.Keys) >= manyKeys:
		f.State, f.Why = warned, fmt.Sprintf("servers end a sign-in after %d keys", manyKeys)
		f.Try = fmt.Sprintf(`IdentityFile and IdentitiesOnly yes under "Host %s" in ~/.ssh/config`, d.target.Name)
	}
	d.say(f)
}

func (d *doctor) agent() finding {
	f := finding{Check: "agent"}
	switch n := d.held.AgentKeys; {
	case d.held.Agent == "":
		f.What = "none: keys come from files"
	case n < 0:
		f.State, f.What, f.Why = warned, d.held.Agent+" does not answer", "the keys that it has cannot be offered"
		f.Try = `eval "$(ssh-agent)" && ssh-add`
	default:
		f.What = fmt.Sprintf("it has %d %s", n, plural(n, "key"))
	}
	return f
}

func keyNames(keys []sshx.HeldKey) string {
	var names []string
	for _, k := range keys[:min(len(keys), 6)] {
		switch {
		case k.Locked:
			k.Name += " (asks for its passphrase)"
		case k.Touch:
			k.Name += " (wants a touch)"
		case k.Agent:
			k.Name += " (agent)"
		}
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

const (
	firstPort = 8890
	lastPort  = 8989
)

// ports looks whether the sessions' own local ports can be had.
func (d *doctor) ports() {
	own := holder.OwnPorts(d.place, d.target.Key())
	ours := map[int]bool{}
	for _, s := range d.open() {
		for _, p := range s.Pages {
			ours[p.Port] = true
		}
	}
	for _, session := range slices.Sorted(maps.Keys(own)) {
		port := own[session]
		if by, taken := takenBy(port); taken && !ours[port] {
			d.say(finding{
				Check: "port", State: warned, What: fmt.Sprintf("%d, %s's own, is taken%s", port, session, by),
				Why: "tabs and addresses saved for that port do not work",
				Try: fmt.Sprintf("nbremote open %s/%s --port %d", shellWord(d.w.Host), shellWord(session), freePort(ours)),
			})
			return
		}
	}
	free := freePort(ours)
	if free == 0 {
		d.say(finding{
			Check: "port", State: warned, What: fmt.Sprintf("%d to %d are all taken", firstPort, lastPort),
			Why: "a page gets any other port", Try: "ss -ltnp; or nbremote open " + shellWord(d.w.Host) + " --port 9890",
		})
		return
	}
	d.say(finding{Check: "port", What: fmt.Sprintf("127.0.0.1:%d is free", free)})
}

// takenBy says whether somebody listens on a local port, and who.
func takenBy(port int) (by string, taken bool) {
	l, err := webproxy.Listen(port)
	if err == nil {
		l.Close()
		return "", false
	}
	var e *webproxy.TakenError
	if errors.As(err, &e) && e.By != "" {
		by = " by " + e.By
	}
	return by, true
}

func freePort(ours map[int]bool) int {
	for port := firstPort; port <= lastPort; port++ {
		if ours[port] {
			continue
		}
		if l, err := webproxy.Try(port); err == nil {
			l.Close()
			return port
		}
	}
	return 0
}

// browser looks whether there is a program to show a page.
func (d *doctor) browser() {
	f := finding{Check: "browser", What: "there is a program to open addresses with"}
	if err := ui.CanOpenBrowser(); err != nil {
		f.State, f.What, f.Why = warned, "none will open: "+err.Error(), "open prints the address instead"
		f.Try = "export BROWSER=firefox, or nbremote open " + shellWord(d.w.Host) + " --no-browser"
	}
	d.say(f)
}
