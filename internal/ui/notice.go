package ui

import (
	"html"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gen2brain/beeep"
)

// Notice shows a desktop notice and may block for as long as the desktop does:
// it is for a process of its own. What is no plain text is left out of it, and
// what some desktops would take for markup is escaped.
func Notice(title, text string) error {
	beeep.AppName = "nbremote"
	title, text = plainText(title), plainText(text)
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		noMarkup := strings.NewReplacer("<", "", ">", "")
		return beeep.Notify(noMarkup.Replace(title), noMarkup.Replace(text), "")
	}
	leaveBusesAlone()
	return beeep.Notify(title, html.EscapeString(text), "")
}

// leaveBusesAlone keeps D-Bus from being started for want of one.
func leaveBusesAlone() {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return
	}
	address := "disabled:"
	if bus := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus"); filepath.IsAbs(bus) {
		if info, err := os.Stat(bus); err == nil && info.Mode()&os.ModeSocket != 0 {
			address = "unix:path=" + bus
		}
	}
	os.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
}

// plainText keeps what every desktop shows as it is, and no more than fits.
func plainText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0 || r == '\\' || r == '"' || r == '`' || r == '$':
			return -1
		}
		return r
	}, Safe(s))
	if runes := []rune(s); len(runes) > 300 {
		s = string(runes[:300]) + "…"
	}
	return strings.TrimLeft(s, "-") // an option of notify-send else
}
