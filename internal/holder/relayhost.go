package holder

import (
	"strconv"
	"strings"

	"nbremote/internal/environ"
	"nbremote/internal/link"
	"nbremote/internal/remote"
)

// relayHost is where the relay lives on a host: its socket where all our
// sockets are, what waits on disk in the home.
var relayHost = link.Host{
	Setup: remote.Prelude + remote.Dirs + "own_dir \"$NBR_RUN/link\" && own_dir \"$NBR_DATA/spool\" || fail missing 'make a directory for the relay'\n" +
		// Logging out would end it where KillUserProcesses is on, as it would a session.
		"if [ -n \"$NBR_LINGER\" ] && NBR_SCOPE=$(command -v systemd-run); then export NBR_SCOPE=\"$NBR_SCOPE --user --scope -q --\"; fi\n" +
		// What is too old says so in its name; there may be another in an environment.
		environ.Python3,
	Dir: `"$NBR_RUN/link"`, Spool: `"$NBR_DATA/spool"`, Python: `"$NBR_PY"`,
	Seek:    remote.Compact(environ.Lib+environ.Login+environ.Python) + "nbr_seek \"$NBR_RUN/link/path\"\n",
	Last:    "nbr_restore\n", // what it starts has the user's own PATH, locale and umask
	Machine: `"$NBR_HOST $NBR_NODE"`,
}

// relayHost is where this link's relay is, and which machine it is on.
func (k *linked) relayHost() link.Host {
	host := relayHost
	if idle := k.h.spec.RelayIdle; idle > 0 {
		host.Options = []string{"idle=" + strconv.Itoa(int(idle.Seconds()))}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.on && k.at != nil {
		host.Expect = k.at.Machine
	}
	if k.python != "" {
		host.Python = remote.Quote(k.python)
	}
	host.Heard, host.Found = k.heard, k.found
	return host
}

// found notes the Python of an environment, for the next time.
func (k *linked) found(python string) {
	if !strings.HasPrefix(python, "/") {
		return
	}
	k.h.log.Printf("relay: by %q", python)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.python = python
}
