package cli

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"

	"nbremote/internal/session"
)

// checkName refuses what is no name of a session that is started; "" is none.
func checkName(name string) error {
	if len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || unicode.IsControl(r) }) {
		return usage("read the name "+quoted(cut(name, 120))+": a slash, a control character, or more than 100 bytes", "--name sweep")
	}
	return nil
}

// names are those that the session may have: the one given, else that of the
// script, with a number where it is taken.
func names(given string, argv []string) []string {
	if given != "" {
		return []string{given}
	}
	name := scriptName(argv)
	all := []string{name}
	for n := 2; n <= 20; n++ {
		all = append(all, fmt.Sprintf("%s-%d", name, n))
	}
	return all
}

// scriptEnds are what the names of scripts end in.
var scriptEnds = strings.Fields(".py .ipynb .sh .bash .R .r .jl .pl .rb .js .ts .lua .m .do .sas .php")

// scriptName is that of the first file that is a script, else of the program.
func scriptName(argv []string) string {
	base := path.Base(argv[0])
	for _, arg := range argv {
		if !strings.HasPrefix(arg, "-") && !strings.ContainsAny(arg, " \n\t'\"()") && slices.Contains(scriptEnds, path.Ext(arg)) {
			base = path.Base(arg)
			base = strings.TrimSuffix(base, path.Ext(base))
			break
		}
	}
	base = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+", r) {
			return r
		}
		return '-'
	}, base)
	if base = strings.Trim(cut(base, 40), "-."); base == "" {
		return "script"
	}
	return base
}

// commandLine is a command as it would be typed.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = shellWord(arg)
	}
	return strings.Join(words, " ")
}

// maxHere is how many files of this computer the host is asked about.
const maxHere = 32

// here are the arguments that name a file of this computer. The program, and
// the first argument that is no option, is what runs: without it nothing will.
// Others may be what it is to write.
func here(argv []string) []session.Here {
	var found []session.Here
	first := true
	for i, arg := range argv {
		must := i == 0
		if i == 0 && !strings.Contains(arg, "/") || i > 0 && strings.HasPrefix(arg, "-") {
			continue
		}
		if i > 0 {
			must, first = first, false
		}
		s, err := os.Stat(arg)
		if err == nil && (s.Mode().IsRegular() || s.IsDir() && strings.Contains(arg, "/")) && len(found) < maxHere {
			found = append(found, session.Here{Path: arg, Must: must})
		}
	}
	return found
}
