package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nbremote/test/lab"
)

func documents(t *testing.T) []string {
	t.Helper()
	return files(t, func(name string) bool { return strings.HasSuffix(name, ".md") })
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s: no %s", doc, m[1])
			}
		}
	}
}

// The README walks through `open` by the names of files.
func TestDocs_TheTourNamesFiles(t *testing.T) {
	tour := regexp.MustCompile(`(?s)## The tour of .open.\n(.*?)\n## `).FindStringSubmatch(read(t, "README.md"))
	if tour == nil {
		t.Fatal("README.md has no tour of open")
	}
	for n, step := range regexp.MustCompile(`(?m)^\d+\. .*$`).FindAllString(tour[1], -1) {
		if !regexp.MustCompile(`\((internal|sshx|jupyter)/[^)]+\)`).MatchString(step) {
			t.Errorf("step %d names no file: %s", n+1, step)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^\d+\. `).FindAllString(tour[1], -1)); n != 10 {
		t.Errorf("the tour has %d steps, not 10", n)
	}
}

var (
	fence   = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	example = regexp.MustCompile(`^(?:\$ )?nbremote (kernel [a-z]+|[a-z]+)(.*)$`)
	flags   = regexp.MustCompile(`\s(--[a-z][a-z-]*)`)
)

// Every command line that a document shows is one that the program knows.
func TestDocs_CommandsExist(t *testing.T) {
	t.Parallel()
	help := map[string]string{}
	for _, doc := range documents(t) {
		for _, block := range fence.FindAllStringSubmatch(read(t, doc), -1) {
			for line := range strings.Lines(block[1]) {
				m := example.FindStringSubmatch(strings.TrimSpace(line))
				if m == nil {
					continue
				}
				if _, asked := help[m[1]]; !asked {
					out, err := exec.Command(lab.Binary, append(strings.Fields(m[1]), "--help")...).CombinedOutput()
					if err != nil {
						t.Errorf("%s: nbremote %s --help: %v", doc, m[1], err)
					}
					help[m[1]] = string(out)
				}
				checkFlags(t, doc, m[1], m[2], help[m[1]])
			}
		}
	}
}

func checkFlags(t *testing.T, doc, command, rest, help string) {
	t.Helper()
	rest, _, _ = strings.Cut(rest, " -- ")
	rest, _, _ = strings.Cut(rest, " #")
	for _, f := range flags.FindAllStringSubmatch(rest, -1) {
		if !strings.Contains(help, f[1]) {
			t.Errorf("%s: nbremote %s has no %s", doc, command, f[1])
		}
	}
}

// Nothing in the project says on which machine it was made.
func TestProject_NamesNoMachine(t *testing.T) {
	t.Parallel()
	// Taken apart, so that this file does not name them.
	bad := regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/wo` + `rk/|pro` + `xy\.golang|py` + `pi\.org|pythonhost` + `ed|registry\.np` + `mjs|deb\.deb` + `ian\.org|crates\.i` + `o\b`)
	tracked, err := exec.Command("git", "-C", root, "ls-files", "-co", "--exclude-standard").Output()
	if err != nil {
		lab.Missing(t, "git and a clone")
	}
	for name := range strings.Lines(string(tracked)) {
		name = strings.TrimSpace(name)
		if name == "go.sum" || strings.HasSuffix(name, ".png") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted and not yet committed
		}
		if at := bad.FindIndex(text); at != nil {
			t.Errorf("%s:%d: %q", name, 1+strings.Count(string(text[:at[0]]), "\n"), text[at[0]:at[1]])
		}
	}
}

// The lines for ssh_config that the document shows are those that are printed.
func TestDocs_StdioPrintsThat(t *testing.T) {
	t.Parallel()
	doc := read(t, "docs/signing-in.md")
	if !strings.Contains(doc, "nbremote stdio --print-config 'gpu*'") {
		t.Fatal("docs/signing-in.md does not show the command")
	}
	cmd := exec.Command(lab.Binary, "stdio", "--print-config", "gpu*")
	cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir(), "PATH="+filepath.Dir(lab.Binary)+":"+os.Getenv("PATH"))
	if out, err := cmd.Output(); err != nil || !strings.Contains(doc, "```\n"+string(out)+"```") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Each `nbremote ide` that the document shows does what it says, in a project
// of its own.
func TestDocs_IDECommandsRun(t *testing.T) {
	t.Parallel()
	ran := 0
	for line := range strings.Lines(strings.Join(fence.FindAllString(read(t, "docs/ide.md"), -1), "")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		args := strings.Fields(line)
		if len(args) < 2 || args[0] != "nbremote" || args[1] != "ide" {
			continue
		}
		ran++
		cmd := exec.Command(lab.Binary, args[1:]...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		written, _ := filepath.Glob(filepath.Join(cmd.Dir, ".*", "*"))
		if wrote := len(written) > 0; wrote != strings.Contains(line, "--write") {
			t.Errorf("%s: it left %q", line, written)
		}
	}
	if ran == 0 {
		t.Error("docs/ide.md shows no command")
	}
}
