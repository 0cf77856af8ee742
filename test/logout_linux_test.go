package test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"nbremote/test/lab"
)

// fakeSystemdRun stands in for systemd, which the lab has not: what it starts
// is marked as in a scope of its own.
const fakeSystemdRun = `#!/bin/sh
printf '%s\n' "$*" >>/tmp/scopes
while [ "$1" != -- ]; do shift; done
shift
export IN_SCOPE=1
exec "$@"
`

// kills has logind end an account's processes at logout, in its own words.
func kills(m *lab.Machine, linger bool) {
	m.Sh("mkdir -p /etc/systemd/logind.conf.d; echo '[Login]\nKillUserProcesses=yes' >/etc/systemd/logind.conf.d/lab.conf; mkdir -p /run/systemd/system; mount -t tmpfs t /var/lib; mkdir -p /var/lib/systemd/linger")
	m.WriteMode("root", "/usr/local/bin/systemd-run", fakeSystemdRun, 0o755)
	if linger {
		m.Sh(": >/var/lib/systemd/linger/me")
	}
}

// logout is the end of the last session where KillUserProcesses is on (faked):
// what is in no scope of its own is killed.
func logout(m *lab.Machine) (killed []string) {
	m.HangUp()
	for _, p := range m.Processes() {
		environ, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/environ")
		if p.UID > 0 && !strings.Contains(string(environ), "IN_SCOPE=1") {
			killed = append(killed, p.Line)
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	return killed
}

// Where logging out ends all of an account's processes, but linger is on, the
// relay and Jupyter are in scopes of their own (systemd is faked): no stream is
// lost with the last session.
func TestR12_LogoutWithLinger(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	kills(gpu1, true)
	r := l.Must("open", "--no-browser", "gpu1")
	if strings.Contains(r.Stderr, "log out") {
		t.Errorf("it warns for nothing:\n%s", r.Stderr)
	}
	o := open(t, l, "gpu1")
	ping := tab(t, l, o)
	for range 2 {
		if killed := strings.Join(logout(gpu1), "\n"); strings.Contains(killed, "serve relay-") || strings.Contains(killed, "jupyter-lab") {
			t.Errorf("killed:\n%s", killed)
		}
		if err := ping(); err != nil {
			t.Errorf("the page's socket: %v", err)
		}
	}
	if lost := statusOf(t, l).Link.Lost; lost != 0 {
		t.Errorf("%d streams lost", lost)
	}
}

// Without linger it is said before anything is started, and what to do.
func TestR12_LogoutWithoutLinger(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	kills(gpu1, false)
	first := l.Must("open", "--no-browser", "gpu1")
	if says := first.Stderr; !strings.Contains(says, "gpu1 ends what you leave running when you log out") || !strings.Contains(says, "loginctl enable-linger") {
		t.Errorf("it does not say so:\n%s", says)
	}
	if strings.Index(first.Stderr, "log out") > strings.Index(first.Stderr, "started") {
		t.Errorf("it is said too late:\n%s", first.Stderr)
	}
	o := open(t, l, "gpu1")
	if len(logout(gpu1)) == 0 {
		t.Error("nothing was killed")
	}
	second := open(t, l, "gpu1")
	works(t, l, second)
	if second.Port != o.Port {
		t.Errorf("got %+v", second)
	}
	if scopes := gpu1.ReadFile("/tmp/scopes"); scopes != "" {
		t.Errorf("systemd-run was used:\n%s", scopes)
	}
}

// A systemd-run that does not work is done without.
func TestR12_BrokenSystemdRun(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	kills(gpu1, true)
	gpu1.WriteMode("root", "/usr/local/bin/systemd-run", "#!/bin/sh\necho Failed to connect to bus; echo no >&2; exit 1\n", 0o755)
	o := open(t, l, "gpu1")
	if !o.Link.On {
		t.Errorf("no link: %s", o.Link.Why)
	}
	works(t, l, o)
}
