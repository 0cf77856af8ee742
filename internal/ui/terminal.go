package ui

import (
	"os"

	"golang.org/x/term"
)

// IsTerminal says whether f is one.
func IsTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// columns of the terminal; 0 = not known.
func columns(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
