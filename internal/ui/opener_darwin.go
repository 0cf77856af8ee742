package ui

import "os"

// noScreen says why there is nobody to look at a browser here, or "".
func noScreen() string {
	if os.Getenv("SSH_CONNECTION") != "" {
		return "this is an SSH session"
	}
	return ""
}

func systemOpeners() []string { return []string{"/usr/bin/open"} }
