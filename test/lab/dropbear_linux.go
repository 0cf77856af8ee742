package lab

import (
	"context"
	"strings"
	"syscall"
	"time"
)

// Dropbear puts a dropbear with the same host key in the place of the machine's
// sshd. HangUp and StopSSHD mean it from then on.
func (m *Machine) Dropbear() {
	m.t.Helper()
	m.StopSSHD()
	m.Sh("dropbearconvert openssh dropbear /etc/ssh/lab_0 /etc/ssh/lab_dropbear")
	cmd := m.As(context.Background(), "root", "/usr/sbin/dropbear", "-F", "-s", "-p", "22", "-P", "/run/lab/dropbear.pid", "-r", "/etc/ssh/lab_dropbear")
	must(m.t, cmd.Start(), "start dropbear on %s", m.Name)
	m.sshd.cmd = cmd
	Wait(m.t, 10*time.Second, "dropbear on "+m.Name+" to greet", m.greets)
}

// hangUpDropbear ends its connections.
func (m *Machine) hangUpDropbear() {
	for _, p := range m.Processes() {
		if strings.HasPrefix(p.Line, "/usr/sbin/dropbear ") && p.PID != m.sshd.cmd.Process.Pid {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}
