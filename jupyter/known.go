package jupyter

import (
	"fmt"
	"strconv"
	"strings"

	"nbremote/internal/remote"
)

// holes are security holes of Jupyter that matter behind a forwarded port:
// the version that mends each, the newest first.
var holes = []struct{ pkg, mended, name string }{
	{"Jupyter Server", "2.18.2", "CVE-2026-5422"},
	{"Jupyter Server", "2.18.0", "CVE-2026-40110"},
	{"Jupyter Server", "2.7.2", "CVE-2023-39968"},
	{"Jupyter Server", "1.17.1", "CVE-2022-29241"},
	{"Jupyter Server", "1.15.4", "CVE-2022-24757"},
	{"JupyterLab", "4.0.11", "CVE-2024-22421"},
	{"Jupyter Notebook", "6.4.10", "CVE-2022-24758"},
}

// Warning names the known security holes of these versions in one line; "" is
// none known.
func (i Install) Warning() string {
	text, mend := i.Holes()
	if text == "" {
		return ""
	}
	return text + "; mend: " + mend
}

// Holes names the known security holes of these versions, and the command on
// the host that mends them; "" is none known.
func (i Install) Holes() (text, mend string) {
	for _, one := range []struct{ pkg, pip, version string }{
		{"Jupyter Server", "jupyter_server", i.Server}, {"JupyterLab", "jupyterlab", i.Lab}, {"Jupyter Notebook", "notebook", i.Notebook},
	} {
		if text := warning(one.pkg, one.version); text != "" {
			return text, word(i.Python) + " -m pip install -U " + one.pip
		}
	}
	return "", ""
}

// word is a path as a word of the host's shell.
func word(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return remote.Quote(path)
	}
	return path
}

// Warning is as Install's, for a server that runs.
func (s *Server) Warning() string { return warning("Jupyter Server", s.Version) }

func warning(pkg, version string) string {
	var names []string
	for _, hole := range holes {
		if hole.pkg == pkg && version != "" && older(version, hole.mended) {
			names = append(names, hole.name)
		}
	}
	if len(names) == 0 || pkg == "JupyterLab" && strings.HasPrefix(version, "3.") && !older(version, "3.6.7") {
		return ""
	}
	return fmt.Sprintf("%s %s has known holes (%s)", pkg, version, strings.Join(names[:min(len(names), 2)], ", "))
}

// older compares by numbers: 2.9.1 is older than 2.18.0.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, y := leading(as[i]), leading(bs[i])
		if x != y {
			return x < y
		}
	}
	return len(as) < len(bs)
}

// leading is the number that a part begins with: 0rc1 is 0.
func leading(part string) int {
	end := 0
	for end < len(part) && part[end] >= '0' && part[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(part[:end])
	return n
}
