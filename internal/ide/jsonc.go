package ide

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// bom is the byte order mark that some editors write first.
var bom = []byte("\xef\xbb\xbf")

// document is a JSON file with comments and trailing commas. It is changed by
// putting text in between: nothing of it is written anew.
type document struct {
	mark  []byte // the byte order mark, or nothing
	text  []byte
	value hujson.Value
	root  *hujson.Object
	nl    string // how its lines end
	unit  string // one step of indentation
}

// maxBrackets bounds what hujson is given: a stack overflows there, and takes
// the program with it, when brackets are nested a million deep.
const maxBrackets = 10_000

func parse(file []byte) (*document, error) {
	d := &document{text: bytes.TrimPrefix(file, bom), nl: "\n"}
	d.mark = file[:len(file)-len(d.text)]
	if !utf8.Valid(d.text) {
		return nil, d.errorAt(0, "not UTF-8")
	}
	if bytes.Count(d.text, []byte("["))+bytes.Count(d.text, []byte("{")) > maxBrackets {
		return nil, d.errorAt(0, "more than %d lists and objects", maxBrackets)
	}
	var err error
	// A comment on the last line needs no end for VS Code; it does for hujson.
	if d.value, err = hujson.Parse(append(bytes.Clone(d.text), '\n')); err != nil {
		return nil, d.misread(err)
	}
	root, ok := d.value.Value.(*hujson.Object)
	if !ok {
		return nil, d.errorAt(d.value.StartOffset, "not an object")
	}
	d.root, d.unit = root, indentation(d.text)
	if at := bytes.IndexByte(d.text, '\n'); at > 0 && d.text[at-1] == '\r' {
		d.nl = "\r\n"
	}
	return d, nil
}

func (d *document) errorAt(offset int, format string, args ...any) error {
	return syntaxAt(d.text, offset, format, args...)
}

// misread takes the place out of the text of hujson's error, which has it
// nowhere else.
func (d *document) misread(err error) error {
	e := &SyntaxError{Line: 1, Col: 1, Text: err.Error()}
	if n, _ := fmt.Sscanf(e.Text, "hujson: line %d, column %d:", &e.Line, &e.Col); n == 2 {
		if cause := errors.Unwrap(err); cause != nil {
			e.Text = cause.Error()
		}
	}
	if e.Line > 1+bytes.Count(d.text, []byte("\n")) { // the end that was added
		return d.errorAt(len(d.text), "%s", e.Text)
	}
	return e
}

var indented = regexp.MustCompile(`(?m)^(\t| {2,8})["{\[]`)

// indentation is the white space of the first line that has some before a
// value: files are indented by what their first level has.
func indentation(text []byte) string {
	if m := indented.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return "    "
}

// member gives the value of a key. Of several equal keys the last one counts,
// as it does for VS Code.
func (d *document) member(o *hujson.Object, key string) (v hujson.Value, ok bool) {
	for _, m := range o.Members {
		if name, is := m.Name.Value.(hujson.Literal); is && name.String() == key {
			v, ok = m.Value, true
		}
	}
	return v, ok
}

// addMember puts "key": value at the end of the root object.
func (d *document) addMember(o *hujson.Object, key string, value any) []byte {
	end := ending{close: d.value.EndOffset - 1, extra: o.AfterExtra}
	inner := d.unit
	if n := len(o.Members); n > 0 {
		end.more, end.comma = true, o.Members[n-1].Value.AfterExtra != nil
		inner = d.lineIndent(o.Members[n-1].Name.StartOffset, inner)
	}
	name := append(d.render(key, ""), ": "...)
	return d.insert(end, d.lineIndent(end.close, ""), inner, [][]byte{append(name, d.render(value, inner)...)})
}

// addElements puts values at the end of a list.
func (d *document) addElements(list hujson.Value, array *hujson.Array, values []any) []byte {
	end := ending{close: list.EndOffset - 1, extra: array.AfterExtra}
	outer := leading(d.lineOf(list.StartOffset))
	inner := outer + d.unit
	if n := len(array.Elements); n > 0 {
		last := array.Elements[n-1]
		end.more, end.comma = true, last.AfterExtra != nil
		inner = d.lineIndent(last.StartOffset, inner)
	}
	texts := make([][]byte, len(values))
	for i, v := range values {
		texts[i] = d.render(v, inner)
	}
	return d.insert(end, outer, inner, texts)
}

// ending is the end of a list or an object.
type ending struct {
	close int    // where its bracket is
	extra []byte // white space and comments before that
	more  bool   // it is not empty
	comma bool   // a comma follows the last one
}

// insert puts texts before the closing bracket and behind the comments that are
// there, each on lines of its own, with commas as the file has them.
func (d *document) insert(end ending, outer, inner string, texts [][]byte) []byte {
	start := end.close - len(end.extra)
	space := lineEnd(end.extra[len(bytes.TrimRight(end.extra, " \t\r\n")):])
	ownLine := space > 0
	var b bytes.Buffer
	b.Write(d.mark)
	b.Write(d.text[:start])
	if end.more && !end.comma {
		b.WriteByte(',')
	}
	b.Write(d.text[start : end.close-space])
	for i, text := range texts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.nl + inner)
		b.Write(text)
	}
	if end.comma {
		b.WriteByte(',')
	}
	if !ownLine {
		b.WriteString(d.nl + outer)
	}
	b.Write(d.text[end.close-space:])
	return b.Bytes()
}

// lineEnd is how much there is from the first line's end on; what is before it
// belongs to the comment there.
func lineEnd(blank []byte) int {
	at := bytes.IndexByte(blank, '\n')
	if at < 0 {
		return 0
	}
	if at > 0 && blank[at-1] == '\r' {
		at--
	}
	return len(blank) - at
}

// render writes a value as the file is written; prefix is the indentation of
// the line on which it begins.
func (d *document) render(v any, prefix string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, d.unit)
	if err := e.Encode(v); err != nil {
		panic(err) // texts and numbers only: it cannot be
	}
	return bytes.ReplaceAll(bytes.TrimRight(b.Bytes(), "\n"), []byte("\n"), []byte(d.nl))
}

// lineOf is the line around a place, up to there.
func (d *document) lineOf(offset int) string {
	before := string(d.text[:offset])
	return before[strings.LastIndexByte(before, '\n')+1:]
}

func leading(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " \t"))] }

// lineIndent is the white space before a place, or def when there is more on
// its line.
func (d *document) lineIndent(offset int, def string) string {
	line := d.lineOf(offset)
	if strings.TrimLeft(line, " \t") != "" {
		return def
	}
	return line
}
