package webproxy

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isTaken: a listener that wants the port for itself alone shows as EACCES.
func isTaken(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
