// Package test tries the whole program on real parts: OpenSSH servers behind
// gateways, login shells, tmux, JupyterLab and Chromium, in a lab of its own
// for each test. What the program promises one package at a time is tested
// beside the package.
package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nbremote/test/lab"
)

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

// withProgram builds nbremote once, with the race detector, for all tests.
func withProgram(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "nbremote-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	lab.Binary = filepath.Join(dir, "nbremote")
	out, err := exec.Command("go", "build", "-race", "-o", lab.Binary, "nbremote").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build nbremote: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
