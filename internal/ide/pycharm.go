package ide

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// PyCharm is what the IDEs of JetBrains need to work with where: a shared run
// configuration a file (folder .run), of the bundled Shell Script plugin. On
// Windows its line is for PowerShell, elsewhere for sh.
func PyCharm(where string, windows bool) ([]File, error) {
	if err := check(where); err != nil {
		return nil, err
	}
	files := []File{}
	for _, a := range actions(where) {
		r := newRun("nbremote "+a.name+" "+where, append([]string{"nbremote"}, a.args...), windows)
		files = append(files, File{Path: ".run/" + fileName(r.Configuration.Name) + ".run.xml", Merge: r.merge})
	}
	return files, nil
}

// run is a file of .run. The format is written down nowhere; this is the shape
// that PyCharm itself and several generators give it.
type run struct {
	XMLName       xml.Name      `xml:"component"`
	Name          string        `xml:"name,attr"`
	Configuration configuration `xml:"configuration"`
}

type configuration struct {
	Default string   `xml:"default,attr"`
	Name    string   `xml:"name,attr"`
	Type    string   `xml:"type,attr"`
	Options []option `xml:"option"`
	Envs    struct{} `xml:"envs"`
	Method  method   `xml:"method"`
}

type option struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type method struct {
	V string `xml:"v,attr"`
}

const (
	runManager = "ProjectRunConfigurationManager"
	shellRun   = "ShConfigurationType"
)

func newRun(name string, words []string, windows bool) run {
	quote, shell := quoteSh, "/bin/sh"
	if windows {
		quote, shell = quotePowerShell, "powershell.exe"
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return run{Name: runManager, Configuration: configuration{
		Default: "false", Name: name, Type: shellRun, Method: method{V: "2"},
		Options: []option{
			{"SCRIPT_TEXT", strings.Join(quoted, " ")},
			{"INDEPENDENT_SCRIPT_PATH", "true"},
			{"SCRIPT_PATH", ""},
			{"SCRIPT_OPTIONS", ""},
			{"INDEPENDENT_SCRIPT_WORKING_DIRECTORY", "true"},
			{"SCRIPT_WORKING_DIRECTORY", "$PROJECT_DIR$"},
			{"INDEPENDENT_INTERPRETER_PATH", "true"},
			{"INTERPRETER_PATH", shell},
			{"INTERPRETER_OPTIONS", ""},
			{"EXECUTE_IN_TERMINAL", "true"}, // a sign-in may ask
			{"EXECUTE_SCRIPT_FILE", "false"},
		},
	}}
}

// merge leaves a file alone that is there: it is the same, or somebody has
// changed it.
func (r run) merge(existing []byte) (Merged, error) {
	if len(bytes.TrimSpace(existing)) == 0 {
		return Merged{Content: r.render(), Changed: true}, nil
	}
	theirs, err := readRun(existing)
	if err != nil {
		return Merged{}, err
	}
	c := theirs.Configuration
	if theirs.Name != runManager || c.Type != shellRun || c.Name != r.Configuration.Name {
		return Merged{}, syntaxAt(existing, 0, "it holds the configuration %q, not %q", c.Name, r.Configuration.Name)
	}
	m := Merged{Content: existing}
	if !r.within(c) {
		m.Kept = []string{c.Name}
	}
	return m, nil
}

func readRun(file []byte) (r run, err error) {
	decoder := xml.NewDecoder(bytes.NewReader(file))
	if err = decoder.Decode(&r); err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return r, nil
		}
		for err == nil {
			_, err = decoder.Token()
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		}
	}
	line, col := decoder.InputPos()
	text := err.Error()
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		text = syntax.Msg
	}
	return r, &SyntaxError{Line: line, Col: col, Text: text}
}

// within says whether all options that we would write are in c: the IDE writes
// files anew, with options of its own.
func (r run) within(c configuration) bool {
	theirs := map[string]string{}
	for _, o := range c.Options {
		theirs[o.Name] = o.Value
	}
	for _, o := range r.Configuration.Options {
		if value, ok := theirs[o.Name]; value != o.Value || !ok && o.Value != "" {
			return false
		}
	}
	return true
}

func (r run) render() []byte {
	text, err := xml.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // texts only: it cannot be
	}
	for _, empty := range []string{"option", "envs", "method"} { // as the IDE writes them
		text = bytes.ReplaceAll(text, []byte("></"+empty+">"), []byte(" />"))
	}
	return append(text, '\n')
}

// fileName makes a name of a file from one of a configuration. Two names may
// become one; then merge refuses.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._-@~+", r) {
			return r
		}
		return '_'
	}, name)
	const longest = 150 // of the 255 bytes that a file system gives
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "")
	}
	return name
}

// plain are the characters that mean nothing to any shell.
func plain(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return r >= 0x80 || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_@%+=:./-", r)
	})
}

// quoteSh makes one word for sh, bash, zsh and fish: the IDE's terminal runs
// the person's own shell. A backslash stays outside of the quotes, where all of
// them read it alike.
func quoteSh(word string) string {
	if plain(word) {
		return word
	}
	return "'" + strings.NewReplacer(`'`, `'\''`, `\`, `'\\'`).Replace(word) + "'"
}

// quotePowerShell makes one word for PowerShell, which takes the curved quotes
// for straight ones.
func quotePowerShell(word string) string {
	if plain(word) && !strings.ContainsAny(word, "@%") {
		return word
	}
	var b strings.Builder
	for _, r := range word {
		if strings.ContainsRune("'‘’‚‛", r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	return fmt.Sprintf("'%s'", b.String())
}
