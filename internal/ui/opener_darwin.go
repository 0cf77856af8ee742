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

func browserNames() []string {
	var names []string
	for _, place := range []string{"/Applications", os.ExpandEnv("$HOME/Applications")} {
		for _, program := range []string{"Google Chrome", "Chromium", "Microsoft Edge", "Firefox"} {
			binary := program
			if program == "Firefox" {
				binary = "firefox"
			}
			names = append(names, place+"/"+program+".app/Contents/MacOS/"+binary)
		}
	}
	return names
}
