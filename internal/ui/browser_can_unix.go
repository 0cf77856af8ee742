//go:build unix

package ui

import (
	"errors"
	"os/exec"
)

// CanOpenBrowser says why OpenBrowser would open nothing; nil: there is a
// program to try. Nothing is run.
func CanOpenBrowser() error {
	candidates, err := openers("http://127.0.0.1:8890/")
	if err != nil {
		return err
	}
	for _, argv := range candidates {
		if _, err := exec.LookPath(argv[0]); err == nil {
			return nil
		}
	}
	return errors.New("no program to open one: " + candidates[0][0])
}
