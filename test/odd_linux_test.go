package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"nbremote/test/lab"
)

// Shells that are somebody's login shell somewhere. One that is restricted runs
// no program by its path: that is said.
func TestR3_OtherShells(t *testing.T) {
	t.Parallel()
	accounts := []lab.Account{
		{Name: "incsh", Shell: "/bin/csh", Files: map[string]string{".cshrc": "echo welcome\nset prompt='%m> '\nlimit coredumpsize 0\n"}},
		{Name: "inksh", Shell: "/bin/ksh93", Files: map[string]string{".profile": "echo welcome\n", ".kshrc": "echo welcome\n"}},
		{Name: "inmksh", Shell: "/bin/mksh", Files: map[string]string{".mkshrc": "echo welcome\n"}},
	}
	l := lab.New(t, lab.Chain{Accounts: append(accounts, lab.Account{Name: "inrbash", Shell: "/bin/rbash"})})
	for _, a := range accounts {
		lab.Needs(t, a.Shell)
		works(t, l, open(t, l, a.Name+"@gpu1"))
		l.Must("stop", a.Name+"@gpu1", "-y")
		l.Must("close", a.Name+"@gpu1")
	}
	fails(t, l.Run("open", "--no-browser", "inrbash@gpu1"), 7,
		"look around on inrbash@gpu1: run /bin/sh on the host: its login shell is restricted", "have the login shell changed there (chsh -s /bin/bash), or use another account")
}

// A home that cannot be written is named, with what to look at.
func TestR7_HomeReadOnly(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	l.Host("gpu1").Sh("mount -o remount,ro /home")
	fails(t, l.Run("open", "--no-browser", "gpu1"), 7, "home is read-only", "df -h ~; ls -ld ~ /home/me/.local/share")
}

// Nothing is read from a program's words that depend on the language.
func TestR6_Languages(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"LC_ALL=de_DE", "LC_ALL=POSIX", "LANG=ja_JP.eucJP LC_CTYPE=C"} {
		t.Run(strings.ReplaceAll(set, " ", "_"), func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{Sshd: "SetEnv " + set + "\n"})
			goesBy(t, l, open(t, l, "gpu1"), "")
			l.Must("stop", "-y", "gpu1")
		})
	}
}

// The host's clock is a year ahead, or behind: by its date, since nobody can
// set the clock of one machine of the lab.
func TestR15_ClockOfTheHost(t *testing.T) {
	t.Parallel()
	for _, year := range []string{"+1", "-1"} {
		t.Run(year, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Chain{})
			gpu1 := l.Host("gpu1")
			gpu1.WriteMode("root", "/usr/local/bin/date", "#!/bin/sh\nexec /usr/bin/date -d '"+year+" year' \"$@\"\n", 0o755)
			first := open(t, l, "gpu1")
			works(t, l, first)
			l.Must("close", "gpu1")
			if o := open(t, l, "gpu1"); !o.Reused || o.Token != first.Token {
				t.Errorf("it is another: %+v", o)
			}
			l.Must("restart", "-y", "gpu1")
			l.Must("status", "gpu1")
			l.Must("stop", "-y", "gpu1")
			if len(gpu1.Running("jupyter-lab")) != 0 {
				t.Error("it still runs")
			}
		})
	}
}

// A host with little for each process, and a Jupyter that is slow on it: both
// take their time, and that is all.
func TestR16_LittleOfAll(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.WriteFile(lab.Me, "/home/me/.bashrc", "ulimit -n 128; ulimit -v 8000000; ulimit -s 4096\n")
	gpu1.WriteFile(lab.Me, "/home/me/.jupyter/jupyter_server_config.py", "import time; time.sleep(8)\n")
	o := open(t, l, "gpu1")
	if o.step("start") < 8*time.Second {
		t.Errorf("it did not take its time: %v", o.step("start"))
	}
	goesBy(t, l, o, "")
}

// Without tmux, with screen alone, Jupyter lives on by itself and its log is
// followed in its place.
func TestR1_ScreenOnly(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.Hide("tmux")
	gpu1.WriteMode("root", "/usr/local/bin/screen", "#!/bin/sh\n: >/tmp/screen-was-run\n", 0o755)
	works(t, l, open(t, l, "gpu1"))
	if r := l.Must("run", "gpu1", "--", "echo", "hello"); r.Stdout != "hello\n" {
		t.Errorf("run: %q\n%s", r.Stdout, r.Stderr)
	}
	x := l.Pty("attach", "gpu1")
	x.Expect("there is no tmux; its log follows", 20*time.Second)
	x.Expect("ServerApp", 20*time.Second)
	x.Type("\x03")
	x.Wait()
	if r := gpu1.Sh("ls /tmp/screen-was-run 2>/dev/null || :"); r != "" {
		t.Error("screen was run")
	}
}

// tmux 1.8, of CentOS 7: it knows no "=" before a name and none of the later
// options. A stand-in: today's tmux, which refuses what that one does.
func TestR1_OldTmux(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.WriteMode("root", "/usr/local/bin/tmux", `#!/bin/sh
for a; do case $a in =* | *#{pid}* | set-clipboard | -e | -N) echo "unknown option: $a" >&2; exit 1 ;; -V) echo tmux 1.8; exit ;; esac; done
exec /usr/bin/tmux "$@"
`, 0o755)
	r := l.Must("open", "--json", "--no-browser", "gpu1")
	if !strings.Contains(r.Stderr, "in tmux") {
		t.Errorf("it is not in tmux:\n%s", r.Stderr)
	}
	x := l.Pty("attach", "gpu1")
	x.Expect("ServerApp", 20*time.Second)
	x.Type("\x02d")
	if r := x.Wait(); r.Exit != 0 {
		t.Errorf("attach: exit %d\n%s", r.Exit, x.Screen())
	}
	l.Must("stop", "-y", "gpu1")
}

// In a container one is root, and much that others have is not there.
func TestHosts_RootInAContainer(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "PermitRootLogin yes\n"})
	gpu1 := l.Host("gpu1")
	gpu1.Sh(`sed -i 's|^root:.*|root:x:0:0::/home/root:/bin/bash|' /etc/passwd
		mkdir -m 700 /home/root; cp -r /home/me/.ssh /home/root/; chown -R 0:0 /home/root
		rm -rf /run/user /etc/machine-id`)
	gpu1.Hide("tmux", "systemd-run", "loginctl")
	o := open(t, l, "root@gpu1")
	if !o.Link.On {
		t.Errorf("there is no link: %s", o.Link.Why)
	}
	works(t, l, o)
	l.Must("close", "root@gpu1")
	gpu1.HangUp()
	if back := open(t, l, "root@gpu1"); !back.Reused || back.Token != o.Token {
		t.Errorf("it did not outlive the line: %+v", back)
	}
	l.Must("stop", "-y", "root@gpu1")
}

// A network that knows IPv6 alone, and an address that is good on one card.
func TestN23_IPv6Only(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	config, known := "", ""
	for i, m := range []*lab.Machine{l.Laptop, gpu1} {
		m.Sh(fmt.Sprintf("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0; ip -4 addr flush dev eth0; ip -6 addr add fd77::%d/64 dev eth0 nodad", i+1))
	}
	local := strings.TrimSpace(gpu1.Sh("ip -6 -o addr show dev eth0 scope link | sed 's/.*inet6 //; s,/.*,,'"))
	if local == "" {
		local = "fe80::2"
		gpu1.Sh("ip -6 addr add fe80::2/64 dev eth0 nodad")
		l.Laptop.Sh("ip -6 addr add fe80::1/64 dev eth0 nodad")
	}
	for name, addr := range map[string]string{"six": "fd77::2", "near": local + "%eth0"} {
		config += "Host " + name + "\n  HostName " + strings.ReplaceAll(addr, "%", "%%") + "\n  User me\n"
		known += gpu1.KnownHosts(addr)
	}
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/config", config)
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/known_hosts", known+gpu1.KnownHosts("[fd77::2]:22"))
	for _, name := range []string{"six", "near", "me@[fd77::2]:22"} {
		o := open(t, l, name)
		works(t, l, o)
		gpu1.HangUp()
		works(t, l, o)
		l.Must("close", name)
	}
}

// A name with ten addresses of which one is alive, and the others swallow.
func TestN22_OneOfTenAddresses(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	hosts := l.Laptop.ReadFile("/etc/hosts")
	for i := range 9 {
		dead := fmt.Sprintf("10.77.0.%d", 200+i)
		hosts += dead + " ten\n"
		l.Laptop.Sh("ip neighbour replace " + dead + " lladdr 02:00:00:00:00:ff dev eth0 nud permanent")
	}
	l.Laptop.WriteMode("root", "/etc/hosts", hosts+gpu1.Addr+" ten\n", 0o644)
	l.Laptop.WriteFile(lab.Me, "/home/me/.ssh/known_hosts", gpu1.KnownHosts("ten"))
	r := l.Must("open", "--json", "--no-browser", "me@ten")
	o := parseOpened(t, r)
	works(t, l, o)
	gpu1.HangUp()
	works(t, l, o)
}

// Dropbear is the server of routers and small boards: it forwards no unix
// sockets, which the relay does not need.
func TestHosts_Dropbear(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "/usr/sbin/dropbear", "dropbearconvert")
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.Dropbear()
	o := open(t, l, "gpu1")
	goesBy(t, l, o, "")
	gpu1.HangUp()
	works(t, l, o)
	l.Must("stop", "-y", "gpu1")
}

// No terminal is asked of the server: a shell's is the relay's.
func TestN19_PermitTTYNo(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Sshd: "PermitTTY no\n"})
	o := open(t, l, "gpu1")
	goesBy(t, l, o, "")
	x := shell(t, l, "gpu1")
	x.Type("tty; exit 7\r")
	x.Expect("/dev/pts/", 10*time.Second)
	if r := x.Wait(); r.Exit != 7 {
		t.Errorf("shell: exit %d", r.Exit)
	}
	x = l.Pty("attach", "gpu1")
	x.Expect("ServerApp", 20*time.Second)
	x.Type("\x02d")
	x.Wait()
	l.Must("stop", "-y", "gpu1")
}

// What is said to somebody who may not come in now is shown, also where it is
// said as an error.
func TestN20_NotNow(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Chain{Accounts: []lab.Account{
		{Name: "spoken", Files: map[string]string{".bashrc": "echo 'quota exceeded: mail the admins' >&2; exit 1\n"}},
	}})
	gpu1 := l.Host("gpu1")
	fails(t, l.Run("open", "--no-browser", "spoken@gpu1"), 7, "run /bin/sh on the host: the login shell said instead: quota exceeded: mail the admins")
	gpu1.WriteMode("root", "/etc/nologin", "down for service until noon\n", 0o644)
	fails(t, l.Run("open", "--no-browser", "gpu1"), 7, "down for service until noon")
}

// noLocks makes a home as some NFS is: no lock is to be had in it, and no socket
// can be made.
const noLocks = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
static int at_home(const char *link) {
	char path[4096];
	ssize_t n = readlink(link, path, sizeof path);
	return n > 6 && !memcmp(path, "/home/", 6);
}
static int opened_at_home(int fd) {
	char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return at_home(link);
}
static int refused(int error) { errno = error; return -1; }
int flock(int fd, int how) {
	return opened_at_home(fd) ? refused(ENOLCK) : ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(fd, how);
}
static int locks(const char *name, int fd, int what, void *arg) {
	int lock = what == F_SETLK || what == F_SETLKW || what == F_OFD_SETLK || what == F_OFD_SETLKW;
	return lock && opened_at_home(fd) ? refused(ENOLCK) : ((int (*)(int, int, ...))dlsym(RTLD_NEXT, name))(fd, what, arg);
}
#define WRAP(name) int name(int fd, int what, ...) { va_list l; va_start(l, what); void *arg = va_arg(l, void *); va_end(l); return locks(#name, fd, what, arg); }
WRAP(fcntl)
WRAP(fcntl64)
int bind(int fd, const struct sockaddr *a, socklen_t n) {
	const char *path = ((const struct sockaddr_un *)a)->sun_path;
	if (a->sa_family == AF_UNIX && n > 2 && (!strncmp(path, "/home/", 6) || path[0] && path[0] != '/' && at_home("/proc/self/cwd")))
		return refused(EPERM);
	return ((int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind"))(fd, a, n);
}
`

// A home without locks and sockets, as on some NFS, is as good as another.
func TestHosts_HomeWithoutLocks(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "cc")
	l := lab.New(t, lab.Chain{})
	gpu1 := l.Host("gpu1")
	gpu1.WriteFile("root", "/etc/nolocks.c", noLocks)
	gpu1.Sh("cc -shared -fPIC -w -o /etc/nolocks.so /etc/nolocks.c -ldl && echo /etc/nolocks.so >/etc/ld.so.preload")
	for _, s := range []string{"fcntl.flock(open('x', 'w'), 2)", "fcntl.lockf(open('x', 'w'), 2)", "socket.socket(socket.AF_UNIX).bind('y')"} {
		if out := gpu1.ShAs(lab.Me, `cd; python3 -c "import fcntl, socket; `+s+`" 2>&1 || :`); !strings.Contains(out, "rror") {
			t.Fatalf("the home is like another: %s: %s", s, out)
		}
	}
	o := open(t, l, "gpu1")
	goesBy(t, l, o, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := newPage(t, l, o.Port, o.Token)
	p.run(ctx, counting(20, 0, 10*time.Millisecond))
	if lost, _, idle := p.finished(20, time.Minute); lost != 0 || !idle {
		t.Errorf("a cell: %d of 20 lines lost, ended %v", lost, idle)
	}
	l.Must("close", "gpu1")
	if again := open(t, l, "gpu1"); again.Token != o.Token {
		t.Error("another Jupyter was started")
	}
	if r := l.Must("run", "gpu1", "--", "echo", "here"); r.Stdout != "here\n" {
		t.Errorf("run: %q", r.Stdout)
	}
	l.Must("stop", "-y", "gpu1")
}
