package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// within runs f on a thread of its own that has entered the named namespaces
// of the machine ("net", "mnt", …). What f starts or opens belongs to them.
func (m *Machine) within(f func() error, spaces ...string) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, since nothing
		// else may run on it.
		runtime.LockOSThread()
		err := m.enter(spaces)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func (m *Machine) enter(spaces []string) error {
	// A thread that shares its root with others may not change its mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leave the shared root: %w", err)
	}
	fds := make([]int, len(spaces))
	for i, space := range spaces {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", m.pid, space), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the %s namespace of %s: %w", space, m.Name, err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	for i, fd := range fds {
		if err := unix.Setns(fd, 0); err != nil {
			return fmt.Errorf("enter the %s namespace of %s: %w", spaces[i], m.Name, err)
		}
	}
	return nil
}

var allSpaces = []string{"pid", "net", "uts", "ipc", "mnt"}

// start starts a command inside the machine. Its paths are the machine's.
func (m *Machine) start(cmd *exec.Cmd) error {
	return m.within(cmd.Start, allSpaces...)
}

// Dial connects from inside the machine, with a socket that belongs to uid:
// what listens there sees a connection of that account.
func (m *Machine) Dial(ctx context.Context, uid int, network, addr string) (net.Conn, error) {
	var conn net.Conn
	err := m.within(func() (err error) {
		if network == "unix" {
			addr = m.Path(addr)
		}
		if _, err := unix.SetfsuidRetUid(uid); err != nil {
			return err
		}
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	}, "net")
	return conn, err
}

// Listen listens inside the machine's network, as root.
func (m *Machine) Listen(network, addr string) (net.Listener, error) {
	var l net.Listener
	err := m.within(func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	}, "net")
	return l, err
}

// Path is where this process finds a file of the machine.
func (m *Machine) Path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.pid, name)
}

// As makes a command that runs inside the machine as one of its accounts,
// with a fresh environment, in the account's home. Start it with Start.
func (m *Machine) As(ctx context.Context, account string, argv ...string) *Cmd {
	a := m.account(account)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Path, cmd.Err = argv[0], nil
	if cmd.Path[0] != '/' {
		cmd.Path = m.find(argv[0])
	}
	cmd.Dir = a.Home
	cmd.Env = m.environ(a)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.UID)}
	}
	cmd.WaitDelay = 5 * time.Second
	return &Cmd{Cmd: cmd, machine: m}
}

// find looks a program up in the machine's own directories.
func (m *Machine) find(program string) string {
	for _, dir := range []string{"/usr/local/bin/", "/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"} {
		if info, err := os.Stat(m.Path(dir + program)); err == nil && info.Mode()&0o111 != 0 {
			return dir + program
		}
	}
	return program
}

// Cmd is an exec.Cmd that starts inside a machine.
type Cmd struct {
	*exec.Cmd
	machine *Machine
}

// Start starts the command inside its machine.
func (c *Cmd) Start() error { return c.machine.start(c.Cmd) }

// Run starts the command and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}
