package holder

import (
	"strconv"

	"nbremote/internal/link"
	"nbremote/internal/remote"
)

// relayHost is where the relay lives on a host: its socket where all our
// sockets are, what waits on disk in the home.
var relayHost = link.Host{
	Setup: remote.Prelude + remote.Dirs + "own_dir \"$NBR_RUN/link\" && own_dir \"$NBR_DATA/spool\" || fail missing 'make a directory for the relay'\n" +
		// Logging out would end it where KillUserProcesses is on, as it would a session.
		"if [ -n \"$NBR_LINGER\" ] && NBR_SCOPE=$(command -v systemd-run); then export NBR_SCOPE=\"$NBR_SCOPE --user --scope -q --\"; fi\n",
	Dir: `"$NBR_RUN/link"`, Spool: `"$NBR_DATA/spool"`, Python: "python3",
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
	host.Heard = k.heard
	return host
}
