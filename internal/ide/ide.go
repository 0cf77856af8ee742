// Package ide builds what an editor needs to start nbremote by name, and merges
// it into files that are there already. It gets and gives bytes: finding the
// project, writing and printing are left to others. It knows no address and no
// token, so none can be in what it builds.
package ide

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// File is a file of a project.
type File struct {
	Path string // in the project, with slashes
	// Merge gives what the file becomes; existing is what it holds now, nil
	// where there is none. After an error the file is to be left alone.
	Merge func(existing []byte) (Merged, error)
}

// Merged is what becomes of a file.
type Merged struct {
	Content []byte
	Changed bool
	Kept    []string // what is ours by name and was changed by somebody: it stays as it is
}

// SyntaxError says where a file cannot be understood. Lines and columns count
// from 1, columns in bytes.
type SyntaxError struct {
	Line, Col int
	Text      string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Text) }

// syntaxAt is a SyntaxError at a place of text.
func syntaxAt(text []byte, offset int, format string, args ...any) error {
	before := string(text[:min(offset, len(text))])
	return &SyntaxError{
		Line: 1 + strings.Count(before, "\n"), Col: len(before) - strings.LastIndexByte(before, '\n'),
		Text: fmt.Sprintf(format, args...),
	}
}

// action is one thing that an editor can start.
type action struct {
	name string
	args []string // of nbremote
}

// actions are what every editor gets. The first one stays until the line is to
// be closed; with these flags it prints no token. stop asks before it ends a
// busy kernel: editors run all three in a terminal.
func actions(where string) []action {
	return []action{
		{"open", []string{"open", where, "--foreground", "--no-browser", "--progress=plain"}},
		{"url", []string{"url", where, "--copy"}},
		{"stop", []string{"stop", where}},
	}
}

// expands are the forms that an editor replaces inside of any text, and has no
// way to write as such: ${name} of VS Code, $NAME$ of PyCharm.
var expands = regexp.MustCompile(`\$\{|\$\w+\$`)

// check refuses names that cannot be written into an editor's file as they are.
func check(where string) error {
	switch {
	case !utf8.ValidString(where):
		return fmt.Errorf("%q is not UTF-8, and editors' files are", where)
	case strings.ContainsFunc(where, unicode.IsControl):
		return fmt.Errorf("%q has a control character in it", where)
	case expands.MatchString(where):
		return fmt.Errorf("an editor takes the %s in %q for a variable of its own", expands.FindString(where), where)
	}
	return nil
}
