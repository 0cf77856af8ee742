//go:build !windows

package holder

import (
	"os/exec"
	"syscall"
)

// detach gives the process a session of its own: no terminal, no signals of ours.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// killAll ends a detached process and what it has started.
func killAll(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
