//go:build unix && !linux

package sshd

import (
	"os"

	"github.com/creack/pty"
)

func openTerminal() (ours, theirs *os.File, err error) { return pty.Open() }

func setSize(terminal *os.File, z size) error {
	return pty.Setsize(terminal, &pty.Winsize{Cols: uint16(z.columns), Rows: uint16(z.rows)})
}
