package sshx

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// suggest gives the Host of the ssh_config that is nearest to a name that was
// not found, or "". It reads Host lines only and resolves nothing.
func suggest(name, configFile string) string {
	home := homeDir()
	if configFile == "" {
		configFile = filepath.Join(home, ".ssh", "config")
	}
	best, bestAt := "", 1+max(1, len(name)/3)
	for _, host := range hostNames(configFile, filepath.Join(home, ".ssh"), 0) {
		if d := distance(strings.ToLower(name), strings.ToLower(host)); d < bestAt {
			best, bestAt = host, d
		}
	}
	return best
}

func hostNames(file, sshDir string, depth int) []string {
	f, err := os.Open(file)
	if err != nil || depth > 4 {
		return nil
	}
	defer f.Close()
	var names []string
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	for lines.Scan() && len(names) < 10_000 {
		fields := strings.Fields(strings.Replace(lines.Text(), "=", " ", 1))
		if len(fields) < 2 {
			continue
		}
		switch strings.ToLower(fields[0]) {
		case "host":
			for _, host := range fields[1:] {
				if !strings.ContainsAny(host, "*?!") && validHost(host) {
					names = append(names, host)
				}
			}
		case "include":
			for _, pattern := range fields[1:] {
				names = append(names, included(pattern, sshDir, depth)...)
			}
		}
	}
	return names
}

func included(pattern, sshDir string, depth int) (names []string) {
	pattern = expandTilde(strings.Trim(pattern, `"`))
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(sshDir, pattern)
	}
	files, _ := filepath.Glob(pattern)
	for _, file := range files[:min(len(files), 100)] {
		names = append(names, hostNames(file, sshDir, depth+1)...)
	}
	return names
}

// distance is the number of letters to put in, take out or change.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
