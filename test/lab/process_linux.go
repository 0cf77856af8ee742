package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Process is one process of a machine, by the number it has for us.
type Process struct {
	PID  int
	Line string // its arguments, joined by blanks
	UID  int
}

// Processes are those that run on the machine.
func (m *Machine) Processes() []Process {
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", m.pid))
	if err != nil {
		return nil
	}
	var found []Process
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		if space, err := os.Readlink(dir + "/ns/pid"); err != nil || space != ours {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		pid, _ := strconv.Atoi(filepath.Base(dir))
		p := Process{PID: pid, Line: strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " ")), UID: -1}
		if info, err := os.Stat(dir); err == nil {
			p.UID = int(info.Sys().(*syscall.Stat_t).Uid)
		}
		found = append(found, p)
	}
	return found
}

// Running are the machine's processes whose arguments contain a text.
func (m *Machine) Running(text string) []Process {
	var found []Process
	for _, p := range m.Processes() {
		if p.Line != "" && strings.Contains(p.Line, text) && p.PID != m.pid {
			found = append(found, p)
		}
	}
	return found
}

// Kill sends a signal to the machine's processes whose arguments contain a
// text, and returns how many there were.
func (m *Machine) Kill(text string, sig syscall.Signal) int {
	found := m.Running(text)
	for _, p := range found {
		_ = syscall.Kill(p.PID, sig)
	}
	return len(found)
}

func (m *Machine) signal(program string, sig syscall.Signal) {
	for _, p := range m.Processes() {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
		if strings.TrimSpace(string(name)) == program {
			_ = syscall.Kill(p.PID, sig)
		}
	}
}
