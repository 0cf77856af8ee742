package test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"nbremote/test/lab"
)

// What a host may refuse, and how nbremote goes on: by the relay, or without it,
// which is said.
var fallbacks = []struct {
	name string
	host func(m *lab.Machine)
	why  string // there is no link, in these words; "": there is one
}{
	{name: "noexec", host: noexec},
	{name: "no python", host: brokenPython, why: "python is broken here"},
	{name: "old python", host: oldPython, why: "Python 3.6.9 is older than 3.8"},
	{name: "no python, noexec", host: func(m *lab.Machine) { noexec(m); brokenPython(m) }, why: "python is broken here"},
}

func noexec(m *lab.Machine) {
	m.Sh("mount -o remount,noexec /home && mount -o remount,noexec /dev/shm && mount -o remount,noexec /tmp")
}

func brokenPython(m *lab.Machine) {
	m.WriteMode("root", "/usr/local/bin/python3", "#!/bin/sh\necho python is broken here; exit 1\n", 0o755)
}

// oldPython is a python3 that says of itself that it is too old.
func oldPython(m *lab.Machine) {
	m.WriteMode("root", "/usr/local/bin/python3", `#!/bin/sh
[ "$3" = -c ] || exec /usr/bin/python3 "$@"
text=$4
shift 4
exec /usr/bin/python3 -I -S -c "import sys; sys.version_info = (3, 6, 9); sys.version = '3.6.9 (faked)'
$text" "$@"
`, 0o755)
}

func TestFallbacks(t *testing.T) {
	t.Parallel()
	for _, f := range fallbacks {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{})
			f.host(l.Host("gpu1"))
			goesBy(t, l, open(t, l, "gpu1"), f.why)
		})
	}
}

// goesBy checks what an open host says of its link, the page and the log.
func goesBy(t *testing.T, l *lab.Lab, o opened, why string) {
	t.Helper()
	if o.Link.On != (why == "") || !strings.Contains(o.Link.Why, why) {
		t.Errorf("link %+v, want %q", o.Link, why)
	}
	works(t, l, o)
	if r := l.Run("logs", "gpu1"); r.Exit != 0 || !strings.Contains(r.Stdout, "ServerApp") {
		t.Errorf("logs: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	}
	follow := l.Start("logs", "-f", "gpu1")
	follow.Expect("ServerApp", 20*time.Second)
	follow.Signal(syscall.SIGINT)
	if r := follow.Wait(); r.Exit != 130 {
		t.Errorf("logs -f: exit %d\n%s", r.Exit, r.Stderr)
	}
}

// With one session for each connection all goes by the relay, and without it
// scripts and logs take turns.
func TestN17_OneSession(t *testing.T) {
	t.Parallel()
	for why, name := range map[string]string{"": "relay", "older than 3.8": "old_python"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Sshd: "MaxSessions 1\n"})
			if why != "" {
				oldPython(l.Host("gpu1"))
			}
			o := open(t, l, "gpu1")
			goesBy(t, l, o, why)
			l.Host("gpu1").HangUp()
			works(t, l, o)
			l.Must("stop", "-y", "gpu1")
		})
	}
}

// A server that forwards nothing is enough with the relay. Without it that is
// named, and no Jupyter is left there that nobody can reach. OpenSSH forwards no
// sockets either where it forwards no TCP.
func TestN18_ForwardingForbidden(t *testing.T) {
	t.Parallel()
	for _, lines := range []string{"AllowStreamLocalForwarding no\nAllowTcpForwarding no\n", "AllowTcpForwarding no\n", "AllowStreamLocalForwarding no\n"} {
		t.Run(strings.ReplaceAll(strings.TrimSpace(lines), "\n", " and "), func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Sshd: lines})
			gpu1 := l.Host("gpu1")
			oldPython(gpu1)
			fails(t, l.Run("open", "--no-browser", "gpu1"), 7, "forward", "AllowStreamLocalForwarding")
			if left := gpu1.Running("jupyter-lab"); len(left) != 0 {
				t.Errorf("left there: %v", left)
			}
			gpu1.Sh("rm /usr/local/bin/python3")
			l.Must("close", "gpu1")
			goesBy(t, l, open(t, l, "gpu1"), "")
		})
	}
}

// A command that the server forces on everybody is an error within its limits.
func TestFallbacks_ForceCommand(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{"says no": "echo no shell here", "is silent": "sleep 600"} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Sshd: "ForceCommand " + command + "\n"})
			r := l.Run("open", "--no-browser", "gpu1")
			if r.Exit == 0 || !strings.Contains(r.Stderr, "gpu1") || r.Took > time.Minute {
				t.Errorf("exit %d after %v\n%s", r.Exit, r.Took, r.Stderr)
			}
			t.Logf("%v: %s", r.Took, r.Stderr)
		})
	}
}

// A full home hinders nobody who has a Jupyter already.
func TestFallbacks_HomeFull(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	open(t, l, "gpu1")
	l.Must("close", "gpu1")
	gpu1.Kill("serve relay-", syscall.SIGKILL)
	gpu1.Sh(`mount -o remount,size=$(($(df --output=used -k /home | tail -1) + 64))k /home
		head -c 1000000 /dev/zero >/home/me/filler 2>/dev/null || :`)
	o := open(t, l, "gpu1")
	goesBy(t, l, o, "")
	r := l.Run("open", "--no-browser", "gpu1:~/new")
	if r.Exit == 0 || r.Took > time.Minute {
		t.Errorf("another: exit %d after %v\n%s", r.Exit, r.Took, r.Stderr)
	}
	t.Logf("another: exit %d, %s", r.Exit, r.Stderr)
}

// A relay that is killed is started anew at once; one that cannot be is done
// without, and Jupyter is reached all the same.
func TestFallbacks_RelayKilled(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	o := open(t, l, "gpu1")
	for range 3 {
		if gpu1.Kill("serve relay-", syscall.SIGKILL) != 1 {
			t.Fatal("no relay was found")
		}
		works(t, l, o)
	}
	goesBy(t, l, open(t, l, "gpu1"), "")
	oldPython(gpu1)
	gpu1.Kill("serve relay-", syscall.SIGKILL)
	works(t, l, o)
	goesBy(t, l, open(t, l, "gpu1"), "older than 3.8")
	gpu1.HangUp()
	works(t, l, o)
}
