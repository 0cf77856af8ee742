//go:build unix

package ui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// pkg/browser runs the same programs but waits for them without a limit, in
// our session and with our stdin; only on Windows, where it runs none, is it
// used.

// openBrowser tries the candidates until one does not fail. One that is still
// there when ctx ends by time has not failed.
func openBrowser(ctx context.Context, address string) error {
	candidates, err := openers(address)
	if err != nil {
		return err
	}
	var failed []string
	for _, argv := range candidates {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			continue
		}
		err = runOpener(ctx, append([]string{path}, argv[1:]...))
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed = append(failed, filepath.Base(path)+": "+err.Error())
	}
	if len(failed) == 0 {
		return errors.New("no program to open one: " + candidates[0][0])
	}
	return errors.New(strings.Join(failed, "; "))
}

// openers are the command lines to try, in order.
func openers(address string) ([][]string, error) {
	if list := fromBrowser(os.Getenv("BROWSER"), address); len(list) > 0 {
		return list, nil
	}
	if why := noScreen(); why != "" {
		return nil, errors.New(why)
	}
	list := [][]string{}
	for _, program := range systemOpeners() {
		list = append(list, append(strings.Fields(program), address))
	}
	return list, nil
}

// fromBrowser reads $BROWSER: command lines with a colon between them, each
// with %s for the address or the address at its end.
func fromBrowser(value, address string) [][]string {
	list := [][]string{}
	for entry := range strings.SplitSeq(value, ":") {
		argv := strings.Fields(entry)
		if len(argv) == 0 {
			continue
		}
		found := false
		for i, arg := range argv {
			if strings.Contains(arg, "%s") {
				argv[i], found = strings.ReplaceAll(arg, "%s", address), true
			}
		}
		if !found {
			argv = append(argv, address)
		}
		list = append(list, argv)
	}
	return list
}

// runOpener gives nil when the program ends well or outlives the limit. After
// a cancelled ctx its process group is ended.
func runOpener(ctx context.Context, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // as long as the browser lives
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if context.Cause(ctx) == errSlow {
		return nil
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	return fmt.Errorf("open the browser: %w", ctx.Err())
}
