// nbremote opens a Jupyter that runs on another machine in the browser here.
package main

import (
	"os"

	"nbremote/internal/cli"
)

func main() { os.Exit(cli.Main()) }
