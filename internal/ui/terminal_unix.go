//go:build unix

package ui

import (
	"os"
	"strings"
)

// localeIsUTF8 looks at the variables as setlocale(3) does. Without any, a
// Mac's terminals are UTF-8 all the same.
func localeIsUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return noLocaleIsUTF8
}
