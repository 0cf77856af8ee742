package cli

import (
	"fmt"
	"runtime"
)

// versionCmd prints the version.
type versionCmd struct{}

// Run prints one line.
func (c *versionCmd) Run(a *app) error {
	if a.JSON {
		return a.printJSON(map[string]string{"version": Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	_, err := fmt.Fprintln(stdout, "nbremote "+Version)
	return err
}
