package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Machine is one computer of the lab.
type Machine struct {
	Name string
	// Addr is the address others reach it by, without a port.
	Addr string

	t        testing.TB
	pid      int // of its first process, seen from here
	accounts []Account
	links    []link
	sshd     *server
}

// Account is a login on a machine. The zero UID gets the next free one.
type Account struct {
	Name  string
	UID   int
	Shell string // "" = /bin/bash
	Home  string // "" = /home/NAME
	// Files are written into the home: path relative to it -> content.
	Files map[string]string
	// Password is "" for an account that takes keys only.
	Password string
}

// firstUID is above what Debian gives to people and below its limits.
const firstUID = 20001

// The first process of a machine: it sets up what is the machine's own, says
// so, and lives until its standard input ends, which happens when the test
// ends, however it ends. It reaps, as a first process must.
const boot = `set -e
mount --make-rprivate /
mount -t proc proc /proc
hostname "$1"
mount -t tmpfs -o mode=755 run /run
mkdir -m 700 /run/lab /run/lab/upper /run/lab/work
chmod 755 /run/lab/upper
mkdir -m 755 /run/sshd /run/user
mount -t overlay -o lowerdir=/etc,upperdir=/run/lab/upper,workdir=/run/lab/work etc /etc
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 home /home
mount -t tmpfs -o mode=755 local /usr/local/bin
rm -f /etc/resolv.conf /etc/nologin /etc/machine-id /etc/motd
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >/etc/resolv.conf
printf '127.0.0.1 localhost %s\n::1 localhost\n' "$1" >/etc/hosts
echo "$1" >/etc/hostname
od -An -N16 -tx1 /dev/urandom | tr -d ' ' >/etc/machine-id
chmod 444 /etc/machine-id
ip link set lo up
echo ready
exec >/dev/null 2>&1
exec 3<&0 </dev/null
cat <&3 &
wait $!`

// newMachine starts a machine without network, with the account root.
func newMachine(t testing.TB, name string) *Machine {
	t.Helper()
	m := &Machine{Name: name, t: t, accounts: []Account{{Name: "root", Home: "/root", Shell: "/bin/sh"}}}
	cmd := exec.Command("/bin/sh", "-c", boot, "sh", name)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	alive, err := cmd.StdinPipe()
	must(t, err, "boot %s", name)
	out, err := cmd.StdoutPipe()
	must(t, err, "boot %s", name)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	must(t, cmd.Start(), "boot %s", name)
	t.Cleanup(func() { m.off(cmd, alive) })
	said, _ := io.ReadAll(io.LimitReader(out, int64(len("ready\n"))))
	if string(said) != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("boot %s: %s", name, trouble.String())
	}
	m.pid = cmd.Process.Pid
	return m
}

// off ends the first process; the kernel then ends all others of the machine
// and frees its network and its file systems.
func (m *Machine) off(cmd *exec.Cmd, alive io.Closer) {
	_ = alive.Close()
	_ = cmd.Process.Kill()
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		// The kernel waits until the parent of each has asked for its status.
		m.t.Errorf("%s does not end: a command that was started there was not waited for", m.Name)
	}
}

func (m *Machine) account(name string) Account {
	for _, a := range m.accounts {
		if a.Name == name {
			return a
		}
	}
	m.t.Fatalf("%s has no account %q", m.Name, name)
	panic("not reached")
}

// AddAccount makes a login with its home. Keys lists what may sign in to it.
func (m *Machine) AddAccount(a Account, keys ...string) Account {
	m.t.Helper()
	if a.UID == 0 {
		a.UID = firstUID + len(m.accounts) - 1
	}
	if a.Shell == "" {
		a.Shell = "/bin/bash"
	}
	if a.Home == "" {
		a.Home = "/home/" + a.Name
	}
	hash := "*"
	if a.Password != "" {
		hash = crypt(m.t, a.Password)
	}
	m.accounts = append(m.accounts, a)
	m.appendFile("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:%s\n", a.Name, a.UID, a.UID, a.Home, a.Shell))
	m.appendFile("/etc/group", fmt.Sprintf("%s:x:%d:\n", a.Name, a.UID))
	m.appendFile("/etc/shadow", fmt.Sprintf("%s:%s:19700:0:99999:7:::\n", a.Name, hash))
	m.mkdir(a, a.Home, 0o700)
	m.mkdir(a, "/run/user/"+strconv.Itoa(a.UID), 0o700)
	m.WriteFile(a.Name, a.Home+"/.ssh/authorized_keys", strings.Join(keys, ""))
	for name, text := range a.Files {
		m.WriteFile(a.Name, filepath.Join(a.Home, name), text)
	}
	return a
}

// crypt makes a password's shadow hash; perl-base is on every Debian.
func crypt(t testing.TB, password string) string {
	out, err := exec.Command("perl", "-e", `print crypt($ARGV[0], '$6$nbremotelab$')`, password).Output()
	must(t, err, "hash a password")
	return string(out)
}

func (m *Machine) mkdir(a Account, dir string, mode os.FileMode) {
	m.t.Helper()
	must(m.t, os.MkdirAll(m.Path(dir), 0o755), "make %s on %s", dir, m.Name)
	must(m.t, os.Chmod(m.Path(dir), mode), "make %s on %s", dir, m.Name)
	must(m.t, os.Chown(m.Path(dir), a.UID, a.UID), "make %s on %s", dir, m.Name)
}

// WriteFile writes a file of an account, 0600, and the folders above it that
// are missing, 0700.
func (m *Machine) WriteFile(account, name, text string) {
	m.t.Helper()
	m.WriteMode(account, name, text, 0o600)
}

// WriteMode is WriteFile with another mode.
func (m *Machine) WriteMode(account, name, text string, mode os.FileMode) {
	m.t.Helper()
	a := m.account(account)
	var missing []string
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(m.Path(dir)); err == nil {
			break
		}
		missing = append(missing, dir)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		m.mkdir(a, missing[i], 0o700)
	}
	must(m.t, os.WriteFile(m.Path(name), []byte(text), mode), "write %s on %s", name, m.Name)
	must(m.t, os.Chmod(m.Path(name), mode), "write %s on %s", name, m.Name)
	must(m.t, os.Chown(m.Path(name), a.UID, a.UID), "write %s on %s", name, m.Name)
}

func (m *Machine) appendFile(name, text string) {
	m.t.Helper()
	f, err := os.OpenFile(m.Path(name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	must(m.t, err, "open %s on %s", name, m.Name)
	_, err = f.WriteString(text)
	must(m.t, err, "write %s on %s", name, m.Name)
	must(m.t, f.Close(), "write %s on %s", name, m.Name)
}

// ReadFile is "" when the file is not there.
func (m *Machine) ReadFile(name string) string {
	b, _ := os.ReadFile(m.Path(name))
	return string(b)
}

// Hide takes programs away from the machine, by name or by path.
func (m *Machine) Hide(programs ...string) {
	m.t.Helper()
	for _, p := range programs {
		if p[0] != '/' {
			p = m.find(p)
		}
		m.Sh("mount --bind /dev/null '" + p + "'")
	}
}

// Sh runs a script as root on the machine and returns its output.
func (m *Machine) Sh(script string) string {
	m.t.Helper()
	return m.ShAs("root", script)
}

// ShAs runs a script as an account, not through its login shell, and fails
// the test if it fails.
func (m *Machine) ShAs(account, script string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := m.As(ctx, account, "/bin/sh", "-c", script)
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("on %s as %s: %v: %s\n%s", m.Name, account, err, script, trouble.String())
	}
	return out.String()
}

func (m *Machine) environ(a Account) []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + a.Home, "USER=" + a.Name,
		"LOGNAME=" + a.Name, "SHELL=" + a.Shell, "LANG=C.UTF-8", "TERM=xterm-256color",
		"XDG_RUNTIME_DIR=/run/user/" + strconv.Itoa(a.UID),
	}
}

func must(t testing.TB, err error, step string, args ...any) {
	t.Helper()
	if err != nil {
		t.Fatalf(step+": %v", append(args, err)...)
	}
}
