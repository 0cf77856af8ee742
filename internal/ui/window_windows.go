package ui

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func noWindow() string { return "" }

// startWindow gives the browser a group of its own, which Ctrl-C does not reach.
func startWindow(_ context.Context, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

func browserNames() []string {
	var names []string
	for _, program := range []string{`Google\Chrome\Application\chrome.exe`, `Chromium\Application\chrome.exe`, `Microsoft\Edge\Application\msedge.exe`, `Mozilla Firefox\firefox.exe`} {
		for _, place := range []string{"ProgramFiles", "ProgramFiles(x86)", "LocalAppData"} {
			if dir := os.Getenv(place); dir != "" {
				names = append(names, filepath.Join(dir, program))
			}
		}
	}
	return names
}
