package holder

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// detach gives the process no console and a group of its own.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}

// killAll ends the process.
func killAll(cmd *exec.Cmd) error { return cmd.Process.Kill() }
