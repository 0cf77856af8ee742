//go:build !windows

package sshx

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes the end of the command, by its context, the end of all that it
// started.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// shellCommand is a command line of ssh_config, run as ssh runs it: by the
// user's shell, which it replaces. It has no terminal.
func shellCommand(line string) *exec.Cmd {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd := exec.Command(shell, "-c", "exec "+line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// hasMasters: the ssh of this system can share its connection.
const hasMasters = true

// ownSession gives the command no terminal, and a group of its own.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// isOurs says that a file belongs to this account.
func isOurs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

// endGroup ends the command and all that it started: with SIGHUP, as ssh does,
// or for certain.
func endGroup(cmd *exec.Cmd, certain bool) {
	signal := syscall.SIGHUP
	if certain {
		signal = syscall.SIGKILL
	}
	syscall.Kill(-cmd.Process.Pid, signal)
}

// openToOthers says that somebody else could read a key file of ours.
func openToOthers(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0
}
