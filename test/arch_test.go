package test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the project's folder, seen from this one.
const root = ".."

// mayImport is the architecture: each folder with Go files, and which of our
// own packages it may import outside of tests. A folder that is not here is a
// decision to be made, in docs/design.md.
var mayImport = map[string][]string{
	".": {"internal/cli"},
	"internal/cli": {
		"internal/config", "internal/holder", "internal/ide", "internal/remote", "internal/session", "internal/socks", "internal/sshd",
		"internal/transfer", "internal/ui", "internal/webproxy", "jupyter", "kernel", "sshx",
	},
	"internal/holder": {
		"sshx", "internal/environ", "internal/link", "internal/webproxy", "internal/socks", "internal/remote", "internal/session",
	},
	"jupyter":           {"internal/environ", "internal/remote", "internal/session"},
	"kernel":            {"internal/environ", "internal/remote", "internal/session"},
	"internal/session":  {"internal/environ", "internal/remote"},
	"internal/remote":   nil,
	"internal/config":   nil,
	"internal/environ":  nil,
	"internal/ide":      nil,
	"internal/link":     nil,
	"internal/socks":    nil,
	"internal/sshd":     nil,
	"internal/transfer": {"internal/remote"},
	"internal/ui":       nil,
	"internal/webproxy": nil,
	"sshx":              nil,
	"test":              nil,
	"test/lab":          nil,
}

func TestArchitecture_WhoImportsWhom(t *testing.T) {
	for _, file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("%s: a folder that the architecture does not know", file)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, ours := range ownImports(t, file) {
			if !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which %s may not", file, ours, dir)
			}
		}
	}
}

func TestArchitecture_OnlyCLIPrintsAndExits(t *testing.T) {
	for _, file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if strings.HasSuffix(file, "_test.go") || dir == "." || dir == "internal/cli" || strings.HasPrefix(dir, "test") {
			continue
		}
		text := read(t, file)
		for _, call := range []string{"fmt.Print", "os.Exit(", "log.Fatal", "log.Print", "println("} {
			if at := strings.Index(text, "\t"+call); at >= 0 {
				t.Errorf("%s:%d calls %s", file, 1+strings.Count(text[:at], "\n"), call)
			}
		}
	}
}

// goFiles are the project's Go files, relative to root.
func goFiles(t *testing.T) []string {
	t.Helper()
	return files(t, func(name string) bool { return strings.HasSuffix(name, ".go") })
}

// files are those of the project that want wants, relative to root.
func files(t *testing.T, want func(name string) bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() && (name == ".git" || name == "bin" || name == "dist") {
			return filepath.SkipDir
		}
		if !d.IsDir() && want(filepath.ToSlash(name)) {
			found = append(found, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ownImports are a file's imports from this module, without its name.
func ownImports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, spec := range parsed.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if rest, ok := strings.CutPrefix(path, "nbremote/"); ok {
			ours = append(ours, rest)
		}
	}
	return ours
}
