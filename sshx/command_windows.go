package sshx

import (
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(*exec.Cmd) {}

func shellCommand(line string) *exec.Cmd {
	cmd := exec.Command("cmd.exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd.exe /d /s /c "` + line + `"`, HideWindow: true}
	return cmd
}

func endGroup(cmd *exec.Cmd, _ bool) { cmd.Process.Kill() }

// openToOthers: access control lists are not looked at.
func openToOthers(os.FileInfo) bool { return false }

// hasMasters: the ssh of Windows shares no connection.
const hasMasters = false

func ownSession(*exec.Cmd) {}

func isOurs(os.FileInfo) bool { return false }
