package lab

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Needs skips the test when a program or file is missing; in CI it fails it.
func Needs(t testing.TB, what ...string) {
	t.Helper()
	for _, name := range what {
		_, err := exec.LookPath(name)
		if strings.HasPrefix(name, "/") {
			_, err = os.Stat(name)
		}
		if err != nil {
			Missing(t, name)
		}
	}
}

// Has tells whether a program is there, for tests of one thing with many
// programs; in CI it has to be.
func Has(t testing.TB, program string) bool {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", program)
	}
	if err != nil {
		t.Logf("without %s (make deps)", program)
	}
	return err == nil
}

// Missing skips the test for want of something; in CI it fails it.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s (make deps)", what)
}

// Binary is the program that New puts on the laptops; TestMain sets it.
var Binary string
