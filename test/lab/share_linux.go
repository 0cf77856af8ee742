package lab

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ShareHome puts an account's home on this machine in the place of that on
// others, as a file server would.
func (m *Machine) ShareHome(account string, others ...*Machine) {
	m.t.Helper()
	home := m.account(account).Home
	for _, other := range others {
		var tree int
		err := m.within(func() (err error) {
			tree, err = unix.OpenTree(unix.AT_FDCWD, home, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
			return err
		}, "mnt")
		must(m.t, err, "share %s of %s", home, m.Name)
		err = other.within(func() error {
			defer unix.Close(tree)
			return unix.MoveMount(tree, "", unix.AT_FDCWD, home, unix.MOVE_MOUNT_F_EMPTY_PATH)
		}, "mnt")
		must(m.t, err, "share %s of %s with %s", home, m.Name, other.Name)
	}
}

// OneName has one name of the laptop mean several machines, which know each
// other by their own names. The function returned says to which of them the
// next connection leads.
func (l *Lab) OneName(name string, machines ...*Machine) (leadsTo func(*Machine)) {
	l.t.Helper()
	hosts := l.Laptop.ReadFile("/etc/hosts")
	known := l.Laptop.ReadFile("/home/me/.ssh/known_hosts")
	for _, m := range machines {
		known += m.KnownHosts(name)
		for _, other := range machines {
			if other != m {
				m.appendFile("/etc/hosts", fmt.Sprintf("%s %s\n", other.Addr, other.Name))
			}
		}
	}
	l.Laptop.WriteFile(Me, "/home/me/.ssh/known_hosts", known)
	l.Laptop.WriteFile(Me, "/home/me/.ssh/config", "Host "+name+"\n  User me\n"+l.Laptop.ReadFile("/home/me/.ssh/config"))
	return func(m *Machine) {
		l.Laptop.WriteMode("root", "/etc/hosts", hosts+m.Addr+" "+name+"\n", 0o644)
	}
}
