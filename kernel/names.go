package kernel

import (
	"fmt"
	"strings"
)

const nameLimit = 64

// SpecName is the name of the kernelspec for an environment of that name: what
// Jupyter would not take becomes a hyphen.
func SpecName(envName string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(envName) {
		if !nameRune(c) {
			c = '-'
		}
		if c != '-' || !strings.HasSuffix(b.String(), "-") {
			b.WriteRune(c)
		}
	}
	name := b.String()
	name = strings.Trim(name[:min(len(name), nameLimit)], "-.")
	if name == "" || strings.HasPrefix(name, trialPrefix) {
		return "python"
	}
	return name
}

func nameRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// CheckName refuses what SpecName would never make, with a *UsageError.
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > nameLimit:
	case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || strings.HasPrefix(name, trialPrefix):
	case strings.ContainsFunc(name, func(c rune) bool { return !nameRune(c) }):
	default:
		return nil
	}
	return &UsageError{
		What: fmt.Sprintf("name a kernel %.80q: 1 to %d of a-z, 0-9, dot, underscore and hyphen, beginning with none of . and -", name, nameLimit),
		Try:  "--name " + SpecName(name),
	}
}
