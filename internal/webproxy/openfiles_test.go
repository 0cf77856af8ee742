package webproxy

import (
	"os"
	"testing"
)

// openFiles is how many descriptors this process has; 0 where that is not told.
func openFiles(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(all)
}
