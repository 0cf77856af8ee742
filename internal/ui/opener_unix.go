//go:build unix && !darwin

package ui

import "os"

// noScreen says why there is nobody to look at a browser here, or "".
func noScreen() string {
	switch {
	case os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "":
		return ""
	case os.Getenv("SSH_CONNECTION") != "":
		return "this is an SSH session"
	case onWindows():
		return ""
	}
	return "no display"
}

// onWindows: WSL opens the browser of the Windows around it.
func onWindows() bool { return os.Getenv("WSL_DISTRO_NAME") != "" }

func systemOpeners() []string {
	list := []string{"xdg-open", "x-www-browser", "www-browser"}
	if onWindows() {
		return append([]string{"wslview", "rundll32.exe url.dll,FileProtocolHandler"}, list...)
	}
	return list
}

func browserNames() []string {
	return []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "firefox", "firefox-esr"}
}
